// The desk as people use it: by name, by keyboard, on a phone, without scripts; and readable to everybody.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { desk, launch, looks, page as pageOf, people, readable } from "./browser.js";

let browser, open;

before(async () => { browser = await launch(); open = await desk(); });
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options = {}) => pageOf(browser, t, { expected: /status of (40|503)/, ...options });

test("a name in Chinese finds the verdict, whose turn it is and what to do", async (t) => {
  const at = await page(t);
  await at.goto(open.base);
  await at.getByRole("searchbox").fill("李女士");
  await at.getByRole("button", { name: "查询" }).click();
  await at.waitForURL(/q=/);
  const cards = at.locator("article.card");
  assert.equal(await cards.count(), 2, "one for each recipient");
  const refused = cards.filter({ hasText: "陈静" });
  await refused.locator(".happened", { hasText: "[43101]" }).waitFor();
  await refused.getByText("谁来处理").waitFor();
  assert.match(await cards.filter({ hasText: "王小明" }).innerText(), /更早的通知 \(1\)/);
  assert.doesNotMatch(await at.content(), /13800138000/);
});

test("no message is an answer", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/search?q=周先生`);
  await at.getByRole("heading", { name: "没有通知" }).waitFor();
});

test("a message tells its life, and the counters come by themselves", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/messages/2001`);
  await at.locator(".life > li").first().waitFor();
  assert.equal(await at.locator(".life > li").count(), 3);
  assert.equal(await at.locator(".life > li").nth(2).locator(".reached").count(), 3, "it went as far as sent");
  await at.locator("#pulse b").first().waitFor();
  assert.match(await at.locator("#pulse").innerText(), /review/);
});

test("a database that goes away moves nothing on the page", async (t) => {
  const away = await desk({ DATABASE_URL: "postgres://nobody@127.0.0.1:1/none" });
  t.after(() => away.close());
  const at = await page(t);
  const asked = at.waitForResponse((answer) => answer.url().endsWith("/pulse"));
  await at.goto(away.base);
  assert.equal((await asked).status(), 503);
  await at.getByRole("searchbox").fill("李女士");
  await at.getByRole("button", { name: "查询" }).click();
  await at.getByRole("heading", { name: "数据库暂时连不上" }).waitFor();
  assert.equal(await at.locator("header.head").count(), 1);
  assert.equal((await at.locator("#pulse").innerText()).trim(), "");
});

test("a page that is not refreshed any more says since when", async (t) => {
  const at = await page(t);
  await at.clock.install();
  await at.goto(`${open.base}/overview`);
  await at.locator("#pulse b").first().waitFor();
  const stale = at.locator("#stale");
  const answered = at.waitForResponse((answer) => answer.url().endsWith("/pulse"));
  await at.clock.runFor(5_000);
  assert.equal((await answered).status(), 200);
  assert.equal(await stale.textContent(), "");
  const gone = (route) => route.fulfill({ status: 503 });
  await at.route("**/pulse", gone);
  const since = await at.locator("#pulse .at").textContent();
  await at.clock.runFor(20_000);
  assert.equal(await stale.innerText(), `未能刷新，计数停在 ${since}`);
  await at.unroute("**/pulse", gone);
  await at.clock.runFor(5_000);
  await at.waitForFunction(() => document.getElementById("stale").textContent === "");
});

test("the keyboard is enough", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/help`);
  await at.keyboard.press("/");
  await at.waitForURL(`${open.base}/`);
  await at.keyboard.type("10086");
  await at.keyboard.press("Enter");
  await at.waitForURL(/q=10086/);
  await at.keyboard.press("j");
  await at.keyboard.press("j");
  await at.keyboard.press("k");
  assert.equal(await at.locator(".chosen").count(), 1);
  const first = await at.locator("article.card .lead").first().getAttribute("href");
  await at.keyboard.press("Enter");
  await at.waitForURL(open.base + first);
  await at.keyboard.press("r");
  assert.equal(await at.evaluate(() => document.activeElement.name), "reason");
  await at.keyboard.press("Escape");
  await at.keyboard.press("p");
  await at.getByText("已暂停刷新").waitFor();
  await at.keyboard.press("?");
  await at.waitForURL(`${open.base}/help`);
});

test("the answer is copied, and can be selected without a script", async (t) => {
  const at = await page(t, { permissions: ["clipboard-read", "clipboard-write"] });
  await at.goto(`${open.base}/messages/1003`);
  await at.getByText("给对方的答复").click();
  await at.getByRole("button", { name: "复制" }).click();
  await at.getByText("已复制").waitFor();
  assert.match(await at.evaluate(() => navigator.clipboard.readText()), /李女士.*微信已接收/);
});

test("without JavaScript everything is there", async (t) => {
  const file = people({ wang: ["operator", "correct horse"] });
  const guarded = await desk({ OUTBOXD_DESK_USERS: file });
  t.after(() => guarded.close());
  const at = await page(t, { javaScriptEnabled: false });
  await at.goto(`${guarded.base}/search?q=10086`);
  await at.getByLabel("用户名").fill("wang");
  await at.getByLabel("密码").fill("correct horse");
  await at.getByRole("button", { name: "登录" }).click();
  await at.getByRole("link", { name: "微信已接收", exact: true }).click();
  await at.locator(".payload", { hasText: "138****8000" }).waitFor();
  await at.getByText("查看完整内容").click();
  await at.getByLabel("原因").fill("客户投诉");
  await at.getByRole("button", { name: "显示" }).click();
  await at.getByText("13800138000").waitFor();
  await at.getByRole("link", { name: "English" }).click();
  await at.getByRole("heading", { name: "What happened" }).waitFor();
  await at.getByRole("button", { name: "Log out" }).click();
  await at.getByLabel("Name").waitFor();
});

test("a link elsewhere opens the desk logged in, and a form elsewhere does nothing", async (t) => {
  const guarded = await desk({ OUTBOXD_DESK_USERS: people({ wang: ["operator", "correct horse"] }) });
  t.after(() => guarded.close());
  // Another site in a browser's eyes: localhost, not 127.0.0.1.
  const crm = createServer((_, answer) => answer.setHeader("content-type", "text/html").end(`<!doctype html><link rel="icon" href="data:,">
    <a href="${guarded.base}/messages/1002">her message</a>
    <form method="post" action="${guarded.base}/messages/1002/reveal"><input name="reason" value="r"><button>send</button></form>`));
  await new Promise((done) => crm.listen(0, "127.0.0.1", done));
  t.after(() => crm.close());
  const elsewhere = `http://localhost:${crm.address().port}/`;
  const at = await page(t);
  await at.goto(guarded.base);
  await at.getByLabel("用户名").fill("wang");
  await at.getByLabel("密码").fill("correct horse");
  await at.getByRole("button", { name: "登录" }).click();
  await at.getByRole("searchbox").waitFor();
  await at.goto(elsewhere);
  await at.getByRole("link", { name: "her message" }).click();
  await at.locator(".payload", { hasText: "138****8000" }).waitFor();
  await at.goto(elsewhere);
  const answered = at.waitForResponse((answer) => answer.request().method() === "POST");
  await at.getByRole("button", { name: "send" }).click();
  const answer = await answered;
  assert.equal(answer.status(), 401, "it comes without the cookie");
  assert.equal((await answer.request().allHeaders()).cookie, undefined);
  await at.getByRole("heading", { name: "请先登录" }).waitFor();
});

const PAGES = { home: "/", search: "/search?q=10086", none: "/search?q=nobody", message: "/messages/2001",
  sheet: "/messages/1002/sheet", help: "/help", missing: "/nothing" };

for (const [look, named] of looks) {
  test(`readable to everybody: ${named}`, async (t) => {
    const at = await page(t, look);
    for (const [name, path] of Object.entries(PAGES)) {
      await at.goto(open.base + path);
      await at.locator("#pulse b").first().waitFor();
      await readable(at, `${name}-${named}`);
    }
  });
}
