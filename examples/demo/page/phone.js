// The right column: a phone on which the subscribe messages land, newest on top.
// A message is what the simulated WeChat put on a phone, not what the daemon says it sent.

import { call, underHand } from './app.js';
import { howMany, nameOf } from './crm.js';
import { language, t } from './words.js';

const KEPT = 400;
const SHOWN = 30;
// Where the salespeople are, wherever the visitor is.
const ZONE = 'Asia/Shanghai';
const ICON = '<svg viewBox="0 0 20 20" aria-hidden="true"><rect width="20" height="20" rx="6" fill="#0b8a5c"/><path d="M5 8.3C5 6.5 6.5 5 8.3 5h3.4C13.5 5 15 6.5 15 8.3v1.4c0 1.8-1.5 3.3-3.3 3.3H9.3l-2.9 2.2c-.3.2-.7 0-.7-.4v-2.4A3.3 3.3 0 0 1 5 9.7z" fill="#fff"/></svg>';
const byId = (id) => document.getElementById(id);
const list = byId('cards');
const more = byId('cards-more');

const messages = [];
const times = new Map();
let seen = 0;
let waiting = [];
let refusing = [];

/** The number of the newest message this page has. */
export const newest = () => seen;

export function draw(arrived, whoRefuses = refusing) {
  tick();
  refusing = whoRefuses;
  drawSwitch();
  for (const message of arrived) {
    if (message.seq <= seen) continue;
    seen = message.seq;
    messages.push(message);
    times.set(message.key, (times.get(message.key) || 0) + 1);
    if (mine(message)) waiting.push(message);
  }
  messages.splice(0, messages.length - KEPT);
  if (!underHand(list)) land();
  more.hidden = waiting.length === 0;
  more.textContent = t('newCards')(waiting.length);
  byId('cards-empty').hidden = list.children.length > 0;
  list.hidden = list.children.length === 0;
}

/** Another language, or somebody else's phone. */
export function redraw() {
  waiting = [];
  list.replaceChildren(...messages.filter(mine).slice(-SHOWN).reverse().map((m) => card(m, false)));
  list.scrollTop = 0;
  draw([]);
}

/** Everybody's is off when nobody allows anything. */
function drawSwitch() {
  const whose = byId('whose').value;
  const allows = whose ? !refusing.includes(whose) : refusing.length < howMany();
  byId('allows').setAttribute('aria-checked', String(allows));
}

const mine = (message) => !byId('whose').value || byId('whose').value === message.recipient;

function land() {
  for (const message of waiting.slice(-SHOWN)) list.prepend(card(message, true));
  waiting = [];
  while (list.children.length > SHOWN) list.lastElementChild.remove();
}

function card(message, isNew) {
  const item = document.createElement('li');
  item.classList.toggle('new', isNew);
  item.classList.toggle('twice', times.get(message.key) > 1);
  const head = element('div', 'head');
  head.innerHTML = ICON;
  head.append(element('span', '', `${t('service')} · ${t('app')}`), element('span', 'owner', t('forWhom')(nameOf(message.recipient))));
  const foot = element('div', 'foot');
  foot.append(element('span', '', t('more')), element('span', '', clock(new Date(message.at), true)));
  item.append(head, element('h3', '', t('title')), fields(message.data), foot);
  return item;
}

/** The template's fields in the template's order, labelled as in the console. */
function fields(data) {
  const list = document.createElement('dl');
  for (const [name, field] of Object.entries(data)) {
    list.append(element('dt', '', t('fields')[name] || name), element('dd', '', String(field?.value ?? field)));
  }
  return list;
}

function element(tag, className, text = '') {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

function clock(time, withSeconds) {
  const parts = { hour: '2-digit', minute: '2-digit', hour12: false, timeZone: ZONE, ...(withSeconds && { second: '2-digit' }) };
  return new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', parts).format(time);
}

function tick() {
  const now = new Date();
  const day = { weekday: 'long', month: 'long', day: 'numeric', timeZone: ZONE };
  byId('clock').textContent = clock(now);
  byId('big-clock').textContent = clock(now);
  byId('date').textContent = new Intl.DateTimeFormat(language === 'zh' ? 'zh-CN' : 'en-GB', day).format(now);
}

byId('whose').addEventListener('change', redraw);
byId('allows').addEventListener('click', async () => {
  const allows = byId('allows').getAttribute('aria-checked') !== 'true';
  refusing = await call('POST', '/api/demo/phone', { whose: byId('whose').value || null, allows });
  drawSwitch();
});
more.addEventListener('click', () => {
  list.scrollTop = 0;
  more.blur();
  land();
  draw([]);
});
