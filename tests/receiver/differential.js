'use strict';

// What the function writes for made-up values, a line of JSON each, so that the other reader of templates.json (the
// daemon's direct mode, src/wechat/template.rs) can be held to it: see README.md. SEED=… and COUNT=… repeat a run.

const { value } = require('../../cloudfunctions/quickstartFunctions/template');

const TYPES = ['thing', 'number', 'letter', 'symbol', 'character_string', 'time', 'date', 'amount', 'phone_number',
  'car_number', 'name', 'phrase', 'enum', 'enum_string', 'const'];
const PIECES = ['👩‍👩‍👧‍👦', '1️⃣', '☎', '©', '\u202e', '\u200b', '\ufeff', '\u0000', '\n', '\u0085', '\u2028', 'مرحبا', 'ไทยำ',
  '한국어', 'ﾊﾟ', 'ᄀᄀᆨ', 'Zoë', '￥', '¥', '$', '+86', '粤A', '2026-11-22', '2026年1月2日', 'T13:29:17Z', 't1:02', ' 24:00', ' 23:59:60',
  '+08', '-05:30', '.25', '２０２６', '~', '  ', ',000', 'e5', '.5', '-', '字', '𠮷', 'e\u0301', '13800000000', '12个', 'ß', 'ﬁ', '高',
  '·', '（', '1', '20', '300', ' ', ',', '.', ':'];

let state = Number(process.env.SEED) || 1;
function below(n) {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return Math.floor(((state >>> 8) / 2 ** 24) * n);
}

function text() {
  let made = '';
  for (let i = below(12); i > 0; i -= 1) {
    const code = below(0xd800);
    made += below(3) > 0 ? PIECES[below(PIECES.length)] : String.fromCodePoint(below(2) ? code : 0x20000 + code);
  }
  return made;
}

function anything() {
  const made = [text, text, text, text, () => below(1e6) / 8, () => below(2 ** 24) * below(2 ** 24) * 16,
    () => -below(100), () => null, () => true, () => [text()]];
  return made[below(made.length)]();
}

for (let i = 0; i < (Number(process.env.COUNT) || 100000); i += 1) {
  const key = TYPES[i % TYPES.length] + '1';
  const field = { from: 'payload.given', fallback: anything(), values: /^enum|^const/.test(key) ? ['低', '高'] : undefined };
  if (below(3) === 0) field.show = ['time', 'datetime', 'date'][below(3)];
  const event = { sentAt: '2026-11-22T13:29:17.000Z', payload: { given: anything() } };
  console.log(JSON.stringify({ key, field, event, text: value(key, field, event) }));
}
