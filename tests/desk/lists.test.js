// The lists as people use them: narrowed by pills, walked by keyboard, without scripts, on a phone; readable to everybody.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { desk, launch, looks, page as pageOf, readable, sql } from "./browser.js";

const PAGES = { messages: "/messages", filtered: "/messages?status=dead&period=7d&recipient=42", dead: "/dead", calls: "/calls",
  audit: "/audit" };
let browser, open;

before(async () => { browser = await launch(); open = await desk(); });
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options) => pageOf(browser, t, options);

for (const javaScriptEnabled of [true, false]) {
  test(`a filter goes into the address and comes off by its chip, scripts ${javaScriptEnabled}`, async (t) => {
    const at = await page(t, { javaScriptEnabled });
    // Other tests have apps of their own.
    await at.goto(`${open.base}/messages?app=default`);
    const all = await at.locator(".rows > li").count();
    await at.getByRole("checkbox", { name: "已停止" }).check();
    await at.getByRole("button", { name: "筛选" }).click();
    await at.waitForURL(/status=dead/);
    await at.reload();
    assert.equal(await at.locator(".rows > li").count(), 2);
    await at.locator(".chips a").first().click();
    await at.waitForURL((url) => !url.search.includes("status"));
    assert.equal(await at.locator(".rows > li").count(), all);
  });
}

test("j and Enter open a message", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/messages?status=dead`);
  await at.keyboard.press("j");
  await at.keyboard.press("j");
  await at.keyboard.press("Enter");
  await at.waitForURL(/messages\/[0-9a-f-]{36}/);
});

test("a time of one's own and a span back: the one touched last is meant", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/messages`);
  await at.locator(".filters summary").click();
  await at.locator("[name=from]").fill("2026-01-01T00:00");
  assert.equal(await at.locator("[name=period]").inputValue(), "own");
  await at.locator("[name=period]").selectOption("7d");
  assert.equal(await at.locator("[name=from]").inputValue(), "");
});

test("a number is shown to whoever says why, and the page has it once", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/calls`);
  const call = at.locator("article.call", { hasText: "陈静" });
  assert.doesNotMatch(await at.content(), /13800138000/);
  await call.getByText("查看完整号码").click();
  await call.locator("form[action*=reveal] [name=reason]").fill("电话告知");
  await call.getByRole("button", { name: "显示" }).click();
  await at.locator(".phone b", { hasText: "13800138000" }).waitFor();
  await at.goto(`${open.base}/calls`);
  assert.doesNotMatch(await at.content(), /13800138000/);
});

test("what has come since moves no row", async (t) => {
  for (const width of [320, 1280]) {
    const at = await page(t, { viewport: { width, height: 800 } });
    await at.goto(`${open.base}/messages`);
    const row = at.locator(".rows > li").first();
    await at.locator("#pulse b").first().waitFor();
    const before = await row.boundingBox();
    sql(`insert into outboxd.notification_outbox (id, app, event_type, aggregate_id, recipient) overriding system value
           values (${60_000 + width}, 'review', 'customer_assigned', '10090', '43')`);
    await at.evaluate(() => document.getElementById("pulse").dispatchEvent(new CustomEvent("refresh")));
    await at.locator("#newer a").waitFor();
    assert.deepEqual(await row.boundingBox(), before, `${width} px`);
    const first = await row.locator("a").getAttribute("href");
    await at.locator("#newer a").click();
    await at.waitForFunction((href) => document.querySelector(".rows a").getAttribute("href") !== href, first);
  }
});

test("the counters in the head move nothing below", async (t) => {
  for (const [look, named] of looks) {
    const at = await page(t, look);
    let go;
    const held = new Promise((done) => { go = done; });
    await at.route("**/pulse", async (route) => { await held; await route.continue(); });
    await at.goto(`${open.base}/messages`);
    const before = await at.locator("main").boundingBox();
    go();
    await at.locator("#pulse b").first().waitFor();
    assert.deepEqual(await at.locator("main").boundingBox(), before, named);
  }
});

test("each list is taken home as a file", async (t) => {
  const at = await page(t);
  for (const path of ["/messages", "/dead", "/calls", "/audit?period=30d"]) {
    await at.goto(open.base + path);
    const link = at.getByRole("link", { name: "CSV 表格" });
    const [file] = await Promise.all([at.waitForEvent("download"), link.click()]);
    assert.match(file.suggestedFilename(), /\.csv$/);
    const text = await readFile(await file.path(), "utf8");
    assert.ok(text.startsWith("\ufeff\"") && text.split("\r\n").length > 2, `${path}: ${text}`);
    assert.doesNotMatch(text, /1[3-9]\d{9}/);
  }
});

test("every list is readable to everybody, in both languages and themes, and fits a phone", async (t) => {
  for (const [look, named] of looks) {
    const at = await page(t, look);
    for (const [name, path] of Object.entries(PAGES)) {
      await at.goto(open.base + path);
      await readable(at, `${name}-${named}`);
    }
  }
});
