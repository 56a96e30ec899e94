'use strict';

// A function can be killed at any point, its answers can be lost, and two of it can run at once. The person gets one
// message at most, and whoever asks later is told no more than is known.

const assert = require('node:assert');
const { after, afterEach, before, beforeEach, describe, test } = require('node:test');

const { Cloud } = require('../fake/cloud');
const { Receiver, event } = require('../harness');

const RECEIPTS = 'outboxd_receipts';
const cloud = new Cloud();
let running = [];

function start(environment) {
  const receiver = new Receiver({ cloud, environment });
  running.push(receiver);
  return receiver;
}

// Lets the first two requests of this name go on only when both are there: neither has seen what the other writes.
function together(name) {
  const waiting = [];
  return (seen) => new Promise((resolve) => {
    if (seen !== name || waiting.length === 2) return resolve();
    waiting.push(resolve);
    return waiting.length === 2 ? waiting.forEach((go) => go()) : undefined;
  });
}

// The same row, claimed again later.
function later(type) {
  const first = event();
  return { ...first, type, attempt: first.attempt + 1, epoch: first.epoch + 60000 };
}

function receipt() {
  return cloud.documents(RECEIPTS).get(event().key);
}

function makeOld() {
  receipt().at = new Date(Date.now() - 3600000);
}

describe('a function that is killed', () => {
  before(() => cloud.listen());
  after(() => cloud.close());
  beforeEach(() => {
    cloud.reset();
    cloud.documents('users').set('u', { _id: 'u', staffId: '42', openid: 'oA' });
  });
  afterEach(async () => {
    await Promise.all(running.map((receiver) => receiver.stop()));
    running = [];
  });

  const points = [
    { at: 'before the claim is written', hook: 'before', name: 'insertDocument ' + RECEIPTS, left: undefined, sent: 0 },
    { at: 'after the claim', hook: 'after', name: 'insertDocument ' + RECEIPTS, left: 'sending', sent: 0 },
    { at: 'before WeChat has the message', hook: 'before', name: 'send', left: 'sending', sent: 0 },
    { at: 'after WeChat took the message', hook: 'after', name: 'send', left: 'sending', sent: 1 },
    { at: 'before the receipt is marked', hook: 'before', name: 'modifyDocument ' + RECEIPTS, left: 'sending', sent: 1 },
    { at: 'after the receipt was marked', hook: 'after', name: 'modifyDocument ' + RECEIPTS, left: 'sent', sent: 1 },
  ];
  for (const point of points) {
    test(point.at, async () => {
      const victim = start();
      cloud[point.hook] = async (name) => {
        if (name !== point.name) return undefined;
        victim.kill();
        await victim.ended;
        return 'lost';
      };
      assert.deepStrictEqual(await victim.run(event()), { died: true });
      cloud.before = cloud.after = async () => {};
      assert.strictEqual(receipt() && receipt().state, point.left);
      assert.strictEqual(cloud.messages.length, point.sent);

      const next = start();
      const told = async (type) => (await next.call(later(type))).state;
      if (point.left === undefined) {
        assert.strictEqual(await told('inquire'), 'not_seen');
        assert.strictEqual(await told('notify'), 'sent');
      } else if (point.left === 'sent') {
        assert.strictEqual(await told('inquire'), 'sent');
        assert.strictEqual((await next.call(later('notify'))).duplicate, true);
      } else {
        for (const type of ['inquire', 'notify', 'seal']) assert.strictEqual(await told(type), 'in_progress', type);
        makeOld();
        for (const type of ['inquire', 'notify', 'seal', 'notify']) assert.strictEqual(await told(type), 'unknown', type);
      }
      assert.strictEqual(cloud.messages.length, point.left === undefined ? 1 : point.sent);
    });
  }

  test('two calls at once, in two processes: one message', async () => {
    const both = [start(), start()];
    for (let round = 0; round < 20; round += 1) {
      const key = 'round-' + round;
      cloud.before = together('insertDocument ' + RECEIPTS);
      const answers = await Promise.all(both.map((receiver) => receiver.call(event({ key }))));
      assert.strictEqual(cloud.messages.length, round + 1);
      const states = answers.map(({ state }) => state);
      assert.ok(states.includes('sent'), states.join());
      assert.ok(states.every((state) => state === 'sent' || state === 'in_progress'), states.join());
      assert.strictEqual(answers.filter(({ ok, duplicate }) => ok && !duplicate).length, 1);
    }
  });

  test('two newer calls of a refused key: one message', async () => {
    const both = [start(), start()];
    cloud.sends = [{ errcode: 43108 }];
    assert.strictEqual((await both[0].call(event())).code, 43108);
    cloud.before = together('modifyDocument ' + RECEIPTS);
    const answers = await Promise.all(both.map((receiver) => receiver.call(later('notify'))));
    assert.strictEqual(answers.filter(({ ok, duplicate }) => ok && !duplicate).length, 1);
    assert.strictEqual(cloud.messages.length, 1);
  });

  test('a seal and a send at once: sealed and no message, or a message and no seal', async () => {
    const both = [start(), start()];
    for (let round = 0; round < 20; round += 1) {
      cloud.messages = [];
      const key = 'seal-' + round;
      const order = round % 2 === 0 ? ['notify', 'seal'] : ['seal', 'notify'];
      const [one, two] = await Promise.all(order.map((type, i) => both[i].call(event({ key, type }))));
      const seal = order[0] === 'seal' ? one : two;
      const sent = cloud.messages.length;
      assert.strictEqual(seal.state === 'sealed', sent === 0, `${seal.state} with ${sent} messages`);
    }
  });

  test('a claim whose answer is lost is recognised as our own', async () => {
    let lost = 0;
    cloud.after = async (name) => {
      if (name !== 'insertDocument ' + RECEIPTS || lost > 0) return undefined;
      lost += 1;
      return 'lost';
    };
    assert.strictEqual((await start().call(event())).state, 'sent');
    assert.strictEqual(lost, 1);
    assert.strictEqual(cloud.messages.length, 1);
  });

  test('a claim that cannot be written sends nothing', async () => {
    cloud.before = async (name) => (name === 'insertDocument ' + RECEIPTS ? 'lost' : undefined);
    const answer = await start().call(event());
    assert.strictEqual(answer.state, 'refused');
    assert.strictEqual(answer.step, 'claim');
    assert.strictEqual(answer.code, -501001);
    assert.strictEqual(cloud.messages.length, 0);
  });

  test('a database that is silent costs two seconds, not the whole call', async () => {
    cloud.before = async (name) => (name === 'getDocument ' + RECEIPTS ? cloud.hold() : undefined);
    const answer = await start({ OUTBOXD_DATABASE_LIMIT_MS: '100' }).call(event());
    assert.deepStrictEqual([answer.state, answer.step, answer.code], ['refused', 'claim', -501002]);
    assert.strictEqual(cloud.messages.length, 0);
  });

  test('a mark whose answer is lost is found written', async () => {
    let lost = 0;
    cloud.after = async (name) => {
      if (name !== 'modifyDocument ' + RECEIPTS || lost > 0) return undefined;
      lost += 1;
      return 'lost';
    };
    const answer = await start().call(event());
    assert.deepStrictEqual([answer.state, answer.message], ['sent', 'sent']);
    assert.strictEqual(receipt().state, 'sent');
  });

  test('a message whose receipt cannot be marked is told as sent, and never sent again', async () => {
    cloud.before = async (name) => (name === 'modifyDocument ' + RECEIPTS ? 'lost' : undefined);
    const receiver = start();
    const answer = await receiver.call(event());
    assert.deepStrictEqual([answer.ok, answer.state, answer.step], [true, 'sent', 'record']);
    assert.notStrictEqual(answer.message, 'sent');
    cloud.before = async () => {};
    assert.strictEqual((await receiver.call(later('notify'))).state, 'in_progress');
    makeOld();
    assert.strictEqual((await receiver.call(later('notify'))).state, 'unknown');
    assert.strictEqual(cloud.messages.length, 1);
  });

  test('a database that falls silent after the send does not keep the answer back', async () => {
    cloud.before = async (name) => (name.startsWith('modifyDocument') ? cloud.hold() : undefined);
    const began = Date.now();
    const answer = await start({ OUTBOXD_DATABASE_LIMIT_MS: '300' }).call(event());
    assert.deepStrictEqual([answer.ok, answer.state, answer.step], [true, 'sent', 'record']);
    assert.ok(Date.now() - began < 1500, `${Date.now() - began} ms`);
  });

  test('a send whose answer is lost is unknown', async () => {
    cloud.after = async (name) => (name === 'send' ? 'lost' : undefined);
    const answer = await start().call(event());
    assert.deepStrictEqual([answer.state, answer.step, answer.code], ['unknown', 'send', -501001]);
    assert.strictEqual(receipt().state, 'unknown');
    assert.strictEqual(cloud.messages.length, 1);
  });

  test('an end that comes after our own limit is written down all the same', async () => {
    cloud.sends = [{ waitMs: 300 }];
    const receiver = start({ OUTBOXD_SEND_LIMIT_MS: '50' });
    assert.strictEqual((await receiver.call(event())).state, 'unknown');
    for (let i = 0; i < 100 && receipt().state !== 'sent'; i += 1) await new Promise((resolve) => setTimeout(resolve, 20));
    const answer = await receiver.call(later('inquire'));
    assert.deepStrictEqual([answer.state, answer.msgid], ['sent', '1988810812324364291']);
  });

  test('a collection that was never made says so', async () => {
    cloud.database.collections.delete(RECEIPTS);
    const answer = await start().call(event());
    assert.deepStrictEqual([answer.state, answer.step, answer.code], ['refused', 'claim', -502005]);
  });

  test('the users cannot be read: nothing is claimed', async () => {
    cloud.database.collections.delete('users');
    const answer = await start().call(event());
    assert.deepStrictEqual([answer.state, answer.step, answer.code], ['refused', 'lookup', -502005]);
    assert.strictEqual(receipt(), undefined);
  });
});
