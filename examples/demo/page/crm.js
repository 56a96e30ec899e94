// The CRM's column: customers, and the assignments a visitor makes through the four founding endpoints.
// The list is updated in place; a row that left while a hand is on the list fades and goes later.

import { call, lead, say, underHand } from './app.js';
import { named, t } from './words.js';

const SHOWN = 40;
const byId = (id) => document.getElementById(id);
const list = byId('customers');

let staff = [];
let customers = [];
let filter = 'owned';
let turn = 0;
const rows = new Map();

export async function load() {
  const before = new Map(customers.map((c) => [c.id, c.owner]));
  const peopleBefore = staff.length;
  ({ staff, customers } = await call('GET', '/api/demo/customers'));
  for (const c of customers) c.fresh = before.size > 0 && before.has(c.id) && before.get(c.id) !== c.owner;
  if (peopleBefore !== staff.length) fillPeople();
  draw();
}

/** Everything anew, for another language. */
export function redraw() {
  fillPeople();
  rows.clear();
  list.replaceChildren();
  draw();
}

/** What somebody is called; the id while that is not known. */
export function nameOf(id) {
  const known = person(id);
  return known ? named(known.name, known.latin) : id;
}

/** How many are on the staff. */
export const howMany = () => staff.length;

const person = (id) => staff.find((p) => p.id === id);
const label = (p) => named(p.name, p.latin) + (p.quirk ? ` · ${t('quirks')[p.quirk]}` : '');

function options(chosen) {
  return [['plain', (p) => !p.quirk], ['unlucky', (p) => p.quirk]].map(([group, belongs]) => {
    const element = document.createElement('optgroup');
    element.label = t(group);
    element.append(...staff.filter(belongs).map((p) => new Option(label(p), p.id, false, p.id === chosen)));
    return element;
  });
}

function fillPeople() {
  const target = byId('target');
  const chosen = target.value || staff[0]?.id;
  target.replaceChildren(...options(chosen));
  const whose = byId('whose');
  const looked = whose.value;
  whose.replaceChildren(new Option(t('everybody'), ''), ...staff.map((p) => new Option(named(p.name, p.latin), p.id, false, p.id === looked)));
}

export function draw() {
  const pooled = customers.filter((c) => !c.owner).length;
  byId('n-nobody').textContent = pooled;
  byId('n-owned').textContent = customers.length - pooled;
  const wanted = customers.filter((c) => (filter === 'owned') === Boolean(c.owner)).slice(0, SHOWN);
  const ids = new Set(wanted.map((c) => c.id));
  const still = underHand(list);
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    if (still) {
      row.querySelectorAll('select, button').forEach((e) => { e.disabled = true; });
    } else {
      row.remove();
      rows.delete(id);
    }
  }
  wanted.forEach((c, at) => {
    if (!rows.has(c.id)) {
      if (still) return;
      const row = make(c);
      rows.set(c.id, row);
      list.insertBefore(row, list.children[at] || null);
    }
    update(rows.get(c.id), c);
  });
}

function make(customer) {
  const row = document.createElement('li');
  row.innerHTML = `<span class="face" aria-hidden="true"></span><div class="name-box"><div class="name"><span></span><a class="number"></a></div><div class="about"></div></div><select></select><button type="button"></button>`;
  const name = named(customer.name, customer.latin);
  row.querySelector('.face').textContent = customer.name[0];
  row.querySelector('.face').dataset.tint = customer.id % 4;
  row.querySelector('.name span').textContent = name;
  row.querySelector('.number').textContent = `#${customer.id}`;
  const [select, button] = [row.querySelector('select'), row.querySelector('button')];
  select.setAttribute('aria-label', `${t('to')}: ${name}`);
  button.textContent = t('assign');
  button.setAttribute('aria-label', `${t('assign')}: ${name}`);
  button.addEventListener('click', () => assignOne(row, select.value));
  return row;
}

function update(row, customer) {
  const owner = person(customer.owner);
  const ownership = owner ? t('belongs')(named(owner.name, owner.latin)) : t('inPool');
  row.querySelector('.about').textContent = `${ownership} · ${t('tail')(customer.phoneTail)}`;
  lead(row.querySelector('.number'), customer.notification);
  row.customer = customer;
  row.classList.toggle('fresh', customer.fresh);
  if (customer.fresh) setTimeout(() => row.classList.remove('fresh'), 1200);
  const select = row.querySelector('select');
  if (row.owner !== customer.owner || !select.options.length) {
    row.owner = customer.owner;
    if (select !== document.activeElement) select.replaceChildren(...options(suggestion(customer)));
  }
}

/** Somebody else than the owner, and not the same person in every row. */
function suggestion(customer) {
  const plain = staff.filter((p) => !p.quirk);
  const at = (customer.id + 1) % Math.max(1, plain.length);
  return plain[at]?.id === customer.owner ? plain[(at + 1) % plain.length]?.id : plain[at]?.id;
}

/** Customers who came through the mini program are assigned in the mini program. */
function assignOne(row, to) {
  const { id, source } = row.customer;
  const place = source === '小程序' ? 'customers/miniprogram' : 'customers';
  return assign('PATCH', `/api/${place}/${id}/assign`, { assignedTo: to, assignedBy: 'visitor' });
}

async function assign(method, path, body) {
  const begun = performance.now();
  try {
    const { assigned } = await call(method, path, body);
    const took = Math.round(performance.now() - begun);
    say(() => t('done')(assigned.length, nameOf(body.assignedTo), took), 'good');
  } catch (e) {
    say(() => t('errors')[e.code] || e.message, 'bad');
  }
}

byId('batch').addEventListener('click', () => {
  const to = byId('target').value;
  const others = customers.filter((c) => c.owner && c.owner !== to);
  if (others.length < 50) return say(() => t('tooFew'), 'bad');
  // A different fifty each time, while there are as many.
  const chosen = Array.from({ length: 50 }, (_, n) => others[(turn + n) % others.length].id);
  turn += 50;
  return assign('POST', '/api/customers/batch-assign', { customerIds: chosen, assignedTo: to, assignedBy: 'visitor' });
});

byId('pool').addEventListener('click', () => {
  const chosen = customers.filter((c) => !c.owner).slice(0, 5).map((c) => c.id);
  if (!chosen.length) return say(() => t('tooFew'), 'bad');
  return assign('POST', '/api/customers/public-pool/assign', { customerIds: chosen, assignedTo: byId('target').value, assignedBy: 'visitor' });
});

byId('leads').addEventListener('click', async () => {
  const { customers: fresh } = await call('POST', '/api/demo/leads', null);
  say(() => t('leadsDone')(fresh.length), 'good');
});

document.querySelector('.filter').addEventListener('click', (event) => {
  const button = event.target.closest('[data-filter]');
  if (!button) return;
  filter = button.dataset.filter;
  for (const other of document.querySelectorAll('[data-filter]')) other.setAttribute('aria-pressed', String(other === button));
  rows.clear();
  list.replaceChildren();
  list.scrollTop = 0;
  draw();
});
