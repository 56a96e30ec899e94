'use strict';

// The one call that lets a message reach a phone, and what its end means.
//
// A positive code is WeChat's own word that it did not send; so are the three codes that say the function may
// not call this interface. Every other failure may hide a message that went out, and so may silence: WeChat
// gives no key by which a second send would be recognised, so what is unknown is never sent again.

const cloud = require('wx-server-sdk');

const { codeOf, textOf } = require('./answer');
const { settings } = require('./settings');
const { within } = require('./within');

const NEVER_STARTED = [-604100, -604101, -604104];

// `{state, code, message, msgid}`. When our own limit struck there is `later` as well: a promise of the real
// end, which never rejects.
async function send(message) {
  // Without the SDK's change of case, the template's own names of fields arrive as they are, and newer SDKs
  // give the message's id exactly.
  const call = cloud.openapi({ convertCase: false }).subscribeMessage.send(message);
  const ended = call.then(accepted, (error) => failed(error, message.touser));
  const limitMs = settings().sendLimitMs;
  return within(limitMs, ended, () => {
    return Object.assign(end('unknown', 0, 'no answer from WeChat within ' + limitMs + ' ms'), { later: ended });
  });
}

function accepted(result) {
  return Object.assign(end('sent', 0, ''), { msgid: msgidOf(result) });
}

function failed(error, openid) {
  const code = codeOf(error);
  const isCertain = code > 0 || NEVER_STARTED.indexOf(code) >= 0;
  return end(isCertain ? 'refused' : 'unknown', code, textOf(error, openid));
}

function end(state, code, message) {
  return { state: state, code: code, message: message, msgid: null };
}

// The message's id as text, or null: it has 19 digits, and what the SDKs make of it differs. A rounded number
// is no id.
function msgidOf(result) {
  const given = result === null || result === undefined ? null : result.msgid;
  if (given === null || given === undefined) return null;
  if (typeof given === 'string') return given;
  if (typeof given === 'bigint') return given.toString();
  if (typeof given === 'number') return Number.isSafeInteger(given) ? String(given) : null;
  return typeof given.toFixed === 'function' ? given.toFixed(0) : null;
}

module.exports = { send, msgidOf };
