'use strict';

// The branches of the DevTools quickstart, so that a mini program made from it keeps working when this folder
// takes the place of its own. They behave as there, results and all; the receiver uses none of them.

const cloud = require('wx-server-sdk');

const SALES = [
  { region: '华东', city: '上海', sales: 11 },
  { region: '华东', city: '南京', sales: 11 },
  { region: '华南', city: '广州', sales: 22 },
  { region: '华南', city: '深圳', sales: 22 },
];

const GOODS = [
  { _id: '1', title: '微信气泡徽章', price: 1800 },
  { _id: '2', title: '微信地球鼠标垫', price: 5800 },
  { _id: '3', title: '微信黄脸大贴纸', price: 500 },
];

async function getOpenId(event, caller) {
  return { openid: caller.OPENID, appid: caller.APPID, unionid: caller.UNIONID };
}

function getMiniProgramCode() {
  return uploadCode('pages/index/index', 'code.png');
}

function genMpQrcode(event) {
  const path = String(event.pagePath);
  return uploadCode(path, path.split('/').join('_') + '.png');
}

async function uploadCode(path, cloudPath) {
  const code = await cloud.openapi.wxacode.get({ path: path });
  const file = await cloud.uploadFile({ cloudPath: cloudPath, fileContent: code.buffer });
  return file.fileID;
}

async function createCollection() {
  try {
    await cloud.database().createCollection('sales');
    for (const data of SALES) await sales().add({ data: data });
    return { success: true };
  } catch (error) {
    // It is there already, which is as good.
    return { success: true, data: 'create collection success' };
  }
}

function selectRecord() {
  return sales().get();
}

function insertRecord(event) {
  return attempt(async () => {
    const given = event.data;
    await sales().add({ data: { region: given.region, city: given.city, sales: Number(given.sales) } });
    return given;
  });
}

function updateRecord(event) {
  return attempt(async () => {
    for (const given of event.data) {
      await sales().where({ _id: given._id }).update({ data: { sales: given.sales } });
    }
    return event.data;
  });
}

function deleteRecord(event) {
  return attempt(async () => {
    await sales().where({ _id: event.data._id }).remove();
    return event.data;
  });
}

function sumRecord() {
  const sum = cloud.database().command.aggregate.sum('$sales');
  return sales().aggregate().group({ _id: '$region', sum: sum }).end();
}

async function fetchGoodsList() {
  return { dataList: GOODS };
}

async function attempt(work) {
  try {
    return { success: true, data: await work() };
  } catch (error) {
    return { success: false, errMsg: error };
  }
}

function sales() {
  return cloud.database().collection('sales');
}

module.exports = {
  getOpenId,
  getMiniProgramCode,
  genMpQrcode,
  createCollection,
  selectRecord,
  insertRecord,
  updateRecord,
  deleteRecord,
  sumRecord,
  fetchGoodsList,
};
