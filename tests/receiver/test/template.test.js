'use strict';

// The table of `template-cases.json`: what each type of field makes of a value. Another program that reads
// `templates.json` can be held to the same table.

const assert = require('node:assert');
const { execFileSync } = require('node:child_process');
const { describe, test } = require('node:test');

const { FUNCTION, NODE_10, event } = require('../harness');
const { misfit } = require('../fake/fields');
const table = require('../template-cases.json');
const { value } = require(FUNCTION + '/template');

describe('each type of field', () => {
  for (const { type, value: given, expect, ...field } of table.cases) {
    test(`${type}: ${JSON.stringify(given)}`, () => {
      const written = value(type + '1', { from: 'payload.given', ...field }, { ...table.event, payload: { given } });
      assert.strictEqual(written, expect);
      assert.strictEqual(misfit(type, written), null);
    });
  }
});

test('the oldest Node writes the same', { skip: NODE_10 ? false : 'no Node 10 here' }, () => {
  const script = `
    const { value } = require(${JSON.stringify(FUNCTION + '/template')});
    const table = require(${JSON.stringify(require.resolve('../template-cases.json'))});
    console.log(JSON.stringify(table.cases.map((one) => {
      const event = Object.assign({}, table.event, { payload: { given: one.value } });
      return value(one.type + '1', Object.assign({ from: 'payload.given' }, one), event);
    })));`;
  const written = JSON.parse(execFileSync(NODE_10, ['-e', script]));
  assert.deepStrictEqual(written, table.cases.map(({ expect }) => expect));
});

test('the first path that has something to offer counts, then the fallback', () => {
  const given = event({ payload: { a: { b: ['', '李'] }, c: '王' } });
  const written = (field) => value('thing1', field, given);
  assert.strictEqual(written({ from: 'payload.a.b.1' }), '李');
  assert.strictEqual(written({ from: ['payload.a.b.0', 'payload.none', 'payload.c'] }), '王');
  assert.strictEqual(written({ from: 'payload.a.b.0', fallback: '某人' }), '某人');
  assert.strictEqual(written({ fallback: '固定' }), '固定');
  assert.strictEqual(written({ from: 'payload.c.length' }), '-', 'a text has no fields');
  assert.strictEqual(written({ from: 'payload.constructor.name' }), '-', 'what the language adds is no field');
  assert.strictEqual(written({ from: 'payload.__proto__' }), '-');
  assert.strictEqual(value('name2', { type: 'phrase', fallback: '已分配' }, given), '已分配');
});
