'use strict';

// Who may ask for what: signatures, the mini program's own calls, the quickstart's branches, and events that nobody
// should ever send.

const assert = require('node:assert');
const { createHmac } = require('node:crypto');
const { after, before, beforeEach, describe, test } = require('node:test');

const { Cloud } = require('../fake/cloud');
const { FUNCTION, Receiver, SDKS, event, ledgerId } = require('../harness');

const SECRET = '共享密钥-0123456789';
const CLIENT = { source: 'wx_client', openid: 'oTapper' };
const cloud = new Cloud();

before(() => cloud.listen());
after(() => cloud.close());
beforeEach(() => {
  cloud.reset();
  cloud.documents('users').set('u', { _id: 'u', staffId: '42', openid: 'oA' });
});

// RFC 8785 once more, by way of text: good for what these events hold.
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

function signed(given) {
  const signature = createHmac('sha256', SECRET).update(JSON.stringify(sorted(given))).digest('hex');
  return { ...given, signature };
}

describe('with a signing secret', () => {
  let receiver;
  before(() => { receiver = new Receiver({ cloud, environment: { OUTBOXD_SIGNING_SECRET: SECRET } }); });
  after(() => receiver.stop());

  const minutes = (n) => new Date(Date.now() + n * 60000).toISOString();
  const odd = { payload: { z: 1.10, e: 1e21, 客户: '张三', tiny: 1e-7, deep: [{ b: null, a: true }] } };
  const cases = [
    ['a signed event', signed(event()), 'sent', 0],
    ['numbers and names that want care', signed(event(odd)), 'sent', 0],
    ['four minutes old', signed(event({ sentAt: minutes(-4) })), 'sent', 0],
    ['six minutes old', signed(event({ sentAt: minutes(-6) })), 'refused', 1003],
    ['six minutes early', signed(event({ sentAt: minutes(6) })), 'refused', 1003],
    ['no time', signed(event({ sentAt: 'soon' })), 'refused', 1003],
    ['not signed', event(), 'refused', 1003],
    ['a changed recipient', { ...signed(event()), recipient: '43' }, 'refused', 1003],
    ['an added field', { ...signed(event()), extra: 1 }, 'refused', 1003],
    ['half a signature', { ...signed(event()), signature: signed(event()).signature.slice(0, 32) }, 'refused', 1003],
    ['a signature that is no text', { ...signed(event()), signature: 7 }, 'refused', 1003],
    ['what the platform may add', { ...signed(event()), tcbContext: { a: 1 } }, 'sent', 0],
    ['a question to the ledger', signed(event({ type: 'grants', asked: [{ recipient: '42', eventType: 'x' }] })), 'answered', 0],
    ['a question that is not signed', event({ type: 'grants', asked: [{ recipient: '42', eventType: 'x' }] }), 'refused', 1003],
    ['a ping', signed(event({ type: 'ping' })), 'not_seen', 0],
    ['a ping that is not signed', event({ type: 'ping' }), 'refused', 1003],
  ];
  for (const [name, given, state, code] of cases) {
    test(name, async () => {
      const answer = await receiver.call(given);
      assert.deepStrictEqual([answer.state, answer.code], [state, code], answer.message);
      assert.strictEqual(cloud.messages.length, state === 'sent' ? 1 : 0);
    });
  }
});

test('the signature is the one that outboxd makes', () => {
  const { canonical } = require(FUNCTION + '/check');
  const given = {
    type: 'notify', key: '0b8e5a4e-6f0a-4a54-9c3e-0d5b8f1f7a10', attempt: 3, epoch: 1772352000123,
    sentAt: '2026-03-01T12:00:00.500Z', eventType: 'customer.assigned', recipient: 'user-9',
    aggregate: { type: 'customer', id: '客户-1' }, traceparent: null,
    payload: JSON.parse('{"z": 1.10, "a": {"客户": "张三", "n": 12345678901234567890}, "e": 1e21}'),
  };
  // The value of the test beside src/wechat/event.rs.
  const expected = '1839ede0a103b788080613d08e0af4ce2862b578265ee93dac148bf54093add5';
  assert.strictEqual(createHmac('sha256', '共享密钥').update(canonical(given)).digest('hex'), expected);
});

for (const sdk of SDKS) {
  describe('the mini program, on wx-server-sdk ' + sdk, () => {
    let receiver;
    before(() => { receiver = new Receiver({ sdk, cloud }); });
    after(() => receiver.stop());

    test('an "allow" is one grant, and a message spends it', async () => {
      const subscribed = { type: 'subscribed', accepted: ['TMPL_ASSIGNED', 'TMPL_OF_NOBODY', 7], openid: 'oSomebodyElse' };
      const first = await receiver.call(subscribed, CLIENT);
      assert.deepStrictEqual(first, { ok: true, code: 0, message: '', grants: { TMPL_ASSIGNED: 1 } });
      assert.deepStrictEqual((await receiver.call(subscribed, CLIENT)).grants, { TMPL_ASSIGNED: 2 });
      assert.deepStrictEqual([...cloud.documents('outboxd_grants').keys()], [ledgerId('oTapper', 'TMPL_ASSIGNED')]);
      cloud.documents('users').set('t', { _id: 't', staffId: 'tapper', openid: 'oTapper' });
      assert.strictEqual((await receiver.call(event({ recipient: 'tapper' }))).grantsLeft, 1);
      assert.ok(!receiver.log.includes('oTapper'), receiver.log);
    });

    test('the ledger is asked about many, and of two people with one id it says nothing', async () => {
      const people = ['43', 'tapper', 'twice'];
      const openids = { 43: 'o43', tapper: 'oTapper', twice: 'oB' };
      people.forEach((id) => {
        cloud.documents('users').set(id, { _id: id, staffId: id === '43' ? 43 : id, openid: openids[id] });
      });
      cloud.documents('users').set('again', { _id: 'again', staffId: 'twice', openid: 'oC' });
      const report = { type: 'subscribed', accepted: ['TMPL_ASSIGNED'] };
      const tap = (openid) => receiver.call(report, { source: 'wx_client', openid });
      for (const openid of ['oTapper', 'oTapper', 'o43', 'oB', 'oC']) await tap(openid);
      const asked = [...people, 'nobody'].map((recipient) => ({ recipient, eventType: 'customer_assigned' }));
      const ask = async () => (await receiver.call(event({ type: 'grants', asked }))).grants.map(({ left }) => left);
      assert.deepStrictEqual(await ask(), [1, 2, null, null]);
      // More documents than the database gives at once: each is looked up by itself.
      const double = { staffId: 'tapper', openid: 'oTapper' };
      for (let n = 0; n < 100; n += 1) cloud.documents('users').set('d' + n, { _id: 'd' + n, ...double });
      assert.deepStrictEqual(await ask(), [1, 2, null, null]);
      assert.ok(!receiver.log.includes('oTapper'), receiver.log);
    });

    test('ten taps at once are ten grants', async () => {
      const tap = () => receiver.call({ type: 'subscribed', accepted: ['TMPL_ASSIGNED'] }, CLIENT);
      await Promise.all(Array.from({ length: 10 }, tap));
      assert.strictEqual(cloud.documents('outboxd_grants').get(ledgerId('oTapper', 'TMPL_ASSIGNED')).left, 10);
    });

    test('a tap while WeChat refuses is a new grant', async () => {
      cloud.documents('users').set('t', { _id: 't', staffId: 'tapper', openid: 'oTapper' });
      const tap = () => receiver.call({ type: 'subscribed', accepted: ['TMPL_ASSIGNED'] }, CLIENT);
      const key = (n) => `5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3${n}`;
      for (const [n, left] of [[0, 1], [1, 2]]) {
        cloud.sends[n] = { errcode: 43101 };
        cloud.after = async (name) => { if (name === 'send') await tap(); };
        const answer = await receiver.call(event({ recipient: 'tapper', key: key(n) }));
        assert.deepStrictEqual([answer.code, answer.grantsLeft], [43101, left]);
      }
      cloud.after = async () => {};
      cloud.sends[2] = { errcode: 43101 };
      assert.strictEqual((await receiver.call(event({ recipient: 'tapper', key: key(2) }))).grantsLeft, 0);
    });

    test('nobody reports for another', async () => {
      const subscribed = { type: 'subscribed', accepted: ['TMPL_ASSIGNED'], openid: 'oVictim' };
      for (const caller of [{ source: 'wx_http' }, { source: 'wx_client' }, { source: 'wx_trigger', openid: 'oX' }]) {
        assert.strictEqual((await receiver.call(subscribed, caller)).code, 1005);
      }
      assert.strictEqual(cloud.documents('outboxd_grants').size, 0);
    });

    test('the quickstart keeps working', async () => {
      const stock = (type, more) => receiver.call({ type, ...more }, CLIENT);
      assert.deepStrictEqual(await stock('getOpenId'), { openid: 'oTapper', appid: 'wxfa15efa15efa15e0' });
      assert.deepStrictEqual(await stock('createCollection'), { success: true });
      assert.deepStrictEqual(await stock('createCollection'), { success: true, data: 'create collection success' });
      const records = (await stock('selectRecord')).data;
      assert.deepStrictEqual(records.map(({ city }) => city), ['上海', '南京', '广州', '深圳']);
      const changed = [{ _id: records[0]._id, sales: 30 }];
      assert.deepStrictEqual(await stock('updateRecord', { data: changed }), { success: true, data: changed });
      const added = { region: '华南', city: '珠海', sales: '5' };
      assert.strictEqual((await stock('insertRecord', { data: added })).success, true);
      assert.strictEqual((await stock('deleteRecord', { data: { _id: records[1]._id } })).success, true);
      const { list } = await stock('sumRecord');
      assert.deepStrictEqual(list, [{ _id: '华东', sum: 30 }, { _id: '华南', sum: 49 }]);
      assert.strictEqual((await stock('fetchGoodsList')).dataList.length, 3);
      assert.strictEqual(await stock('getMiniProgramCode'), 'cloud://code.png');
      assert.strictEqual(await stock('genMpQrcode', { pagePath: 'pages/a/b' }), 'cloud://pages_a_b.png');
    });
  });
}

describe('what nobody should send', () => {
  let receiver;
  before(() => { receiver = new Receiver({ cloud }); });
  after(() => receiver.stop());

  test('events that are no events', async () => {
    for (const type of [undefined, null, 7, {}, 'constructor', '__proto__', 'toString', 'main', 'fill']) {
      const answer = await receiver.call({ type });
      assert.deepStrictEqual([answer.ok, answer.state, answer.code], [false, 'refused', 1002]);
    }
  });

  test('a nest without end', async () => {
    let deep = {};
    for (let i = 0; i < 3000; i += 1) deep = { a: deep };
    assert.strictEqual((await receiver.call(event({ payload: deep }))).state, 'sent');
  });

  test('a staff id with two people is nobody', async () => {
    cloud.documents('users').set('v', { _id: 'v', staffId: 42, openid: 'oB' });
    assert.strictEqual((await receiver.call(event())).code, 1004);
    cloud.documents('users').set('v', { _id: 'v', staffId: 42, openid: 'oA' });
    assert.strictEqual((await receiver.call(event())).state, 'sent');
  });

  test('a person without an openid is nobody', async () => {
    cloud.documents('users').set('u', { _id: 'u', staffId: '42', openid: '' });
    assert.strictEqual((await receiver.call(event())).code, 1004);
  });
});

test('collections and fields have the names that the settings give', async () => {
  const environment = {
    OUTBOXD_USERS: 'staff',
    OUTBOXD_STAFF_FIELD: 'crm_id',
    OUTBOXD_OPENID_FIELD: 'wx, _openid',
    OUTBOXD_UTC_OFFSET_MINUTES: '0',
  };
  const receiver = new Receiver({ cloud, environment });
  cloud.database.create('staff').set('s', { _id: 's', crm_id: 42, _openid: 'oS' });
  assert.strictEqual((await receiver.call(event())).state, 'sent');
  assert.strictEqual(cloud.messages[0].touser, 'oS');
  assert.strictEqual(cloud.messages[0].data.time3.value, '2026年11月22日 13:29');
  await receiver.stop();
});
