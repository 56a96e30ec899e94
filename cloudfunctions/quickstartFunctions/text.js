'use strict';

// Text that a template can bear: no line breaks, nothing invisible, no emoji, and cut where a reader would cut.
//
// Lengths are in UTF-16 units, as most senders count; how WeChat counts an emoji is unknown, so there are none
// left. The ranges stand here in full instead of in the engine's tables, so that every Node version, and every
// other program that reads `templates.json`, finds the same.

// Soft hyphen, joiners, fillers, direction marks and overrides, signs that enclose others, variation selectors,
// keycaps, private use.
const INVISIBLE = new RegExp('[\\u00ad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890\\u0891\\u08e2\\u115f\\u1160'
  + '\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f'
  + '\\u202a-\\u202e\\u2060-\\u206f\\u20e3\\u2800\\u3164\\ue000-\\uf8ff\\ufdd0-\\ufdef\\ufe00-\\ufe0f\\ufeff'
  + '\\uffa0\\ufff0-\\uffff]', 'g');
const EMOJI = new RegExp('[\\u00a9\\u00ae\\u203c\\u2049\\u2122\\u2139\\u2194-\\u2199\\u21a9\\u21aa\\u231a\\u231b'
  + '\\u2328\\u2388\\u23cf\\u23e9-\\u23f3\\u23f8-\\u23fa\\u24c2\\u25aa\\u25ab\\u25b6\\u25c0\\u25fb-\\u25fe'
  + '\\u2600-\\u27bf\\u2934\\u2935\\u2b05-\\u2b07\\u2b1b\\u2b1c\\u2b50\\u2b55\\u3030\\u303d\\u3297\\u3299]', 'g');
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g; // eslint-disable-line no-control-regex
// Beyond the basic plane only hanzi stay: U+20000 to U+3FFFF, which begin with these halves.
const SURROGATE = /[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]/g;
// What a reader sees as one: a code point with its marks, and the parts of a Korean syllable.
const CLUSTER = /[\u1100-\u115f\ua960-\ua97c]*[^][\p{M}\u0e33\u0eb3\u1161-\u11ff\ud7b0-\ud7fb\uff9e\uff9f]*/gu;
const VISIBLE = /[^\p{M}\s]/u;

// A value of an event as clean text; null when it has none to show. A whole number that JavaScript could not
// read exactly is none: a rounded number is a wrong one.
function clean(value) {
  const text = asText(value);
  if (text === null) return null;
  const cleaned = text
    .replace(SURROGATE, (found) => (found.length === 2 && found >= '\ud840' && found < '\ud8c0' ? found : ''))
    .replace(INVISIBLE, '')
    .replace(EMOJI, '')
    .replace(CONTROL, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return VISIBLE.test(cleaned) ? cleaned : null;
}

function asText(value) {
  if (typeof value === 'string') return value;
  if (typeof value !== 'number' || !Number.isFinite(value)) return null;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? null : String(value);
}

// At most `limit` units, of which the last is `mark` where something was left out; null when not even the first
// cluster fits.
function cut(text, limit, mark) {
  if (text.length <= limit) return text;
  let kept = '';
  for (const cluster of text.match(CLUSTER)) {
    if (kept.length + cluster.length > limit - mark.length) break;
    kept += cluster;
  }
  kept = kept.trim();
  return VISIBLE.test(kept) ? kept + mark : null;
}

// Full-width letters, digits and signs as their plain forms.
function narrow(text) {
  return text.replace(/[\uff01-\uff5e]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0));
}

module.exports = { clean, cut, narrow };
