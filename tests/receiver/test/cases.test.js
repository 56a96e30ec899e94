'use strict';

// The table of `cases.json` on every SDK: what the function answers to an event, how many messages reach a phone, and
// how the receipt and the ledger stand afterwards.

const assert = require('node:assert');
const { after, before, describe, test } = require('node:test');

const { Cloud } = require('../fake/cloud');
const { NODE_10, PINNED, Receiver, SDKS, event, ledgerId } = require('../harness');
const { base, cases, templateId } = require('../cases.json');

const OPENID = 'oNobodyRealAtAll';
const EVERY_FIELD = ['ok', 'state', 'key', 'code', 'message', 'step', 'duplicate', 'msgid', 'grantsLeft'];

const places = SDKS.map((sdk) => ({ sdk, node: process.execPath }));
if (NODE_10) places.push({ sdk: PINNED, node: NODE_10 });

for (const { sdk, node } of places) {
  describe(`wx-server-sdk ${sdk} on ${node === NODE_10 ? 'Node 10.15' : 'this Node'}`, () => {
    const cloud = new Cloud();
    let receiver;
    before(async () => {
      await cloud.listen();
      receiver = new Receiver({ sdk, node, cloud, environment: { OUTBOXD_SEND_LIMIT_MS: '200' } });
    });
    after(async () => {
      await receiver.stop();
      await cloud.close();
    });

    for (const one of cases) {
      test(one.name, async () => {
        cloud.reset();
        furnish(cloud, one);
        const given = { ...event(base), ...one.event };
        const source = one.source === undefined ? 'wx_http' : one.source;
        const answer = await receiver.call(given, { source });

        const more = given.type === 'ping' ? ['version'] : [];
        if (answer.state === 'answered') more.push('grants');
        const fields = [...EVERY_FIELD, ...more];
        assert.deepStrictEqual(Object.keys(answer).sort(), [...fields].sort());
        assert.strictEqual(answer.key, typeof given.key === 'string' ? given.key : '');
        for (const [name, wanted] of Object.entries(one.answer)) assert.deepStrictEqual(answer[name], wanted, name);
        if (answer.step === 'record') assert.strictEqual(answer.msgid, sdk === '2.4.0' ? null : '1988810812324364291');

        assert.strictEqual(cloud.messages.length, one.messages, 'messages');
        const receipt = cloud.documents('outboxd_receipts').get(given.key);
        assert.strictEqual(receipt === undefined ? null : receipt.state, one.after || null, 'receipt');
        if (one.grantsAfter !== undefined) {
          assert.strictEqual(cloud.documents('outboxd_grants').get(ledgerId(OPENID, templateId)).left, one.grantsAfter);
        }
        const stored = JSON.stringify([...cloud.documents('outboxd_receipts').values()]);
        for (const text of [receiver.log, JSON.stringify(answer), stored]) {
          assert.ok(!text.includes(OPENID) && !text.includes('李女士'), 'personal data in ' + text);
        }
      });
    }
  });
}

function furnish(cloud, one) {
  if (one.openid === undefined) cloud.documents('users').set('u1', { _id: 'u1', staffId: 42, openid: OPENID });
  if (one.receipt) {
    const { ageMs, ...kept } = one.receipt;
    const empty = { _id: base.key, by: 'somebody', code: 0, message: '', msgid: null, at: new Date(Date.now() - ageMs) };
    cloud.documents('outboxd_receipts').set(base.key, { ...empty, ...kept });
  }
  if (one.grants !== undefined) {
    const id = ledgerId(OPENID, templateId);
    cloud.documents('outboxd_grants').set(id, { _id: id, openid: OPENID, templateId, left: one.grants });
  }
  if (one.send) cloud.sends = [{ errmsg: 'refused for ' + OPENID, ...one.send }];
}
