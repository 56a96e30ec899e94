'use strict';

// From an event to the message: which template, which page, and what stands in each field.
//
// The mapping is data, `templates.json`, because it differs with every mini program; its form is told in the
// README. Every value goes through the rule of its type (`rules.js`), so a message that is sent is well formed.

const templates = require('./templates.json');
const { CODE } = require('./answer');
const { RULES, LAST } = require('./rules');
const { clean } = require('./text');
const { settings } = require('./settings');

const FIELD = /^([a-z]+(?:_[a-z]+)*)\d+$/;

// The message for an event, without its receiver; or `{code, message}`.
function fill(event) {
  const template = own(templates, event.eventType) || own(templates, '*');
  const fault = template === undefined ? 'no template for this type of event' : misfit(template);
  if (fault) return { code: CODE.NO_TEMPLATE, message: fault };
  const data = {};
  Object.keys(template.fields).forEach((key) => {
    data[key] = { value: value(key, template.fields[key], event) };
  });
  const order = {
    template_id: template.templateId,
    miniprogram_state: template.miniprogramState || 'formal',
    lang: template.lang || 'zh_CN',
    data: data,
  };
  if (template.page) order.page = page(template.page, event);
  return order;
}

// What is wrong with an entry of the mapping, or null.
function misfit(template) {
  if (typeof template.templateId !== 'string' || template.templateId === '') return 'the template has no templateId yet';
  const wrong = Object.keys(template.fields || {}).find((key) => {
    const type = typeOf(key, template.fields[key]);
    const isListed = ['enum', 'enum_string', 'const'].indexOf(type) >= 0;
    const hasValues = Array.isArray(template.fields[key].values) && typeof template.fields[key].values[0] === 'string';
    return type === null || (isListed && !hasValues);
  });
  if (wrong !== undefined) return 'templates.json: the field ' + wrong + ' is not described well';
  return template.fields === undefined ? 'templates.json: the template has no fields' : null;
}

function typeOf(key, field) {
  const named = FIELD.exec(key);
  const type = field.type || (named && named[1]);
  return own(RULES, type) === undefined ? null : type;
}

// The first path that has something to offer, else the fallback, else what stands in for the type.
function value(key, field, event) {
  const type = typeOf(key, field);
  const offset = settings().utcOffsetMinutes;
  const paths = field.from === undefined ? [] : [].concat(field.from);
  const candidates = paths.map((path) => at(event, path)).concat([field.fallback]);
  for (const candidate of candidates) {
    const text = RULES[type](candidate, field, offset);
    if (text !== null) return text;
  }
  if (field.values !== undefined) return field.values[0];
  if (LAST[type] !== undefined) return LAST[type];
  return RULES[type](event.sentAt, field, offset) || RULES[type](Date.now(), field, offset);
}

// The value at a path such as `payload.customer.name` or `payload.tags.0`.
function at(event, path) {
  return String(path).split('.').reduce((place, name) => {
    return place !== null && typeof place === 'object' ? own(place, name) : undefined;
  }, event);
}

function own(object, name) {
  return Object.prototype.hasOwnProperty.call(object, name) ? object[name] : undefined;
}

// The page behind the card. A leading slash is refused by WeChat; `{path}` stands for a value of the event.
function page(pattern, event) {
  return pattern.replace(/^\/+/, '').replace(/\{([^{}]+)\}/g, (whole, path) => encodeURIComponent(clean(at(event, path)) || ''));
}

// The id of the template for a type of event, or null.
function templateIdOf(eventType) {
  const template = own(templates, eventType) || own(templates, '*');
  return template === undefined || misfit(template) ? null : template.templateId;
}

// The ids of all templates in the mapping, each once: several types of event may share one.
function templateIds() {
  const ids = Object.keys(templates).map((type) => templates[type].templateId);
  return Array.from(new Set(ids)).filter((id) => typeof id === 'string' && id !== '');
}

module.exports = { fill, value, templateIds, templateIdOf };
