'use strict';

// The journey of a call from outboxd: check ▸ receipt and openid ▸ template ▸ claim ▸ send ▸ record.
//
// Nothing waits between the claim and the send, so that as few crashes as possible leave a claim of which
// nobody knows. The receipt is read before anything else can refuse: once a message went out, every later call
// of its key says so. Whatever fails before the send step is `refused` with its step: nothing was sent.

const { told, refused, codeOf, textOf, CODE } = require('./answer');
const { CHECK, LOOKUP, CLAIM, SEND, RECORD } = require('./step');
const { check } = require('./check');
const { version } = require('./package.json');
const grants = require('./grants');
const openid = require('./openid');
const receipts = require('./receipts');
const sender = require('./send');
const template = require('./template');
const { settings } = require('./settings');
const { within } = require('./within');

const NOT_SUBSCRIBED = 43101;
// Two calls that keep overtaking each other end here; outboxd asks again anyhow.
const MOST_ROUNDS = 3;
// After the send the answer is known, and a slow ledger may not keep it back.
const LEDGER_LIMIT_MS = 500;

async function receive(event, caller) {
  try {
    const fault = check(event, caller, Date.now());
    if (fault) return refused(event.key, CHECK, fault.code, fault.message);
  } catch (error) {
    return refused(event.key, CHECK, CODE.BAD_EVENT, textOf(error));
  }
  switch (event.type) {
    case 'ping':
      return told('not_seen', event.key, CHECK, { ok: true, message: 'pong', version: version });
    case 'grants':
      return untilSend(event.key, LOOKUP, () => ledger(event));
    case 'inquire':
      return untilSend(event.key, CLAIM, () => inquire(event));
    case 'seal':
      return untilSend(event.key, CLAIM, () => seal(event));
    default:
      return notify(event);
  }
}

// Runs what comes before the send step; an error there is a refusal.
async function untilSend(key, step, work) {
  try {
    return await work();
  } catch (error) {
    return refused(key, step, codeOf(error), textOf(error));
  }
}

async function notify(event) {
  const ready = await untilSend(event.key, CLAIM, () => prepare(event));
  if (ready.order === undefined) return ready;
  let ended;
  try {
    ended = await sender.send(ready.order);
  } catch (error) {
    ended = { state: 'unknown', code: codeOf(error), message: textOf(error, ready.order.touser), msgid: null };
  }
  return record(event.key, ready, ended);
}

// All that comes before the send step: an answer, or `{by, order}` under a claim of ours.
async function prepare(event) {
  const [receipt, person] = await Promise.all([receipts.look(event.key), openid.find(event.recipient)]);
  const answer = hindrance(event, receipt);
  if (answer) return answer;
  const order = template.fill(event);
  if (order.code !== undefined) return refused(event.key, CHECK, order.code, order.message);
  if (person.code !== undefined) return refused(event.key, LOOKUP, person.code, person.message);
  // Beside the claim, so that nothing waits for the ledger but a slow one's limit.
  const [by, had] = await Promise.all([
    receipts.claim(receipt, event),
    within(LEDGER_LIMIT_MS, grants.before(person.openid, order.template_id), () => undefined),
  ]);
  if (by === null) return stands(event.key, await receipts.look(event.key), { duplicate: true });
  return { by: by, had: had, order: Object.assign({ touser: person.openid }, order) };
}

// What the receipt says against sending, as an answer; or null.
function hindrance(event, receipt) {
  const standing = receipts.standing(receipt, Date.now());
  if (standing === 'not_seen') return null;
  const wished = { duplicate: true };
  if (standing === 'sent' || standing === 'sealed') return stands(event.key, receipt, wished);
  const age = receipts.compare(event, receipt);
  if (age < 0) return stale(event.key, receipt);
  // The claim that was refused may not try again, for it was told; a newer one may.
  if (standing === 'refused' && age > 0) return null;
  return stands(event.key, receipt, wished);
}

// Writes how the send ended, and answers.
async function record(key, ready, ended) {
  const wrote = keep(key, ready.by, 'sending', ended);
  if (ended.later !== undefined) {
    // The limit was ours. Should WeChat answer yet, and this instance live, the receipt will know.
    wrote.then(() => ended.later).then((end) => end.state !== 'unknown' && keep(key, ready.by, 'unknown', end));
  }
  const [kept, grantsLeft] = await Promise.all([
    within(settings().databaseLimitMs, wrote, () => false),
    within(LEDGER_LIMIT_MS, count(ready, ended), () => null),
  ]);
  const more = { code: ended.code, message: ended.message, msgid: ended.msgid, grantsLeft: grantsLeft };
  if (ended.state !== 'sent') return told(ended.state, key, SEND, more);
  const message = kept ? 'sent' : 'sent, but its receipt could not be marked';
  return told('sent', key, RECORD, Object.assign(more, { ok: true, message: message }));
}

// False when it could not be written; the message has gone its way all the same.
function keep(key, by, from, end) {
  return receipts.mark(key, by, from, end).catch(() => false);
}

// Keeps the ledger; an estimate is not worth a failure.
async function count(ready, ended) {
  const order = ready.order;
  try {
    if (ended.state === 'sent') return await grants.spend(order.touser, order.template_id);
    if (ended.code === NOT_SUBSCRIBED) return await grants.exhaust(order.touser, order.template_id, ready.had);
  } catch (error) {
    console.warn('the ledger of grants could not be kept: ' + codeOf(error));
  }
  return null;
}

// How many more messages each of the people asked about has allowed, in the order of the question.
async function ledger(event) {
  const known = await grants.look(event.asked);
  return told('answered', event.key, LOOKUP, { ok: true, grants: known });
}

// Only looks.
async function inquire(event) {
  return stands(event.key, await receipts.look(event.key), {});
}

// A send under way is not cut off, and one that may have happened is not denied: both are told as they are.
async function seal(event) {
  let receipt = null;
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    receipt = await receipts.look(event.key);
    const standing = receipts.standing(receipt, Date.now());
    if (standing === 'sent' || standing === 'sealed') break;
    if (receipt !== null && receipts.compare(event, receipt) < 0) return stale(event.key, receipt);
    if (standing !== 'not_seen' && standing !== 'refused') break;
    if (await receipts.seal(receipt, event)) return told('sealed', event.key, CLAIM, { message: 'sealed' });
  }
  return stands(event.key, receipt, {});
}

function stale(key, receipt) {
  return told('stale', key, CLAIM, { message: 'a call of epoch ' + receipt.epoch + ' was here' });
}

// A receipt as an answer. `more.duplicate` says that the call wished to send; it counts for `sent` alone.
function stands(key, receipt, more) {
  const standing = receipts.standing(receipt, Date.now());
  switch (standing) {
    case 'sent':
      return told('sent', key, CLAIM, Object.assign({ ok: true, message: 'sent before', msgid: receipt.msgid }, more));
    case 'refused':
      return told('refused', key, SEND, { code: receipt.code, message: receipt.message });
    case 'unknown':
      return told('unknown', key, CLAIM, { code: receipt.code, message: 'whether it went out is not known' });
    default:
      return told(standing, key, CLAIM, { message: standing });
  }
}

module.exports = { receive };
