// Operating: an act from its form to the timeline, and a redrive from its filter to its report, with and without scripts.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { daemon, desk, launch, looks, page as pageOf, readable, settled, sql } from "./browser.js";

let browser, open;

before(async () => {
  settled(7001, 12, { may_have_arrived: "n = 2" });
  settled(7101, 8, { app: "'till'", reason: "'receiver_refused'", errcode: "404" });
  settled(7121, 3, { app: "'kiosk'", reason: "'receiver_refused'", errcode: "404" });
  browser = await launch();
  open = await desk();
});
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options = {}) => pageOf(browser, t, { expected: /status of (4|503)/, ...options });

const PAGES = { resend: "/messages/7002/resend", handled: "/messages/7001/handled", redirect: "/messages/7001/redirect",
  correct: "/messages/7001/correct", refused: "/messages/7001/cancel", redrives: "/bulk", filter: "/bulk/new?cause=template_wrong&twice=yes" };

for (const [look, named] of looks) {
  test(`forms are readable to everybody: ${named}`, async (t) => {
    const at = await page(t, look);
    for (const [name, path] of Object.entries(PAGES)) {
      await at.goto(open.base + path);
      await at.locator("#pulse b").first().waitFor();
      await readable(at, `${name}-${named}`);
    }
  });

  // What stands there after a click; each look does it to a message of its own.
  test(`what follows an act is readable to everybody: ${named}`, async (t) => {
    const at = await page(t, look);
    const id = 7200 + 10 * looks.findIndex(([, it]) => it === named);
    settled(id, 2, { app: "'looks'", reason: "'template_wrong'" });
    await at.goto(`${open.base}/messages/${id}/resend`);
    await at.locator("#reason").fill("模板已修正 13800138000");
    await at.locator("main form[data-once] button").click();
    await at.locator("section.card.good").waitFor();
    await readable(at, `done-${named}`);
    // The same form again: somebody has been here before.
    await at.goto(`${open.base}/messages/${id + 1}/handled`);
    sql(`update outboxd.notification_delivery set attempts = attempts + 1 where id = ${id + 1}`);
    await at.locator("[value=told]").check();
    await at.locator("#reason").fill("电话告知");
    await at.locator("main form[data-once] button").click();
    await at.locator("section.card.waiting").waitFor();
    await readable(at, `meanwhile-${named}`);
    await at.goto(`${open.base}/messages/${id + 1}/handled`);
    await at.locator("[value=told]").check();
    await at.locator("#reason").evaluate((it) => { it.form.noValidate = true; });
    await at.locator("main form[data-once] button").click();
    await at.getByRole("alert").waitFor();
    await readable(at, `problem-${named}`);
    await at.goto(`${open.base}/messages/${id + 1}`);
    await at.locator("details.act summary").click();
    await at.locator("details.act [name=reason]").fill("客户来电");
    await at.locator("details.act button").click();
    await at.locator(".payload", { hasText: "13500135000" }).waitFor();
    await readable(at, `revealed-${named}`);
    await at.goto(`${open.base}/calls?app=looks`);
    const call = at.locator("article.call").first();
    await call.locator("summary").nth(1).click();
    await call.locator("form[action*=reveal] [name=reason]").fill("客户来电");
    await call.locator("form[action*=reveal] button").click();
    await at.locator(".phone b", { hasText: "13500135000" }).waitFor();
    await readable(at, `revealed-call-${named}`);
    // A redrive: planned, under way, and with something wrong.
    await at.goto(`${open.base}/bulk/new?cause=template_wrong&app=looks&since=24h`);
    await at.locator("#why").fill("模板已修正");
    await at.locator("form[data-once] button").click();
    await at.locator("#count").waitFor();
    await readable(at, `planned-${named}`);
    const count = await at.locator(".howmany strong").innerText();
    await at.locator("#count").fill("99");
    await at.locator(".orders > form button").click();
    await at.getByRole("alert").waitFor();
    await readable(at, `wrong-count-${named}`);
    await at.locator("#count").fill(count);
    await at.locator(".orders > form button").click();
    await at.locator(`progress[value='${count}']`).waitFor();
    await readable(at, `progress-${named}`);
    sql("delete from outboxd.notification_delivery where app = 'looks'");
  });
}

test("what changes stands in columns, under the head of each", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/messages/7005/redirect`);
  const left = async (selector) => (await at.locator(selector).first().boundingBox()).x;
  for (const n of [1, 2, 3]) {
    assert.equal(await left(`.changes tbody tr > :nth-child(${n})`), await left(`.changes thead th:nth-child(${n})`), `${n}`);
  }
});

test("r leads from a list and from a message to sending again", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/search?q=7001`);
  await at.keyboard.press("j");
  await at.keyboard.press("r");
  await at.waitForURL(/\/resend$/);
  await at.goto(`${open.base}/messages/7001`);
  await at.keyboard.press("r");
  await at.waitForURL(/\/resend$/);
});

test("without JavaScript a message is corrected, and both timelines lead to the other", async (t) => {
  const at = await page(t, { javaScriptEnabled: false });
  await at.goto(`${open.base}/messages/7001`);
  await at.getByRole("link", { name: "更正后发送" }).click();
  assert.doesNotMatch(await at.content(), /13500135000/);
  await at.getByLabel("aggregate_label").fill("孙太太");
  await at.getByLabel("原因（记入审计日志）").fill("称呼有误");
  await at.getByRole("button", { name: "更正后发送" }).click();
  await at.getByRole("heading", { name: "已新建通知" }).waitFor();
  await at.locator(".links a").first().click();
  const other = at.locator(".life a");
  const name = await other.innerText();
  await other.click();
  await at.getByRole("heading", { name, includeHidden: true }).waitFor();
  await at.locator(".life a", { hasText: "#7001" }).waitFor();
});

test("without JavaScript somebody is told, on the message and on the list", async (t) => {
  const at = await page(t, { javaScriptEnabled: false });
  await at.goto(`${open.base}/messages/7003`);
  await at.getByRole("link", { name: "标记为已处理" }).click();
  await at.getByLabel("已告知本人").check();
  await at.getByLabel("原因（记入审计日志）").fill("十点打的电话");
  await at.getByRole("button", { name: "标记为已处理" }).click();
  await at.locator("section.card.good").waitFor();
  await at.goto(`${open.base}/calls?recipient=51`);
  assert.equal(await at.locator("article.call", { hasText: "#7003" }).count(), 0, "told is told");
  const call = at.locator("article.call", { hasText: "#7004" });
  await call.getByText("电话处理").click();
  await call.getByLabel("已告知").check();
  await call.getByLabel("备注").fill("十点半打的");
  await call.getByRole("button", { name: "记录" }).click();
  await at.getByRole("status").filter({ hasText: "#7004 已电话告知" }).waitFor();
  assert.match(at.url(), /recipient=51/, "still the list that was asked for");
  assert.deepEqual(sql("select notification_id, outcome from outboxd.notification_handled where notification_id in (7003, 7004) order by 1"),
    ["7003|told", "7004|told"]);
});

test("a redrive is previewed, confirmed by its count, watched without a reload, and paused", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/bulk/new?status=dead&cause=template_wrong&since=24h&app=default`);
  const count = await at.locator(".howmany strong").innerText();
  await at.getByLabel("原因（记入审计日志）").fill("模板已修正");
  await at.getByRole("button", { name: "列入计划" }).click();
  await at.getByLabel("请填写将重新发送的条数").fill("1");
  await at.getByRole("button", { name: "开始" }).click();
  await at.getByText("数量不对").waitFor();
  await at.getByLabel("请填写将重新发送的条数").fill(count);
  await at.getByRole("button", { name: "开始" }).click();
  // It comes by itself.
  await at.locator("progress[value='5']").waitFor();
  await at.getByText("暂停 · 结束").click();
  await at.getByLabel("原因（记入审计日志）").fill("先看看");
  await at.getByRole("button", { name: "暂停" }).click();
  await at.getByRole("heading", { name: "已暂停" }).waitFor();
});

// A daemon sends them, to a receiver that says yes: as many as were promised, each once.
for (const [app, count, javaScriptEnabled] of [["till", 8, true], ["kiosk", 3, false]]) {
  test(`as many are sent again as were counted, to the report at the end, scripts ${javaScriptEnabled}`, async (t) => {
    const at = await page(t, { javaScriptEnabled });
    await at.goto(`${open.base}/bulk/new?status=dead&cause=receiver_refused&app=${app}&since=24h`);
    assert.equal(await at.locator(".howmany strong").innerText(), `${count}`);
    await at.getByLabel("原因（记入审计日志）").fill("地址已改正");
    await at.getByRole("button", { name: "列入计划" }).click();
    assert.equal(await at.locator(".howmany strong").innerText(), `${count}`);
    const { received, stop } = await daemon(app);
    t.after(stop);
    await at.getByLabel("请填写将重新发送的条数").fill(`${count}`);
    await at.getByRole("button", { name: "开始" }).click();
    const done = at.getByRole("heading", { name: `已完成 ${count} / ${count}` });
    for (let tries = 0; !javaScriptEnabled && !(await done.isVisible()); tries++) {
      assert.ok(tries < 100, await at.locator("main").innerText());
      await new Promise((again) => setTimeout(again, 200));
      await at.getByRole("link", { name: "刷新" }).click().catch(() => at.reload());
    }
    await done.waitFor();
    assert.equal(await at.locator(".numbers .good dd").innerText(), `${count}`, "accepted");
    assert.deepEqual([received.length, new Set(received).size], [count, count], "calls, and keys in them");
    assert.deepEqual(sql(`select status, count(*) from outboxd.notification_delivery where app = '${app}' group by 1`), [`delivered|${count}`]);
    await at.getByRole("link", { name: "此条件下还剩多少" }).click();
    await at.getByText("没有符合条件的通知").waitFor();
  });
}
