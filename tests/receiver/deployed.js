'use strict';

// Deploys the folder as DevTools would, into a folder of its own: a mapping, and the SDK of the given version.
//
//   node deployed.js [SDK]        and runs it there, as runner.js does; by default with the SDK that the folder
//                                 asks for, and the mapping of the tests

const fs = require('fs');
const os = require('os');
const path = require('path');

const SOURCE = path.join(__dirname, '../../cloudfunctions/quickstartFunctions');
const PINNED = require(SOURCE + '/package.json').dependencies['wx-server-sdk'];

function deploy(options) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'receiver-'));
  fs.cpSync(SOURCE, folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'templates.json'), JSON.stringify(options.templates || require('./templates.json')));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  const sdk = path.join(__dirname, 'node_modules', 'sdk-' + (options.sdk || PINNED));
  if (!fs.existsSync(sdk)) throw new Error(sdk + ' is not there: .ci/node ready');
  fs.symlinkSync(sdk, path.join(folder, 'node_modules', 'wx-server-sdk'));
  return folder;
}

if (require.main === module) {
  const folder = deploy({ sdk: process.argv[2] });
  // All of it is loaded by then; a process that is killed leaves nothing behind.
  process.argv[2] = folder;
  require('./runner');
  fs.rmSync(folder, { recursive: true, force: true });
}

module.exports = { PINNED, SOURCE, deploy };
