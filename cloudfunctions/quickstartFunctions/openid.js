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

// What the database gives at once.
const MOST_DOCUMENTS = 100;

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

// The openids of many, in the order given; null for whoever has none, or two. One request for all of them; only
// when its answer was cut short, one for each.
async function findAll(recipients) {
  const people = await ask(recipients, MOST_DOCUMENTS);
  if (people.length === MOST_DOCUMENTS) {
    const found = await Promise.all(recipients.map(find));
    return found.map((person) => person.openid || null);
  }
  const field = settings().staffField;
  return recipients.map((recipient) => {
    const openids = openidsOf(people.filter((person) => String(person[field]) === recipient));
    return recipient.trim() !== '' && openids.length === 1 ? openids[0] : null;
  });
}

async function lookUp(recipient) {
  if (recipient.trim() === '') return [];
  return openidsOf(await ask([recipient], 10));
}

async function ask(recipients, most) {
  const set = settings();
  const db = cloud.database();
  const question = {};
  question[set.staffField] = db.command.in([].concat(...recipients.map(idsOf)));
  const found = await limited(db.collection(set.users).where(question).limit(most).get());
  return found.data;
}

// Ids of a CRM are often numbers, and the document may hold them as such.
function idsOf(recipient) {
  const number = Number(recipient);
  return Number.isSafeInteger(number) && String(number) === recipient ? [recipient, number] : [recipient];
}

// Each once.
function openidsOf(people) {
  const names = settings().openidField.split(',').map((name) => name.trim());
  const openids = new Set();
  people.forEach((person) => {
    const name = names.find((candidate) => typeof person[candidate] === 'string' && person[candidate] !== '');
    if (name !== undefined) openids.add(person[name]);
  });
  return Array.from(openids);
}

module.exports = { find, findAll };
