'use strict';

// How a cloud call travels: a multipart form whose field `requestData` is a protocol-buffer message, answered by
// another. Only what `subscribeMessage.send` and `wxacode.get` need of the format is read and written here.

// The fields of a multipart form, by name, as buffers.
function readForm(contentType, body) {
  const boundary = Buffer.from('--' + /boundary=(.+)$/.exec(contentType)[1]);
  const fields = {};
  let from = body.indexOf(boundary);
  while (from >= 0) {
    const to = body.indexOf(boundary, from + boundary.length);
    if (to < 0) break;
    const part = body.subarray(from + boundary.length + 2, to - 2);
    const headEnd = part.indexOf('\r\n\r\n');
    const name = /name="([^"]*)"/.exec(part.subarray(0, headEnd).toString())[1];
    fields[name] = part.subarray(headEnd + 4);
    from = to;
  }
  return fields;
}

// CommApiData { apiType = 1, openapiData = 2 { repeated pairs = 1 { key = 1, value = 2 } } }: the parameters of the
// call, each value being JSON.
function readCall(buffer) {
  const parameters = {};
  for (const data of fieldsOf(buffer).filter(({ id }) => id === 2)) {
    for (const pair of fieldsOf(data.value).filter(({ id }) => id === 1)) {
      const parts = fieldsOf(pair.value);
      const text = (id) => parts.find((part) => part.id === id).value.toString();
      parameters[text(1)] = JSON.parse(text(2));
    }
  }
  return parameters;
}

// CommOpenApiResp { respData = 1, contentType = 2, errorCode = 3 }.
function writeAnswer({ body, contentType, errorCode }) {
  const parts = [];
  if (body !== undefined) parts.push(bytes(1, Buffer.from(body)), bytes(2, Buffer.from(contentType)));
  if (errorCode !== undefined) parts.push(varint(3n << 3n), varint(BigInt.asUintN(64, BigInt(errorCode))));
  return Buffer.concat(parts);
}

function fieldsOf(buffer) {
  const fields = [];
  let at = 0;
  const next = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = BigInt(buffer[at]);
      at += 1;
      value |= (byte & 0x7fn) << shift;
      if (byte < 0x80n) return value;
    }
  };
  while (at < buffer.length) {
    const tag = next();
    const id = Number(tag >> 3n);
    if ((tag & 7n) === 0n) {
      fields.push({ id, value: next() });
    } else if ((tag & 7n) === 2n) {
      const length = Number(next());
      fields.push({ id, value: buffer.subarray(at, at + length) });
      at += length;
    } else {
      throw new Error('unknown wire type');
    }
  }
  return fields;
}

function bytes(id, value) {
  return Buffer.concat([varint(BigInt(id << 3 | 2)), varint(BigInt(value.length)), value]);
}

function varint(value) {
  const out = [];
  let left = value;
  do {
    const low = Number(left & 0x7fn);
    left >>= 7n;
    out.push(left === 0n ? low : low | 0x80);
  } while (left !== 0n);
  return Buffer.from(out);
}

module.exports = { readForm, readCall, writeAnswer };
