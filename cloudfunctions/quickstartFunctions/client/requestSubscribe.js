'use strict';

// For the mini program, not for the cloud: copy this file into it, and call `requestSubscribe` from the handler
// of a tap. One "allow" is the right to one message, so put the button where salespeople come by daily.
//
//   const { requestSubscribe } = require('../../requestSubscribe');
//   Page({ onTapSubscribe() { return requestSubscribe(['the template id']); } });

const ACCEPTED = ['accept', 'acceptWithAudio', 'acceptWithAlert', 'acceptWithForcePush'];

// Asks, and reports what was allowed. Resolves to the ids that were allowed. WeChat takes the question only right
// after a tap or a payment, so nothing may be awaited before this is called.
function requestSubscribe(templateIds) {
  return new Promise((resolve, reject) => {
    wx.requestSubscribeMessage({ tmplIds: templateIds, success: resolve, fail: reject });
  }).then((said) => {
    const accepted = templateIds.filter((id) => ACCEPTED.indexOf(said[id]) >= 0);
    if (accepted.length === 0) return accepted;
    const report = { name: 'quickstartFunctions', data: { type: 'subscribed', accepted: accepted } };
    // The right is given by the tap; a report that is lost costs an estimate and nothing else.
    return wx.cloud.callFunction(report).then(() => accepted, () => accepted);
  });
}

module.exports = { requestSubscribe };
