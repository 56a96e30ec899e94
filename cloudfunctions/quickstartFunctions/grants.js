'use strict';

// The ledger of one-time grants: how many more messages of a template a person has allowed. WeChat cannot be
// asked, so this is an estimate: plus one per "allow" that the mini program reports, minus one per message
// accepted, zero when WeChat refuses with 43101. It never decides whether to send; outboxd asks it (`look`) when
// a notification that was refused may be tried again.
//
// Whoever reports is the person the platform names, never one that the event names.

const crypto = require('crypto');
const cloud = require('wx-server-sdk');

const { CODE, codeOf, textOf } = require('./answer');
const { findAll } = require('./openid');
const { isDuplicate } = require('./receipts');
const { settings } = require('./settings');
const { templateIds, templateIdOf } = require('./template');
const { limited } = require('./within');

const FROM_CLIENT = 'wx_client';

// The event `{"type": "subscribed", "accepted": [template id, …]}`, after `wx.requestSubscribeMessage`.
async function subscribed(event, caller) {
  const tapper = caller.OPENID;
  if (caller.SOURCE !== FROM_CLIENT || typeof tapper !== 'string' || tapper === '') {
    return told(false, CODE.WRONG_CALLER, 'this type of event is taken from the mini program only', {});
  }
  // Only our own templates, so that nobody fills the ledger with inventions.
  const given = Array.isArray(event.accepted) ? event.accepted : [];
  const accepted = templateIds().filter((id) => given.indexOf(id) >= 0);
  try {
    const counts = {};
    await Promise.all(accepted.map(async (templateId) => {
      counts[templateId] = await add(tapper, templateId);
    }));
    return told(true, 0, '', counts);
  } catch (error) {
    return told(false, codeOf(error), textOf(error, tapper), {});
  }
}

function told(ok, code, message, grants) {
  return { ok: ok, code: code, message: message, grants: grants };
}

// One more. What is left then.
async function add(openid, templateId) {
  const command = cloud.database().command;
  const id = idOf(openid, templateId);
  const isThere = await change(id, { left: command.inc(1) });
  if (!isThere && !(await open(openid, templateId, 1))) {
    // Opened by another call at this very moment.
    await change(id, { left: command.inc(1) });
  }
  return left(id);
}

// One less, after a message was accepted. What is left then; null when nobody ever counted.
async function spend(openid, templateId) {
  const command = cloud.database().command;
  const id = idOf(openid, templateId);
  await change(id, { left: command.inc(-1) }, { left: command.gt(0) });
  return left(id);
}

// Of each one asked about, the template that stands for its type of event and what is left of it: null when
// nobody ever counted, which is no grant. Two requests, however many are asked about.
async function look(asked) {
  const openids = await findAll(asked.map((one) => one.recipient));
  const pages = asked.map((one, n) => {
    const templateId = templateIdOf(one.eventType);
    const isKnown = templateId !== null && openids[n] !== null;
    return { template: templateId, id: isKnown ? idOf(openids[n], templateId) : null };
  });
  const ids = Array.from(new Set(pages.map((page) => page.id))).filter((id) => id !== null);
  const lefts = new Map();
  if (ids.length > 0) {
    const isOne = { _id: cloud.database().command.in(ids) };
    const found = await limited(ledger().where(isOne).limit(ids.length).get());
    found.data.forEach((page) => lefts.set(page._id, page.left));
  }
  return pages.map((page) => ({ template: page.template, left: lefts.has(page.id) ? lefts.get(page.id) : null }));
}

// What was left before a send: null when nobody ever counted, undefined when it could not be read.
async function before(openid, templateId) {
  try {
    return await left(idOf(openid, templateId));
  } catch (error) {
    return undefined;
  }
}

// WeChat says that none is left, of those that were there before the send: a tap since then is a new one.
async function exhaust(openid, templateId, had) {
  const id = idOf(openid, templateId);
  if (had === null) await open(openid, templateId, 0);
  if (typeof had === 'number') await change(id, { left: 0 }, { left: had });
  return left(id);
}

async function change(id, data, condition) {
  const question = Object.assign({ _id: id }, condition);
  const fields = Object.assign({ at: cloud.database().serverDate() }, data);
  const done = await limited(ledger().where(question).update({ data: fields }));
  return done.stats.updated === 1;
}

async function open(openid, templateId, count) {
  const at = cloud.database().serverDate();
  const page = { _id: idOf(openid, templateId), openid: openid, templateId: templateId, left: count, at: at };
  try {
    await limited(ledger().add({ data: page }));
    return true;
  } catch (error) {
    if (isDuplicate(error)) return false;
    throw error;
  }
}

async function left(id) {
  const found = await limited(ledger().where({ _id: id }).limit(1).get());
  return found.data.length === 0 ? null : found.data[0].left;
}

// An id of fixed length from which nobody reads who it is about.
function idOf(openid, templateId) {
  return crypto.createHash('sha256').update(openid + '\n' + templateId).digest('hex');
}

function ledger() {
  return cloud.database().collection(settings().grants);
}

module.exports = { subscribed, look, before, spend, exhaust };
