// The page's heart: polls the state, hands each column its part, and works the levers.
// One poll runs at a time; a hidden page does not poll.

import { draw as drawCrm, load as loadCustomers, redraw as redrawCrm } from './crm.js';
import { describe } from './hints.js';
import { draw as drawJourney, redraw as redrawJourney } from './journey.js';
import { draw as drawPhone, newest, redraw as redrawPhone } from './phone.js';
import { language, learn, span, speak, switchLanguage, t } from './words.js';

const EVERY_MS = 400;
const SLOW_MS = 1500;
const byId = (id) => document.getElementById(id);

let last = null;
let crmMark = null;
let said = [() => '', ''];

/** Calls the demo's or the CRM's own interface; a refusal becomes an error with its code. */
export async function call(method, path, body) {
  const options = { method, headers: { 'content-type': 'application/json' } };
  if (body !== undefined) options.body = JSON.stringify(body);
  const response = await fetch(path, options);
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer;
  throw Object.assign(new Error(answer.error?.message || response.statusText), { code: answer.error?.code });
}

/** The desk's page at this path, in this language; nothing where no desk is open. */
function onDesk(path) {
  return last?.desk && `${last.desk}${path}?lang=${language}`;
}

/** Makes this element lead to a notification on the desk. */
export function lead(link, notification) {
  const href = notification && onDesk(`/messages/${notification}`);
  if (href) Object.assign(link, { href, target: '_blank', title: t('seeOnDesk') });
}

/** True while a hand is on it: then nothing may move there. */
export function underHand(list) {
  const hovered = matchMedia('(hover: hover)').matches && list.matches(':hover');
  return hovered || list.contains(document.activeElement) || list.scrollTop > 8;
}

async function poll() {
  if (!document.hidden) {
    try {
      await show(await call('GET', `/api/demo/state?after=${newest()}`));
      byId('offline').hidden = true;
    } catch {
      byId('offline').hidden = false;
    }
  }
  setTimeout(poll, EVERY_MS);
}

async function show(state) {
  last = state;
  drawDesk();
  if (state.crm !== crmMark) {
    await loadCustomers();
    crmMark = state.crm;
  }
  drawCounts(state.counts);
  drawLevers(state);
  drawJourney(state);
  drawPhone(state.messages, state.refusing);
}

function drawCounts(counts) {
  for (const [name, value] of Object.entries(counts)) {
    const number = byId(`n-${name}`);
    if (number) number.textContent = value.toLocaleString('en');
  }
  for (const name of ['twice', 'lost']) byId(`n-${name}`).parentElement.classList.toggle('bad', counts[name] > 0);
}

function drawLevers({ switches, daemon }) {
  for (const lever of byId('levers').querySelectorAll('[role=switch]')) {
    lever.setAttribute('aria-checked', String(Boolean(switches[lever.dataset.lever])));
  }
  const runs = daemon.pid !== null;
  const since = daemon.since ? span(Date.now() - Date.parse(daemon.since)) : '';
  byId('daemon').dataset.is = runs ? 'running' : 'gone';
  byId('daemon-is').textContent = runs ? t('running')(daemon.pid, since) : t(daemon.howItEnded || 'stopped')(since);
  byId('kill').disabled = !runs;
  byId('start').disabled = runs;
}

byId('levers').addEventListener('click', async (event) => {
  const lever = event.target.closest('[data-lever]');
  if (!lever) return;
  const name = lever.dataset.lever;
  const on = lever.getAttribute('aria-checked') !== 'true';
  const switches = await call('POST', '/api/demo/switch', { [name]: name === 'latency_ms' ? (on ? SLOW_MS : 0) : on });
  if (name === 'revoke_tokens') say(() => t('tokenRevoked'), 'good');
  else drawLevers({ ...last, switches });
});

for (const order of ['kill', 'start']) {
  byId(order).addEventListener('click', async () => {
    byId(order).disabled = true;
    drawLevers({ ...last, daemon: await call('POST', '/api/demo/daemon', order) });
  });
}

/** One line under the CRM: what just happened, in words that can be said again in the other language. */
export function say(words, mood = '') {
  said = [words, mood];
  byId('answer').textContent = words();
  byId('answer').className = `answer ${mood}`;
}

function drawDesk() {
  const href = onDesk('/');
  byId('desk').hidden = !href;
  if (href) byId('desk').href = href;
}

function drawTools() {
  drawDesk();
  byId('language').textContent = t('language');
  byId('language').lang = language === 'zh' ? 'en' : 'zh-CN';
  byId('language').setAttribute('aria-label', t('languageLabel'));
  byId('theme').setAttribute('aria-label', t('theme'));
}

byId('language').addEventListener('click', () => {
  switchLanguage();
  drawTools();
  redrawCrm();
  redrawPhone();
  redrawJourney();
  describe();
  say(...said);
  if (last) drawLevers(last);
});

const dark = matchMedia('(prefers-color-scheme: dark)');
const theme = () => localStorage.getItem('theme') || (dark.matches ? 'dark' : 'light');
const paint = () => { document.documentElement.dataset.theme = theme(); };
dark.addEventListener('change', paint);
byId('theme').addEventListener('click', () => {
  localStorage.setItem('theme', theme() === 'dark' ? 'light' : 'dark');
  paint();
});

paint();
speak();
describe();
drawTools();
drawCrm();
say(() => t('hint'));
learn(await call('GET', '/api/demo/words').catch(() => ({})));
poll();
