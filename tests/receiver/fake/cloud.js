'use strict';

// The WeChat cloud as the SDK sees it, on loopback: one address, `/admin`, for the database and for cloud calls.
//
// It keeps what reached a phone in `messages`. How the next sends end is scripted in `sends`; what happens around
// a request (a wait, a lost answer, a killed function) in `before` and `after`, which get the name of what is done.

const http = require('node:http');

const { Database } = require('./database');
const { readForm, readCall, writeAnswer } = require('./openapi');
const { offence } = require('./fields');

const FIRST_MSGID = 1988810812324364291n;

class Cloud {
  constructor() {
    this.server = http.createServer((request, response) => this.receive(request, response));
    this.reset();
  }

  reset() {
    this.database = new Database();
    ['outboxd_receipts', 'outboxd_grants', 'users'].forEach((name) => this.database.create(name));
    this.messages = [];
    this.calls = 0;
    this.sends = [];
    this.seen = [];
    this.failure = null;
    this.before = async () => {};
    this.after = async () => {};
    (this.held || []).forEach((letGo) => letGo());
    this.held = [];
  }

  async listen() {
    await new Promise((resolve) => this.server.listen(0, '127.0.0.1', resolve));
    this.url = `http://127.0.0.1:${this.server.address().port}/admin`;
  }

  close() {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(resolve));
  }

  documents(name) {
    return this.database.collections.get(name);
  }

  // Waits until the cloud is reset or closed.
  hold() {
    return new Promise((resolve) => this.held.push(resolve));
  }

  async receive(request, response) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts);
    try {
      const answer = await this.answer(request, body);
      if (answer === null) return void response.destroy();
      if (answer.type === undefined) return void response.writeHead(204).end();
      response.writeHead(200, { 'content-type': answer.type });
      return void response.end(answer.body);
    } catch (error) {
      // Loud: a request that this cloud does not know is a mistake of the test or of the function.
      if (!this.failure) console.error('fake cloud: ' + error.stack);
      response.writeHead(500);
      return void response.end();
    }
  }

  // Null breaks the connection.
  async answer(request, body) {
    if (request.method === 'PUT' || request.url.startsWith('/upload')) return {};
    const type = request.headers['content-type'];
    if (type.startsWith('multipart/form-data')) return this.openapi(readForm(type, body));
    const given = JSON.parse(body);
    if (given.action === 'storage.getUploadMetadata') {
      const url = this.url.replace('/admin', '/upload');
      return json({ data: { url, token: 't', authorization: 'a', fileId: 'cloud://' + given.path, cosFileId: 'c' } });
    }
    const name = given.action.replace('database.', '') + ' ' + given.collectionName;
    this.seen.push(name);
    if ((await this.before(name)) === 'lost') return null;
    if (this.failure === 'http 500') throw new Error('as the test wishes');
    const answer = this.failure ? { code: this.failure, message: 'as the test wishes' } : this.database.answer(given);
    if ((await this.after(name)) === 'lost') return null;
    return json(answer);
  }

  async openapi(form) {
    const api = form.apiName.toString();
    this.seen.push(api);
    if (api === 'wxacode.get') return protobuf({ body: 'an image', contentType: 'image/jpeg' });
    if (api !== 'subscribeMessage.send') return protobuf({ errorCode: -604100 });
    if ((await this.before('send')) === 'lost') return null;
    const answer = await this.send(readCall(form.requestData));
    if ((await this.after('send')) === 'lost') return null;
    return answer;
  }

  async send(order) {
    const script = this.sends[this.calls] || {};
    this.calls += 1;
    if (script.errorCode) return protobuf({ errorCode: script.errorCode });
    const [errcode, errmsg] = script.errcode ? [script.errcode, script.errmsg || 'refused'] : offence(order);
    if (errcode) return wechat(`{"errcode":${errcode},"errmsg":${JSON.stringify(errmsg + ' rid: 6f-1')}}`);
    const msgid = FIRST_MSGID + BigInt(this.messages.length);
    this.messages.push({ ...order, msgid: String(msgid) });
    // The message is out, and its sender does not hear of it: for good, or for a while.
    if (script.silent) await this.hold();
    if (script.waitMs) await new Promise((resolve) => setTimeout(resolve, script.waitMs));
    return wechat(script.withoutMsgid ? '{"errcode":0,"errmsg":"ok"}' : `{"errcode":0,"errmsg":"ok","msgid":${msgid}}`);
  }
}

function json(answer) {
  return { type: 'application/json; charset=utf-8', body: JSON.stringify({ requestId: 'r', ...answer }) };
}

function protobuf(answer) {
  return { type: 'application/octet-stream', body: writeAnswer(answer) };
}

function wechat(body) {
  return protobuf({ body, contentType: 'application/json; encoding=utf-8' });
}

module.exports = { Cloud };
