'use strict';

// The rule of each type of template field: any value in, a text that WeChat takes out, or null when the value
// has nothing to offer. So a message is never refused as "argument invalid", whatever the CRM wrote.
//
// Where a cut would make a different thing (a number, a plate, a telephone), the value is left out instead; the
// field's fallback stands in then, and in the last resort `LAST`.

const { clean, cut, narrow } = require('./text');
const moment = require('./moment');

const HANZI = /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[\ud840-\ud8bf][\udc00-\udfff]/;
// Letters that take the room of one in a name of twenty: Latin, with its accents, and plain signs.
const LATIN = /^[\u0020-\u024f\u0300-\u036f\u2010-\u2027]*$/;

const RULES = {
  thing: (value) => texts(value, (text) => cut(text, 20, '…')),
  number: (value) => texts(value, (text) => digits(text, 32)),
  letter: (value) => texts(value, (text) => narrow(text).replace(/[^A-Za-z]/g, '').slice(0, 32)),
  symbol: (value) => texts(value, (text) => narrow(text).replace(/[^!-/:-@[-`{-~]/g, '').slice(0, 5)),
  character_string: (value) => texts(value, (text) => narrow(text).replace(/ /g, '-').replace(/[^!-~]/g, '').slice(0, 32)),
  time: (value, field, offset) => time(moment.read(value, offset), field.show),
  date: (value, field, offset) => date(moment.read(value, offset), field.show),
  amount: (value) => texts(value, amount),
  phone_number: (value) => texts(value, phone),
  car_number: (value) => texts(value, plate),
  name: (value) => texts(value, name),
  phrase: (value) => texts(value, (text) => text.replace(/[^\u4e00-\u9fff]/g, '').slice(0, 5)),
  enum: listed,
  enum_string: listed,
  const: listed,
};

// What stands in when neither value nor fallback has anything to offer. Times have none: there the time of the
// event stands in.
const LAST = {
  thing: '-',
  number: '0',
  letter: 'NA',
  symbol: '-',
  character_string: '-',
  amount: '0元',
  phone_number: '0',
  car_number: '无',
  name: '-',
  phrase: '无',
};

// Clean text through one rule; null and the empty text are the same: nothing to offer.
function texts(value, rule) {
  const text = clean(value);
  return (text === null ? null : rule(text)) || null;
}

// The one number in a text: `12个` is 12. Two numbers, or one below zero, are none.
function digits(text, most) {
  const plain = narrow(text).replace(/(\d)[, ](?=\d{3}(?!\d))/g, '$1');
  const found = plain.match(/\d+(?:\.\d+)?/g);
  if (found === null || found.length !== 1 || /[-\u2212]|\d[eE]|\.\d+\./.test(plain)) return null;
  const [whole, decimals] = found[0].split('.');
  if (whole.length > most) return null;
  const kept = (decimals || '').slice(0, Math.max(0, most - whole.length - 1));
  return kept === '' ? whole : whole + '.' + kept;
}

// With its currency sign, or with 元 behind it: whether WeChat takes a bare number is not known.
function amount(text) {
  const number = digits(text, 10);
  if (number === null) return null;
  const sign = /[￥¥$€£]/.exec(text);
  if (sign === null) return number + '元';
  return (sign[0] === '¥' ? '￥' : sign[0]) + number;
}

// The first telephone number in a text, without its spaces and brackets.
function phone(text) {
  const found = /\+?\d[\d\-+ ().]*/.exec(narrow(text));
  if (found === null) return null;
  const number = found[0].replace(/[^\d+-]/g, '').replace(/[-+]+$/, '');
  return number.length <= 17 ? number : null;
}

function plate(text) {
  const found = narrow(text).replace(/[ ·.\-•]/g, '').toUpperCase();
  return /^[\u4e00-\u9fff]?[A-Z0-9]{1,8}[\u4e00-\u9fff]?$/.test(found) && found.length <= 8 ? found : null;
}

// Ten with hanzi in it, twenty without; no digit of any script.
function name(text) {
  const left = clean(text.replace(/\p{N}/gu, ''));
  return left === null ? null : cut(left, LATIN.test(left) && !HANZI.test(left) ? 20 : 10, '');
}

function time(at, show) {
  if (at === null || at.hour === null) return null;
  return at.year === null || show === 'time' ? moment.timeText(at) : moment.dateText(at) + ' ' + moment.timeText(at);
}

function date(at, show) {
  if (at === null || at.year === null) return null;
  return at.hour === null || show !== 'datetime' ? moment.dateText(at) : moment.dateText(at) + ' ' + moment.timeText(at);
}

// Only what the template lists.
function listed(value, field) {
  return texts(value, (text) => (field.values.indexOf(text) >= 0 ? text : null));
}

module.exports = { RULES, LAST };
