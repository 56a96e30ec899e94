'use strict';

// What each SDK makes of a database that says no, as README.md tells it: codes that outboxd can read, never a bare -1.

const assert = require('node:assert');
const { after, before, describe, test } = require('node:test');

const { Cloud } = require('../fake/cloud');
const { Receiver, SDKS, event } = require('../harness');

const SAID = {
  DATABASE_REQUEST_FAILED: -502001,
  DATABASE_PERMISSION_DENIED: -502003,
  DATABASE_COLLECTION_NOT_EXIST: -502005,
  SERVER_TIMEOUT: -501002,
  EXCEED_REQUEST_LIMIT: -501003,
  DATABASE_TRANSACTION_CONFLICT: -501001,
  'http 500': -501001,
};

for (const sdk of SDKS) {
  describe('a database that says no, on wx-server-sdk ' + sdk, () => {
    const cloud = new Cloud();
    let receiver;
    before(async () => {
      await cloud.listen();
      receiver = new Receiver({ sdk, cloud });
    });
    after(async () => {
      await receiver.stop();
      await cloud.close();
    });

    for (const [name, code] of Object.entries(SAID)) {
      test(name, async () => {
        cloud.reset();
        cloud.failure = name;
        for (const type of ['notify', 'inquire', 'seal']) {
          const answer = await receiver.call(event({ type }));
          assert.deepStrictEqual([answer.state, answer.step, answer.code], ['refused', 'claim', code], answer.message);
        }
        assert.strictEqual(cloud.messages.length, 0);
      });
    }
  });
}
