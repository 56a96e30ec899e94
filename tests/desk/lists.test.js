// The lists as people use them: narrowed by pills, walked by keyboard, without scripts, on a phone; readable to everybody.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { axe, desk, launch, page as pageOf } from "./browser.js";

let browser, open;

before(async () => { browser = await launch(); open = await desk(); });
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options) => pageOf(browser, t, options);

for (const javaScriptEnabled of [true, false]) {
  test(`a filter goes into the address and comes off by its chip, scripts ${javaScriptEnabled}`, async (t) => {
    const at = await page(t, { javaScriptEnabled });
    await at.goto(`${open.base}/messages`);
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

test("every list is readable to everybody, in both languages and themes, and fits a phone", async (t) => {
  for (const [width, theme, locale] of [[1280, "light", "zh-CN"], [1280, "dark", "en-GB"], [320, "light", "en-GB"], [320, "dark", "zh-CN"]]) {
    const at = await page(t, { viewport: { width, height: 800 }, colorScheme: theme, locale });
    for (const path of ["/messages", "/messages?status=dead&period=7d&recipient=42", "/dead", "/calls", "/audit"]) {
      await at.goto(open.base + path);
      await at.evaluate(axe);
      const found = await at.evaluate(() =>
        globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
      assert.deepEqual(found.violations.map((it) => [it.id, it.nodes[0].html]), [], `${path} ${width} ${theme} ${locale}`);
      assert.ok(await at.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${path} scrolls sideways at ${width}`);
    }
  }
});
