'use strict';

// The cloud function `quickstartFunctions`: the quickstart of WeChat DevTools, and beside it the receiver
// of outboxd.
//
// outboxd calls over HTTP: `notify` (send, unless you have), `inquire` (have you?), `seal` (never send it
// from now on), `grants` (who has allowed messages?), `ping`. The mini program calls: `subscribed`, and the stock
// branches. What is told by whom is checked in `check.js`; the journey of a notification is `receiver.js`.
//
// It answers in every case, and always with an object of its own making: an error that leaves `main`, or a
// result of the SDK that cannot be written as JSON, would look like a crash after the message went out.

const cloud = require('wx-server-sdk');

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV });

const { CODE, refused } = require('./answer');
const { CHECK } = require('./step');
const receiver = require('./receiver');
const grants = require('./grants');
const stock = require('./stock');

exports.main = async (given) => {
  // Before the first `await`: the platform writes who called into the environment, call by call.
  const caller = cloud.getWXContext();
  const event = given !== null && typeof given === 'object' ? given : {};
  const started = Date.now();
  switch (event.type) {
    case 'notify':
    case 'inquire':
    case 'seal':
    case 'grants':
    case 'ping':
      return told(event, started, await receiver.receive(event, caller));
    case 'subscribed':
      return told(event, started, await grants.subscribed(event, caller));
    case 'getOpenId':
    case 'getMiniProgramCode':
    case 'genMpQrcode':
    case 'createCollection':
    case 'selectRecord':
    case 'insertRecord':
    case 'updateRecord':
    case 'deleteRecord':
    case 'sumRecord':
    case 'fetchGoodsList':
      return stock[event.type](event, caller);
    default:
      return refused(event.key, CHECK, CODE.UNKNOWN_TYPE, 'this function does not know the type of this event');
  }
};

// One line per call. The key is enough to find the notification; who is told and what stays out.
function told(event, started, answer) {
  console.log(JSON.stringify({
    type: event.type,
    key: answer.key,
    state: answer.state,
    step: answer.step,
    code: answer.code,
    ms: Date.now() - started,
  }));
  return answer;
}
