'use strict';

// What can differ from one mini program to the next: `settings.json`, and over it the function's environment
// variables, so that one folder can serve several environments.
//
// An environment variable that cannot be read as what it stands for counts as absent; the signing secret has
// no place in the file, because the file is uploaded with the code.

const file = require('./settings.json');

const VARIABLES = {
  receipts: 'OUTBOXD_RECEIPTS',
  grants: 'OUTBOXD_GRANTS',
  users: 'OUTBOXD_USERS',
  staffField: 'OUTBOXD_STAFF_FIELD',
  openidField: 'OUTBOXD_OPENID_FIELD',
  claimOldAfterMs: 'OUTBOXD_CLAIM_OLD_AFTER_MS',
  databaseLimitMs: 'OUTBOXD_DATABASE_LIMIT_MS',
  sendLimitMs: 'OUTBOXD_SEND_LIMIT_MS',
  utcOffsetMinutes: 'OUTBOXD_UTC_OFFSET_MINUTES',
};

function settings() {
  const all = Object.assign({}, file);
  Object.keys(VARIABLES).forEach((name) => {
    const text = process.env[VARIABLES[name]];
    if (text === undefined || text.trim() === '') return;
    const value = typeof file[name] === 'number' ? Number(text) : text.trim();
    if (typeof value === 'string' || Number.isFinite(value)) all[name] = value;
  });
  return all;
}

// The secret shared with outboxd; empty means that signatures are not looked at.
function signingSecret() {
  return process.env.OUTBOXD_SIGNING_SECRET || '';
}

module.exports = { settings, signingSecret };
