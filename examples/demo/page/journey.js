// The middle column: every notification, how far it came, and what happens next.
// Rows change in place and keep their height; new ones wait while a hand is on the list.

import { lead, underHand } from './app.js';
import { isOutage, language, named, sentence, span, t } from './words.js';

const byId = (id) => document.getElementById(id);
const box = byId('rows-box');
const list = byId('rows');
const more = byId('rows-more');
const elements = new Map();
const SIGNS = { queued: '·', calling: '→', orphan: '!', retrying: '↻', awaiting: '…', held: 'Ⅱ', delivered: '✓', refused: '✕', superseded: '↷', missing: '?' };
// Reasons that mean: no answer came.
const SILENT = ['not_reached_dns_connect_tls', 'timed_out', 'connection_lost', 'token_unreachable', 'lease_lapsed'];

let last = null;

export function draw(state) {
  last = state;
  drawLine(state);
  drawHeld(state.app);
  drawRows(state);
}

export function redraw() {
  elements.clear();
  list.replaceChildren();
  if (last) draw(last);
}

function drawLine({ waiting, counts }) {
  const numbers = { queued: waiting.queued, inFlight: waiting.inFlight, delivered: counts.delivered };
  for (const [stop, number] of Object.entries(numbers)) {
    const element = byId('line').querySelector(`[data-stop=${stop}]`);
    element.querySelector('b').textContent = number;
    element.classList.toggle('lit', number > 0);
  }
  byId('aside').innerHTML = t('aside')(waiting.retrying, waiting.awaiting, counts.refused, counts.superseded);
}

/** The app's gate: closed while WeChat is away, so that rows do not pay for it. */
function drawHeld(app) {
  const open = !app || (app.breaker === 'closed' && !app.paused);
  byId('held').hidden = open;
  byId('journey-says').hidden = !open;
  if (open) return;
  const why = `${whatIsWrong(app)}${language === 'zh' ? '' : ' '}${t('held')}`;
  // Said aloud once; the seconds count down in silence.
  if (byId('held-why').textContent !== why) byId('held-why').textContent = why;
  byId('held-until').textContent = app.untilMs > 0 && !app.paused ? t('probe')(span(app.untilMs)) : '';
}

/** About everybody, and so by kind: how the last call happened to end says little about the next. */
function whatIsWrong(app) {
  if (app.paused) return t('wrong').paused;
  if (isOutage(app.reason)) return sentence(app.reason);
  return SILENT.includes(app.reason) ? t('wrong').silent : t('wrong').failing;
}

function drawRows({ rows, daemon, app, switches }) {
  const still = underHand(box);
  const known = new Set(rows.map((row) => row.id));
  const fresh = rows.filter((row) => !elements.has(row.id));
  if (!still || elements.size === 0) {
    for (const [id, element] of elements) {
      if (known.has(id)) continue;
      element.remove();
      elements.delete(id);
    }
    insertAll(rows);
  }
  for (const row of rows) if (elements.has(row.id)) update(elements.get(row.id), row, { daemon, app, switches });
  const waiting = still ? fresh.filter((row) => !elements.has(row.id)).length : 0;
  more.hidden = waiting === 0;
  more.textContent = t('newRows')(waiting);
  byId('rows-empty').hidden = elements.size > 0;
}

/** The newest transaction first, and within it the order in which its rows are claimed. */
function insertAll(rows) {
  let below = null;
  for (const row of [...rows].reverse()) {
    if (!elements.has(row.id)) insert(row, below);
    below = elements.get(row.id);
  }
}

function insert(row, below) {
  const element = document.createElement('li');
  element.className = 'new';
  element.dataset.step = 0;
  element.innerHTML = '<div class="who"></div><a class="number"></a><span class="age"></span><div class="track" aria-hidden="true"><i></i></div><div class="fate"><span class="chip"></span><span class="says"></span></div>';
  const who = element.querySelector('.who');
  const to = Object.assign(document.createElement('span'), { className: 'to', textContent: '→' });
  who.append(named(row.customer, row.customerLatin), to, named(row.staff, row.staffLatin));
  const number = element.querySelector('.number');
  number.textContent = `#${row.notification}`;
  lead(number, row.notification);
  elements.set(row.id, element);
  list.insertBefore(element, below);
  // Laid out once at its beginning, so that the way to where it is now is seen.
  void element.offsetWidth;
}

function update(element, row, world) {
  const fate = fateOf(row, world);
  if (element.dataset.state !== fate.state) {
    element.dataset.state = fate.state;
    const chip = element.querySelector('.chip');
    chip.textContent = t('chips')[fate.state];
    chip.dataset.sign = SIGNS[fate.state];
  }
  element.dataset.step = fate.step;
  write(element, '.says', fate.says);
  element.querySelector('.says').title = fate.says;
  const tries = row.attempts > 1 ? t('tries')(row.attempts) : '';
  write(element, '.age', tries + (row.ageMs < 1000 ? t('justNow') : t('ago')(span(row.ageMs))));
}

function write(element, selector, text) {
  const part = element.querySelector(selector);
  if (part.textContent !== text) part.textContent = text;
}

const join = (...sentences) => sentences.filter(Boolean).join(language === 'zh' ? '' : ' ');

/** The state in the page's words, how far along the track, and one sentence. */
function fateOf(row, { daemon, app, switches }) {
  const says = t('says');
  const why = sentence(row.reason);
  switch (row.status) {
    case 'queued':
    case 'scheduled':
      return { state: 'queued', step: 1, says: says.queued };
    case 'in_flight':
      // Claimed by a daemon that is no more; nobody told the row, only its lease knows.
      if (!row.leasedBy?.includes(`:${daemon.pid}#`)) return { state: 'orphan', step: 2, says: says.orphan(span(row.leaseMs)) };
      return { state: 'calling', step: 2, says: says.calling };
    case 'held':
      return { state: 'held', step: row.attempts > 0 ? 2 : 1, says: app?.paused ? says.paused : switches.down ? says.heldDown : says.held };
    case 'retrying': {
      const next = row.nextMs > 0 ? says.retry(span(row.nextMs)) : says.retryNow;
      return { state: 'retrying', step: 2, says: join(next, why) };
    }
    case 'awaiting_grant':
      return { state: 'awaiting', step: 2, says: says.awaiting(named(row.staff, row.staffLatin)) };
    case 'delivered':
      return { state: 'delivered', step: 3, says: says.delivered(span(row.tookMs)) };
    case 'superseded':
      return { state: 'superseded', step: 3, says: join(says.superseded, row.mayHaveArrived && says.mayHaveArrived) };
    case 'dead':
    case 'expired':
    case 'cancelled':
      return { state: 'refused', step: 3, says: row.mayHaveArrived ? says.mayHaveArrived : why || says.refused };
    default:
      return { state: 'missing', step: 0, says: says.missing };
  }
}

more.addEventListener('click', () => {
  box.scrollTop = 0;
  more.blur();
  insertAll(last.rows);
  drawRows(last);
});
