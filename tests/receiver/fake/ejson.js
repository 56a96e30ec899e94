'use strict';

// The Extended JSON of the database protocol: every number, date and id carries its type in a wrapper. Written
// anew here, so that the cloud does not share a reading of it with the SDK.

function decode(value, now) {
  if (Array.isArray(value)) return value.map((item) => decode(item, now));
  if (value === null || typeof value !== 'object') return value;
  if ('$numberInt' in value) return Number(value.$numberInt);
  if ('$numberLong' in value) return Number(value.$numberLong);
  if ('$numberDouble' in value) return Number(value.$numberDouble);
  if ('$date' in value) return new Date(decode(value.$date, now));
  if ('$tcb_server_date' in value) return new Date(now + decode(value.$tcb_server_date.offset, now));
  const decoded = {};
  for (const [name, item] of Object.entries(value)) decoded[name] = decode(item, now);
  return decoded;
}

function encode(value) {
  if (value instanceof Date) return { $date: { $numberLong: String(value.getTime()) } };
  if (Array.isArray(value)) return value.map(encode);
  if (typeof value === 'number') return number(value);
  if (value === null || typeof value !== 'object') return value;
  const encoded = {};
  for (const [name, item] of Object.entries(value)) encoded[name] = encode(item);
  return encoded;
}

function number(value) {
  if (!Number.isInteger(value)) return { $numberDouble: String(value) };
  return Math.abs(value) < 2 ** 31 ? { $numberInt: String(value) } : { $numberLong: String(value) };
}

module.exports = { decode, encode };
