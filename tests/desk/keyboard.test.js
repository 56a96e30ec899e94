// Every act by the keyboard alone, its focus seen at each stop: no pointer is moved here.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { desk, launch, page as pageOf, press, settled, sql, tabTo } from "./browser.js";

let browser, open;

before(async () => {
  settled(7401, 7, { app: "'keys'", reason: "'template_missing'", may_have_arrived: "n = 1", aggregate_id: "'20004'" });
  sql(`insert into outboxd.notification_outbox (id, app, event_type, aggregate_id, recipient, next_attempt_at) overriding system value
       values (7410, 'keys', 'customer_assigned', '20005', '51', now() + interval '1 hour')`);
  browser = await launch();
  open = await desk();
});
after(async () => { await browser?.close(); await open?.close(); });

async function page(t, path) {
  const at = await pageOf(browser, t, {});
  await at.goto(open.base + path);
  return at;
}

const done = (at) => at.locator("section.card.good").waitFor();
const way = (at, word) => at.locator(`[data-act=${word}]`);
const reason = (at) => at.locator("#reason");

test("sending again what may have arrived", async (t) => {
  const at = await page(t, "/search?q=7401");
  await at.keyboard.press("j");
  await at.keyboard.press("Enter");
  await at.waitForURL(/messages/);
  await at.keyboard.press("r");
  await at.waitForURL(/resend/);
  await press(at, at.locator("[name=twice]"), "Space");
  await tabTo(at, reason(at));
  await at.keyboard.type("客户催问");
  await at.keyboard.press("Enter");
  await done(at);
});

test("cancelling, telling, redirecting, correcting", async (t) => {
  const at = await page(t, "/messages/7410");
  await press(at, way(at, "cancel"), "Enter");
  await tabTo(at, reason(at));
  await at.keyboard.type("客户已改约");
  await press(at, at.locator("form[data-once] button"), "Enter");
  await done(at);

  await at.goto(`${open.base}/messages/7402`);
  await press(at, way(at, "handled"), "Enter");
  await press(at, at.locator("[name=outcome]"), "Space");
  await at.keyboard.press("ArrowDown");
  await at.keyboard.press("ArrowUp");
  await tabTo(at, reason(at));
  await at.keyboard.type("打过电话");
  await at.keyboard.press("Enter");
  await done(at);

  await at.goto(`${open.base}/messages/7403`);
  await press(at, way(at, "redirect"), "Enter");
  await tabTo(at, at.locator("#recipient"));
  await at.keyboard.type("52");
  await tabTo(at, at.locator("#recipient_name"));
  await at.keyboard.type("吴丽");
  await tabTo(at, reason(at));
  await at.keyboard.type("周强请假");
  await at.keyboard.press("Enter");
  await done(at);

  await at.goto(`${open.base}/messages/7404`);
  await press(at, way(at, "correct"), "Enter");
  await tabTo(at, at.getByLabel("aggregate_label"));
  await at.keyboard.type("孙太太");
  await press(at, at.locator("details summary", { hasText: "缺少一个字段" }), "Enter");
  await tabTo(at, at.locator("#new_name"));
  await at.keyboard.type("visit");
  await tabTo(at, at.locator("#new_value"));
  await at.keyboard.type("三点");
  await tabTo(at, reason(at));
  await at.keyboard.type("称呼有误");
  await at.keyboard.press("Enter");
  await done(at);
});

test("looking at the content, and at a number", async (t) => {
  const at = await page(t, "/messages/7405");
  await press(at, at.locator("details.act summary"), "Enter");
  await tabTo(at, at.locator("details.act [name=reason]"));
  await at.keyboard.type("客户来电");
  await at.keyboard.press("Enter");
  await at.locator(".payload", { hasText: "13500135000" }).waitFor();

  await at.goto(`${open.base}/calls?app=keys`);
  const call = () => at.locator("article.call", { hasText: "#7406" });
  await press(at, call().locator("summary", { hasText: "查看完整号码" }), "Enter");
  await tabTo(at, call().locator("form[action*=reveal] [name=reason]"));
  await at.keyboard.type("电话告知");
  await at.keyboard.press("Enter");
  await at.locator(".phone b", { hasText: "13500135000" }).waitFor();
  await press(at, call().locator("summary", { hasText: "电话处理" }), "Enter");
  await press(at, call().locator("[name=outcome]"), "Space");
  await tabTo(at, call().locator("form[action*=handled] [name=reason]"));
  await at.keyboard.type("已说明");
  await at.keyboard.press("Enter");
  await at.getByRole("status").filter({ hasText: "#7406 已电话告知" }).waitFor();
});

test("pausing an app, and resuming it", async (t) => {
  const at = await page(t, "/system");
  const app = () => at.locator("article.card").filter({ has: at.getByRole("link", { name: "keys", exact: true }) });
  for (const [summary, text] of [["暂停这个应用", "检查模板"], ["恢复这个应用", "检查完毕"]]) {
    await press(at, app().locator("summary", { hasText: summary }), "Enter");
    await tabTo(at, app().locator("[name=reason]"));
    await at.keyboard.type(text);
    await at.keyboard.press("Enter");
    await app().locator("summary", { hasText: summary === "暂停这个应用" ? "恢复这个应用" : "暂停这个应用" }).waitFor();
  }
});

test("a redrive, from its filter to its end", async (t) => {
  const at = await page(t, "/dead?app=keys");
  await press(at, at.locator("main a[href*='/bulk/new?']"), "Enter");
  await at.waitForURL(/bulk\/new/);
  const count = await at.locator(".howmany strong").innerText();
  await tabTo(at, at.locator("#why"));
  await at.keyboard.type("模板已修正");
  await at.keyboard.press("Enter");
  await at.waitForURL(/bulk\/\d+$/);
  await tabTo(at, at.locator("#count"));
  await at.keyboard.type(count);
  await at.keyboard.press("Enter");
  await at.locator(`progress[value='${count}']`).waitFor();
  for (const [order, heading] of [["pause", "已暂停"], ["resume", "进行中"], ["cancel", "已取消"]]) {
    await press(at, at.locator(".orders summary"), "Enter");
    await tabTo(at, at.locator("#order_reason"));
    await at.keyboard.type("按键");
    await press(at, at.locator(`.orders button[value=${order}]`), "Enter");
    await at.getByRole("heading", { name: heading }).waitFor();
  }
});

test("a list is filtered, paged through and copied, and the language and the look are chosen", async (t) => {
  const at = await page(t, "/messages");
  await press(at, at.getByRole("checkbox", { name: "已停止" }), "Space");
  await at.keyboard.press("Enter");
  await at.waitForURL(/status=dead/);
  await press(at, at.locator(".chips a"), "Enter");
  await at.waitForURL((url) => !url.search.includes("status"));
  await press(at, at.getByRole("link", { name: "English" }), "Enter");
  await at.locator("html[lang=en]").waitFor();
  await press(at, at.getByRole("link", { name: "Dark" }), "Enter");
  await at.locator("html[data-theme=dark]").waitFor();
  await press(at, at.locator(".skip"), "Enter");
  assert.equal(await at.evaluate(() => document.activeElement.id), "main");
});

test("each of them was done, and is written down", () => {
  assert.deepEqual(sql("select distinct action from outboxd.audit_log where app = 'keys' order by 1").filter((it) => !it.startsWith("bulk")),
    ["cancel", "correct", "handle", "pause", "redirect", "resume", "retry", "reveal"]);
});
