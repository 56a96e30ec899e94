'use strict';

// A limit of our own, far below the SDK's 15 s: a function called over HTTP is cut at 5 s, and an answer
// that says "I do not know" is worth more than none.
//
// Resolves to what `promise` gives, or to `instead()` when the limit strikes first. The promise is not
// cancelled; whoever calls this knows what a late end of it means.

const { settings } = require('./settings');

function within(limitMs, promise, instead) {
  let timer;
  const limit = new Promise((resolve) => {
    timer = setTimeout(resolve, limitMs);
  }).then(instead);
  const ended = () => clearTimeout(timer);
  promise.then(ended, ended);
  return Promise.race([promise, limit]);
}

// The same for a request to the cloud database, where a limit is a failure like any other.
function limited(request) {
  return within(settings().databaseLimitMs, request, () => {
    throw { errCode: -501002, errMsg: 'no answer from the cloud database in time' };
  });
}

module.exports = { within, limited };
