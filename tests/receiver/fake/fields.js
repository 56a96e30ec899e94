'use strict';

// What WeChat refuses in a message, written from its documentation and from nothing of the function's: the rule of
// each field type, the page, the order's shape. Where the documentation leaves something open, the stricter
// reading: what passes here passes there.

const HANZI = '\\p{Script=Han}';
const ASCII_SIGN = '[!-/:-@\\[-`{-~]';
const MOMENT_DATE = '\\d{4}年([1-9]|1[0-2])月([1-9]|[12]\\d|3[01])日';
const MOMENT_TIME = '([01]\\d|2[0-3]):[0-5]\\d';

const RULES = {
  thing: /^[^]{1,20}$/,
  number: /^(?=.{1,32}$)\d+(\.\d+)?$/,
  letter: /^[A-Za-z]{1,32}$/,
  symbol: new RegExp(`^${ASCII_SIGN}{1,5}$`),
  character_string: new RegExp(`^([0-9A-Za-z]|${ASCII_SIGN}){1,32}$`),
  time: new RegExp(`^(${MOMENT_DATE} )?${MOMENT_TIME}$`),
  date: new RegExp(`^${MOMENT_DATE}( ${MOMENT_TIME})?$`),
  amount: /^(?=\D*(\d\D*){1,10}$)([￥$€£]\d+(\.\d+)?|\d+(\.\d+)?元)$/,
  phone_number: /^[0-9+-]{1,17}$/,
  car_number: new RegExp(`^(?=.{1,8}$)${HANZI}?[A-Z0-9]*${HANZI}?$`, 'u'),
  phrase: new RegExp(`^${HANZI}{1,5}$`, 'u'),
  name: /^[^]{1,20}$/,
  enum: /^[^]+$/,
  enum_string: /^[^]+$/,
  const: /^[^]+$/,
};

// What no type takes: controls, direction marks, joiners, halves of characters, emoji.
const INVISIBLE = '[\\p{Cc}\\p{Cf}\\p{Cs}\\p{Co}\\p{Noncharacter_Code_Point}\\p{Zl}\\p{Zp}\\u20e3\\ufe00-\\ufe0f]';
const NOWHERE = new RegExp(`${INVISIBLE}|(?![0-9#*])\\p{Extended_Pictographic}`, 'u');

// Why a value does not fit its type, or null.
function misfit(type, value) {
  if (typeof value !== 'string') return 'is no text';
  if (value.trim() === '') return 'is empty';
  if (NOWHERE.test(value)) return 'has a character that belongs nowhere';
  if (!RULES[type].test(value)) return 'breaks the rule of its type';
  if (type === 'name' && /\p{N}/u.test(value)) return 'has a digit';
  if (type === 'name' && /\p{Script=Han}/u.test(value) && value.length > 10) return 'is too long for a name with hanzi';
  return null;
}

// `[errcode, errmsg]` for an order that WeChat would refuse, `[0]` for one it takes.
function offence(order) {
  if (!/^o/.test(order.touser || '')) return [40003, 'invalid openid'];
  if (!/^TMPL_/.test(order.template_id || '')) return [40037, 'invalid template_id'];
  if (order.page !== undefined && order.page.startsWith('/')) return [41030, 'invalid page'];
  for (const [key, field] of Object.entries(order.data)) {
    const why = misfit(key.replace(/\d+$/, ''), field.value);
    if (why) return [47003, `argument invalid! data.${key}.value ${why}`.slice(0, 48)];
  }
  return [0];
}

module.exports = { misfit, offence };
