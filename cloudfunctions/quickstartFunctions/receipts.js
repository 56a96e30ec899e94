'use strict';

// One receipt per key, in the cloud database, with the key as its `_id`: claimed before the message is sent,
// marked after it. This is what makes "called at least once" arrive once.
//
//   (none) ──claim──▶ sending ──▶ sent | refused | unknown        refused ──claim──▶ sending
//   (none), refused ──seal──▶ sealed
//
// Each arrow is one write that names the state it starts from, so of two calls only one gets it. `by` is a
// random name of the claim: it tells our own write from a stranger's when the answer to it was lost. A
// `sending` that is old stays: whether its message went out is not known here either, and it is not sent again.

const crypto = require('crypto');
const cloud = require('wx-server-sdk');

const { settings } = require('./settings');
const { limited } = require('./within');

// The receipt, or null.
async function look(key) {
  const found = await limited(collection().where({ _id: key }).limit(1).get());
  return found.data.length === 0 ? null : found.data[0];
}

// How a key stands for whoever asks about it.
function standing(receipt, now) {
  if (receipt === null) return 'not_seen';
  if (receipt.state !== 'sending') return receipt.state;
  // A time that cannot be read is old: nothing is sent on the strength of it.
  const age = now - new Date(receipt.at).getTime();
  return age < settings().claimOldAfterMs ? 'in_progress' : 'unknown';
}

// Below zero when the call belongs to an earlier claim of outboxd's than the receipt, above when to a later one.
function compare(call, receipt) {
  return call.epoch - receipt.epoch || call.attempt - receipt.attempt;
}

// Takes the claim for a call: its name, or null when another call was faster. `seen` is what `look` gave.
function claim(seen, call) {
  return write(seen, call, 'sending');
}

// Refuses the key from now on: true, or false when another call was faster.
async function seal(seen, call) {
  return (await write(seen, call, 'sealed')) !== null;
}

// Writes how a claim ended. `from` is `sending`, or `unknown` when the end came late.
async function mark(key, by, from, end) {
  const fields = { state: end.state, code: end.code, message: end.message, msgid: end.msgid, at: now() };
  const attempt = () => limited(collection().where({ _id: key, state: from, by: by }).update({ data: fields }));
  let done;
  try {
    done = await attempt();
  } catch (error) {
    // Once more: this write is what later calls of the key live on.
    done = await attempt();
  }
  if (done.stats.updated === 1) return true;
  // The first of two may have been written although its answer was lost.
  const receipt = await look(key);
  return receipt !== null && receipt.by === by && receipt.state === end.state;
}

async function write(seen, call, state) {
  const by = crypto.randomBytes(8).toString('hex');
  const fields = { state: state, epoch: call.epoch, attempt: call.attempt, by: by, at: now() };
  fields.code = 0;
  fields.message = '';
  fields.msgid = null;
  try {
    if (seen === null) {
      await limited(collection().add({ data: Object.assign({ _id: call.key }, fields) }));
      return by;
    }
    const free = { _id: call.key, state: 'refused', by: seen.by };
    const done = await limited(collection().where(free).update({ data: fields }));
    return done.stats.updated === 1 ? by : null;
  } catch (error) {
    if (isDuplicate(error)) return null;
    // It may have been written all the same, and then nobody else can ever claim this key.
    const receipt = await look(call.key);
    if (receipt !== null && receipt.by === by) return by;
    throw error;
  }
}

// The database has no code of its own for a key that is there already; only the text tells.
function isDuplicate(error) {
  const text = String((error && (error.errMsg || error.message)) || '');
  return /E11000|duplicate key|DATABASE_DUPLICATE_WRITE/i.test(text);
}

function collection() {
  return cloud.database().collection(settings().receipts);
}

function now() {
  return cloud.database().serverDate();
}

module.exports = { look, standing, compare, claim, seal, mark, isDuplicate };
