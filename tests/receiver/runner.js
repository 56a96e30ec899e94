'use strict';

// The runtime of a cloud function, for tests: loads the folder once, and runs `main` for every line it reads.
//
//   node runner.js FOLDER
//   ▸ {"id": 1, "event": {…}, "source": "wx_http"}              and "openid": "o…" for a call of the mini program
//   ◂ {"id": 1, "text": "{\"ok\":true,…}"}                       what `main` gave, through JSON.stringify; no text
//                                                               where it gave nothing
//   ◂ {"id": 1, "error": {"errorCode": 1, "errorMessage": …}}    it threw, or its result cannot be written as JSON
//
// Where the cloud is stands in TCB_CONTEXT_CNFG, as `{"URL": "http://127.0.0.1:…/admin"}`: that is the SDK's own
// variable, and the only thing that differs from a real function. A line may name another, `"cloud": "http://…"`, from
// then on. What the function logs goes to standard error. It runs on every Node from version 10, like the function.

const path = require('path');
const readline = require('readline');

const APPID = 'wxfa15efa15efa15e0';
const WHERE_WE_ARE = {
  TENCENTCLOUD_RUNENV: 'SCF',
  TENCENTCLOUD_REGION: 'ap-shanghai',
  SCF_NAMESPACE: 'cloud1-demo',
  TCB_ENV: 'cloud1-demo',
  TENCENTCLOUD_SECRETID: 'not-a-secret',
  TENCENTCLOUD_SECRETKEY: 'not-a-secret',
  TENCENTCLOUD_SESSIONTOKEN: 'not-a-secret',
  WX_API_TOKEN: 'not-a-token',
};

Object.assign(process.env, WHERE_WE_ARE);
const answers = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr);

const main = require(path.resolve(process.argv[2])).main;

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const call = JSON.parse(line);
  run(call).then((ended) => answers(JSON.stringify(Object.assign({ id: call.id }, ended)) + '\n'));
});

async function run(call) {
  try {
    const result = await main(given(call), { request_id: 'run-' + call.id });
    return { text: JSON.stringify(result) };
  } catch (error) {
    return {
      error: {
        errorCode: 1,
        errorMessage: 'user code exception caught',
        stackTrace: String(error && error.stack),
        requestId: 'run-' + call.id,
        statusCode: 430,
      },
    };
  }
}

// The event with what the platform adds, and the environment of this call. The function reads the environment
// before its first `await`, so calls may overlap.
function given(call) {
  const context = { WX_APPID: APPID, WX_OPENID: call.openid };
  const names = Object.keys(context).filter((name) => context[name] !== undefined);
  delete process.env.WX_OPENID;
  names.forEach((name) => { process.env[name] = context[name]; });
  process.env.WX_CONTEXT_KEYS = names.join(',');
  process.env.TCB_SOURCE = call.source;
  if (call.cloud !== undefined) process.env.TCB_CONTEXT_CNFG = JSON.stringify({ URL: call.cloud });
  const userInfo = { appId: APPID };
  if (call.openid !== undefined) userInfo.openId = call.openid;
  return Object.assign({}, call.event, { userInfo: userInfo });
}
