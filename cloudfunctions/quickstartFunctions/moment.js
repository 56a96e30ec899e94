'use strict';

// Times as a person reads them: `2026年3月1日 20:00`, in the reader's local time. WeChat shows the value as it
// is, so an instant has to be turned before it is written.
//
// An instant (RFC 3339, or a number of seconds or milliseconds since 1970) is turned; a time without a zone is
// taken as local already. Months and days are written without a leading zero, as WeChat's own examples are.

const { narrow } = require('./text');

const DATE = '(\\d{4})[-/.](\\d{1,2})[-/.](\\d{1,2})';
const HANZI_DATE = '(\\d{4})年(\\d{1,2})月(\\d{1,2})日';
const TIME = '(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:\\.\\d+)?)?';
const ZONE = '(Z|[+-]\\d{2}(?::?\\d{2})?)?';
const WHOLE = new RegExp('^(?:' + DATE + '|' + HANZI_DATE + ')(?:[T ]' + TIME + ' ?' + ZONE + ')?$', 'i');
const TIME_ONLY = new RegExp('^' + TIME + '$');

// The moment as `{year, month, day, hour, minute}`, with null for what it does not have; or null.
function read(value, offsetMinutes) {
  if (typeof value === 'number') return fromNumber(value, offsetMinutes);
  if (typeof value !== 'string' || value.length > 64) return null;
  const text = narrow(value).trim();
  const time = TIME_ONLY.exec(text);
  if (time) return isTime(time[1], time[2], time[3]) ? moment(null, null, null, Number(time[1]), Number(time[2])) : null;
  const part = WHOLE.exec(text);
  if (!part) return null;
  const year = Number(part[1] || part[4]);
  const month = Number(part[2] || part[5]);
  const day = Number(part[3] || part[6]);
  if (!isDate(year, month, day)) return null;
  if (part[7] === undefined) return moment(year, month, day, null, null);
  if (!isTime(part[7], part[8], part[9])) return null;
  const hour = Number(part[7]);
  const minute = Number(part[8]);
  if (part[10] === undefined) return moment(year, month, day, hour, minute);
  const east = minutesEast(part[10]);
  return east === null ? null : local(Date.UTC(year, month - 1, day, hour, minute) - east * 60000, offsetMinutes);
}

function fromNumber(value, offsetMinutes) {
  if (!Number.isFinite(value) || value < 1e9) return null;
  return local(value < 1e11 ? value * 1000 : value, offsetMinutes);
}

// The instant in local time; null outside of the years with four digits.
function local(instantMs, offsetMinutes) {
  const date = new Date(instantMs + offsetMinutes * 60000);
  const year = date.getUTCFullYear();
  if (!(year >= 1000 && year <= 9999)) return null;
  return moment(year, date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes());
}

function moment(year, month, day, hour, minute) {
  return { year: year, month: month, day: day, hour: hour, minute: minute };
}

function isDate(year, month, day) {
  const date = new Date(Date.UTC(year, month - 1, day));
  return year >= 1000 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day && date.getUTCFullYear() === year;
}

function isTime(hour, minute, second) {
  return Number(hour) < 24 && Number(minute) < 60 && Number(second || 0) < 60;
}

function minutesEast(zone) {
  if (zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const hours = Number(digits.slice(0, 2));
  const minutes = Number(digits.slice(2) || 0);
  if (hours > 23 || minutes > 59) return null;
  return (zone[0] === '-' ? -1 : 1) * (hours * 60 + minutes);
}

function dateText(at) {
  return at.year + '年' + at.month + '月' + at.day + '日';
}

function timeText(at) {
  return ('0' + at.hour).slice(-2) + ':' + ('0' + at.minute).slice(-2);
}

module.exports = { read, dateText, timeText };
