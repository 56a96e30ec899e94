'use strict';

// Whatever the CRM writes, the message is well formed: thousands of random values through every type, held against
// the rules in `fake/fields.js`, which share nothing with the function. SEED=… repeats a run.

const assert = require('node:assert');
const { test } = require('node:test');

const { FUNCTION, event } = require('../harness');
const { misfit } = require('../fake/fields');
const { value } = require(FUNCTION + '/template');

const seed = Number(process.env.SEED) || Math.floor(Math.random() * 2 ** 31);
const random = generator(seed);
const below = (n) => Math.floor(random() * n);
const pick = (list) => list[below(list.length)];

const TYPES = ['thing', 'number', 'letter', 'symbol', 'character_string', 'time', 'date', 'amount', 'phone_number',
  'car_number', 'name', 'phrase', 'enum', 'enum_string', 'const'];
const PARTS = [
  () => String.fromCodePoint(0x4e00 + below(0x5200)),
  () => String.fromCodePoint(0x20000 + below(0x20000)),
  () => String.fromCharCode(32 + below(95)),
  () => String.fromCharCode(below(0x300)),
  () => String.fromCharCode(below(0x10000)),
  () => String.fromCodePoint(0x1f000 + below(0x1000)),
  () => String.fromCodePoint(below(0x110000)),
  () => pick(['👩‍👩‍👧‍👦', '🇨🇳', '1️⃣', '❤️', '👍🏽', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '☎', '©']),
  () => 'e' + '\u0301'.repeat(below(30)),
  () => pick(['\u202e', '\u2066', '\u200d', '\u200b', '\ufeff', '\u0000', '\n', '\r', '\t', '\u0085', '\u2028', '\u00ad']),
  () => pick(['\ud800', '\udfff', '\ud840', '\udc00']),
  () => pick(['مرحبا', 'שלום', 'ไทยำ', 'हिन्दी', '한국어', '각', 'ﾊﾟ', 'ᄀᄀᆨ', 'Zoë']),
  () => String(below(1e9)) + pick(['', '.5', '个', '元', '-', '年', ',000', 'e5']),
  () => pick(['￥', '¥', '$', '+86', '粤A', '2026-11-22', 'T13:29:17Z', ' 24:00', '２０２６', '年1月1日', '9999-12-31T23:59:59Z', '~']),
  () => ' '.repeat(below(4)),
];

function anything(depth) {
  switch (below(depth > 2 ? 8 : 12)) {
    case 0: return null;
    case 1: return pick([0, -0, 1e21, 1e-7, NaN, Infinity, 2 ** 53, -1, 1e300, 0.1 + 0.2, Date.now(), 253402300800000]);
    case 2: return random() * 10 ** below(25) - 10 ** below(8);
    case 3: return pick([true, false, undefined, '']);
    case 4: return text(below(5000));
    case 8: return [anything(depth + 1), anything(depth + 1)];
    case 9: return { a: anything(depth + 1), value: text(3) };
    default: return text(below(30));
  }
}

function text(parts) {
  let made = '';
  for (let i = 0; i < parts; i += 1) made += pick(PARTS)();
  return made;
}

test(`every value satisfies the rule of its type (SEED=${seed})`, () => {
  for (let i = 0; i < 6000; i += 1) {
    const type = TYPES[i % TYPES.length];
    const field = { from: pick(['payload.given', ['payload.none', 'payload.given'], 'payload.given.a']) };
    if (random() < 0.3) field.fallback = anything(3);
    if (/^enum|^const/.test(type)) field.values = ['低', '高'];
    if (random() < 0.3) field.show = pick(['time', 'date', 'datetime', 'nonsense']);
    const given = { ...event(), sentAt: random() < 0.1 ? anything(3) : '2026-11-22T13:29:17Z', payload: { given: anything(0) } };
    const written = value(type + '1', field, given);
    const why = misfit(type, written);
    const told = `${JSON.stringify(given.payload.given)} → ${JSON.stringify(written)}`;
    assert.strictEqual(why, null, `SEED=${seed} ${type} ${told}: ${why}`);
  }
});

test(`a cut never goes through what a reader sees as one character (SEED=${seed})`, () => {
  const words = new Intl.Segmenter('und', { granularity: 'grapheme' });
  const clusters = ['王', '𠮷', 'e\u0301', 'ö\u0323', '각', '\u1100\u1161\u11a8', 'ﾊﾟ', 'กำ', 'a', '。'];
  for (let i = 0; i < 3000; i += 1) {
    let long = '';
    while (long.length < 30) long += pick(clusters);
    const written = value('thing1', { from: 'payload.given' }, event({ payload: { given: long } }));
    assert.ok(written.length <= 20 && written.endsWith('…'), written);
    const kept = written.slice(0, -1);
    const ends = [...words.segment(long)].map(({ index }) => index);
    assert.ok(long.startsWith(kept) && ends.includes(kept.length), JSON.stringify([long, written]));
  }
});

// mulberry32: small, and the same everywhere.
function generator(start) {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
