'use strict';

// The first stage: may this caller ask, did outboxd write this event, and can it be read?
//
// Every user of the mini program can call this function with `wx.cloud.callFunction`, so only what came over
// the HTTP API counts, which takes the app's access token. With a signing secret on both sides the event must
// be signed as well: HMAC-SHA-256, in hex, over its RFC 8785 form without `signature`.

const crypto = require('crypto');

const { CODE } = require('./answer');
const { signingSecret } = require('./settings');

const FROM_HTTP = 'wx_http';
const LONGEST_AGE_MS = 5 * 60 * 1000;
// What is in the event and was not signed: the signature itself, and what the platform adds.
const NOT_SIGNED = ['signature', 'userInfo', 'tcbContext'];
const KEY = /^[\w-]{1,64}$/;
// The ledger is asked about so many at once; the database gives a hundred documents at a time.
const MOST_ASKED = 50;

// What is wrong with the event, as `{code, message}`, or null.
function check(event, caller, now) {
  if (caller.SOURCE !== FROM_HTTP) {
    return { code: CODE.WRONG_CALLER, message: 'this type of event is taken from the HTTP API only' };
  }
  const secret = signingSecret();
  const doubt = secret === '' ? null : doubtful(event, secret, now);
  if (doubt) return { code: CODE.BAD_SIGNATURE, message: doubt };
  const fault = event.type === 'ping' ? null : unreadable(event);
  return fault ? { code: CODE.BAD_EVENT, message: fault } : null;
}

function doubtful(event, secret, now) {
  const given = event.signature;
  if (typeof given !== 'string' || given === '') return 'the event is not signed';
  const signed = {};
  Object.keys(event).forEach((name) => {
    if (NOT_SIGNED.indexOf(name) < 0) signed[name] = event[name];
  });
  const ours = crypto.createHmac('sha256', secret).update(canonical(signed), 'utf8').digest();
  const theirs = /^[0-9a-fA-F]{64}$/.test(given) ? Buffer.from(given, 'hex') : Buffer.alloc(0);
  if (theirs.length !== ours.length || !crypto.timingSafeEqual(theirs, ours)) return 'the signature is wrong';
  const sentAt = typeof event.sentAt === 'string' ? Date.parse(event.sentAt) : NaN;
  if (Number.isNaN(sentAt)) return 'sentAt is no time';
  return Math.abs(now - sentAt) > LONGEST_AGE_MS ? 'sentAt is more than five minutes away' : null;
}

// RFC 8785 was made from what `JSON.stringify` does: numbers and texts are its own. What it adds is the order
// of the names, by UTF-16 units, which is how JavaScript sorts.
function canonical(value) {
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value)) return '[' + value.map(canonical).join(',') + ']';
  const names = Object.keys(value).sort();
  return '{' + names.map((name) => JSON.stringify(name) + ':' + canonical(value[name])).join(',') + '}';
}

function unreadable(event) {
  if (typeof event.key !== 'string' || !KEY.test(event.key)) return 'the event has no usable key';
  if (event.type === 'grants') return isQuestion(event.asked) ? null : 'the event does not ask about 1 to 50 people';
  if (!Number.isSafeInteger(event.epoch) || event.epoch < 0) return 'the event has no usable epoch';
  if (!Number.isSafeInteger(event.attempt) || event.attempt < 0) return 'the event has no usable attempt';
  if (event.type !== 'notify') return null;
  if (typeof event.recipient !== 'string') return 'the event has no recipient';
  if (typeof event.eventType !== 'string') return 'the event has no eventType';
  const payload = event.payload;
  const isObject = payload !== null && typeof payload === 'object' && !Array.isArray(payload);
  return isObject ? null : 'the payload is no object';
}

function isQuestion(asked) {
  const isOne = (one) => one && typeof one.recipient === 'string' && typeof one.eventType === 'string';
  return Array.isArray(asked) && asked.length >= 1 && asked.length <= MOST_ASKED && asked.every(isOne);
}

module.exports = { check, canonical };
