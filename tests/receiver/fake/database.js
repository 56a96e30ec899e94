'use strict';

// The cloud database: collections of documents by `_id`. Of its language it knows what the function and the
// quickstart use; anything else throws, so that no test passes on a misreading.

const { decode, encode } = require('./ejson');

const OPERATORS = {
  $in: (held, wanted) => wanted.includes(held),
  $eq: (held, wanted) => held === wanted,
  $gt: (held, wanted) => held > wanted,
  $gte: (held, wanted) => held >= wanted,
  $lt: (held, wanted) => held < wanted,
  $lte: (held, wanted) => held <= wanted,
};

class Database {
  constructor() {
    this.collections = new Map();
    this.ids = 0;
  }

  create(name) {
    if (!this.collections.has(name)) this.collections.set(name, new Map());
    return this.collections.get(name);
  }

  // Answers one request: `{data}`, or `{code, message}`.
  answer(request) {
    const now = Date.now();
    const name = request.collectionName;
    if (request.action === 'database.addCollection') {
      if (this.collections.has(name)) return failed('DATABASE_REQUEST_FAILED', 'Table exist.');
      this.create(name);
      return { data: {} };
    }
    const documents = this.collections.get(name);
    if (!documents) return failed('DATABASE_COLLECTION_NOT_EXIST', '[ResourceNotFound] Db or Table not exist: ' + name);
    const found = () => {
      const query = decode(JSON.parse(request.query || '{}'), now);
      const matching = [...documents.values()].filter((document) => matches(document, query));
      return request.queryType === 'DOC' || request.multi === false ? matching.slice(0, 1) : matching;
    };
    switch (request.action) {
      case 'database.insertDocument':
        return this.insert(documents, request.data.map((text) => decode(JSON.parse(text), now)));
      case 'database.getDocument':
        return { data: { list: found().slice(0, request.limit || 100).map((document) => JSON.stringify(encode(document))) } };
      case 'database.modifyDocument':
        if (!request.merge || request.upsert) throw new Error('only merging updates are known here');
        return { data: { updated: change(found(), decode(JSON.parse(request.data), now)) } };
      case 'database.removeDocument': {
        const gone = found();
        gone.forEach((document) => documents.delete(document._id));
        return { data: { deleted: gone.length } };
      }
      case 'database.aggregateDocuments':
        return { data: { list: sums(documents, request.stages).map((row) => JSON.stringify(encode(row))) } };
      default:
        throw new Error('unknown action ' + request.action);
    }
  }

  insert(documents, given) {
    const taken = given.find((document) => documents.has(document._id));
    if (taken) {
      const text = `E11000 duplicate key error collection: tnt-x index: _id_ dup key: { : "${taken._id}" }`;
      return failed('DATABASE_REQUEST_FAILED', `[FailedOperation] multiple write errors: [{write errors: [{${text}}]}, {<nil>}]`);
    }
    const ids = given.map((document) => {
      this.ids += 1;
      const id = document._id === undefined ? 'generated-' + this.ids : document._id;
      documents.set(id, { ...document, _id: id });
      return id;
    });
    return { data: { insertedIds: ids } };
  }
}

function matches(document, query) {
  return Object.entries(query).every(([name, wanted]) => {
    const held = document[name];
    if (wanted === null || typeof wanted !== 'object') return held === wanted;
    return Object.entries(wanted).every(([operator, value]) => {
      if (!OPERATORS[operator]) throw new Error('unknown operator ' + operator);
      return OPERATORS[operator](held, value);
    });
  });
}

function change(documents, update) {
  for (const operator of Object.keys(update)) {
    if (operator !== '$set' && operator !== '$inc') throw new Error('unknown update ' + operator);
  }
  for (const document of documents) {
    Object.assign(document, update.$set);
    for (const [name, by] of Object.entries(update.$inc || {})) document[name] = (document[name] || 0) + by;
  }
  return documents.length;
}

// The one aggregation of the quickstart: a sum by group.
function sums(documents, stages) {
  const [{ stageKey, stageValue }] = stages;
  if (stageKey !== '$group') throw new Error('unknown stage ' + stageKey);
  const group = JSON.parse(stageValue);
  const rows = new Map();
  for (const document of documents.values()) {
    const id = document[group._id.slice(1)];
    const sum = (rows.get(id) || 0) + document[group.sum.$sum.slice(1)];
    rows.set(id, sum);
  }
  return [...rows].map(([id, sum]) => ({ _id: id, sum }));
}

function failed(code, message) {
  return { code, message };
}

module.exports = { Database };
