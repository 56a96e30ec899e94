'use strict';

// How far a call came. Up to and with `claim`, nothing was sent: outboxd relies on that when it reads a code.

module.exports = {
  CHECK: 'check',
  LOOKUP: 'lookup',
  CLAIM: 'claim',
  SEND: 'send',
  RECORD: 'record',
};
