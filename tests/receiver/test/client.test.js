'use strict';

// The mini program's side: what counts as "allow", and what is reported.

const assert = require('node:assert');
const { test } = require('node:test');

const { FUNCTION } = require('../harness');
const { requestSubscribe } = require(FUNCTION + '/client/requestSubscribe');

// A `wx` that answers the question, and keeps what is reported.
function wx(said, callFunction) {
  const reports = [];
  global.wx = {
    requestSubscribeMessage: ({ success, fail }) => (said === null ? fail({ errCode: 20004 }) : success(said)),
    cloud: {
      callFunction: (report) => {
        reports.push(report);
        return callFunction ? callFunction() : Promise.resolve({});
      },
    },
  };
  return reports;
}

test('every kind of "allow" counts, and nothing else', async () => {
  const allowed = { a: 'accept', b: 'acceptWithAudio', c: 'acceptWithAlert', d: 'acceptWithForcePush' };
  const reports = wx({ ...allowed, e: 'reject', f: 'ban', g: 'filter', errMsg: 'requestSubscribeMessage:ok' });
  const accepted = await requestSubscribe(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  assert.deepStrictEqual(accepted, ['a', 'b', 'c', 'd']);
  assert.deepStrictEqual(reports, [{ name: 'quickstartFunctions', data: { type: 'subscribed', accepted } }]);
});

test('a refusal is not reported, and a report that fails costs nothing', async () => {
  assert.deepStrictEqual(await requestSubscribe(['a'], wx({ a: 'reject' })), []);
  const reports = wx({ a: 'accept' }, () => Promise.reject(new Error('offline')));
  assert.deepStrictEqual(await requestSubscribe(['a']), ['a']);
  assert.strictEqual(reports.length, 1);
  wx(null);
  await assert.rejects(requestSubscribe(['a']), { errCode: 20004 });
});
