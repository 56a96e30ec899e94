'use strict';

// The answer object of the wire contract, and the codes this function says on its own account.
//
// Every field is there in every answer, so whoever reads it never asks whether one is missing. A code of
// WeChat's is passed on as it came; what we found out ourselves has a number of our own, outside WeChat's.

const CODE = {
  BAD_EVENT: 1001,
  UNKNOWN_TYPE: 1002,
  BAD_SIGNATURE: 1003,
  NO_OPENID: 1004,
  WRONG_CALLER: 1005,
  NO_TEMPLATE: 1006,
};

// What a failure without a usable code of its own is called; the SDK does the same.
const SYSTEM_ERROR = -501001;
const LONGEST_MESSAGE = 200;

function told(state, key, step, more) {
  return Object.assign({
    ok: false,
    state: state,
    key: typeof key === 'string' ? key : '',
    code: 0,
    message: '',
    step: step,
    duplicate: false,
    msgid: null,
    grantsLeft: null,
  }, more);
}

function refused(key, step, code, message) {
  return told('refused', key, step, { code: code, message: message });
}

// The code of an SDK error, written in any of the ways they have been seen. A bare -1 is not passed on: from
// the database it means "no such document" or nothing at all, and from WeChat something else.
function codeOf(error) {
  const given = error && (error.errCode !== undefined ? error.errCode : error.errcode);
  const code = typeof given === 'string' && given.trim() !== '' ? Number(given) : given;
  return Number.isInteger(code) && code !== 0 && code !== -1 ? code : SYSTEM_ERROR;
}

// Its text, for people, without the person it is about.
function textOf(error, openid) {
  const given = error && (error.errMsg || error.errmsg || error.message);
  const text = typeof given === 'string' ? given : 'an error without a text';
  const short = openid ? text.split(openid).join('***') : text;
  return short.slice(0, LONGEST_MESSAGE);
}

module.exports = { CODE, SYSTEM_ERROR, told, refused, codeOf, textOf };
