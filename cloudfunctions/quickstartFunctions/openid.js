'use strict';

// Who is meant: the openid that belongs to a CRM user, looked up by staff id in the collection in which the
// mini program keeps its users. It must not be writable from a client, or anyone could take another's place.
//
// A staff id with two different openids is refused like one with none: a customer's data must not reach the
// wrong person by the order in which a database happens to list its documents.

const cloud = require('wx-server-sdk');

const { CODE, codeOf, textOf } = require('./answer');
const { settings } = require('./settings');
const { limited } = require('./within');

// `{openid}`, or `{code, message}` when there is none. It never throws, so that a receipt which is read at the
// same time still has its word.
async function find(recipient) {
  try {
    const openids = await lookUp(recipient);
    if (openids.length === 1) return { openid: openids[0] };
    const message = openids.length === 0 ? 'no openid for this recipient' : 'more than one openid for this recipient';
    return { code: CODE.NO_OPENID, message: message };
  } catch (error) {
    return { code: codeOf(error), message: textOf(error) };
  }
}

async function lookUp(recipient) {
  if (recipient.trim() === '') return [];
  const set = settings();
  const db = cloud.database();
  // Ids of a CRM are often numbers, and the document may hold them as such.
  const number = Number(recipient);
  const ids = Number.isSafeInteger(number) && String(number) === recipient ? [recipient, number] : [recipient];
  const question = {};
  question[set.staffField] = db.command.in(ids);
  const found = await limited(db.collection(set.users).where(question).limit(10).get());
  const names = set.openidField.split(',').map((name) => name.trim());
  const openids = new Set();
  found.data.forEach((person) => {
    const name = names.find((candidate) => typeof person[candidate] === 'string' && person[candidate] !== '');
    if (name !== undefined) openids.add(person[name]);
  });
  return Array.from(openids);
}

module.exports = { find };
