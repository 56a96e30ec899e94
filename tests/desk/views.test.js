// Overview, system and help in a real browser: drawn, pressed, read without scripts, and moving nothing under a hand.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { desk, launch, looks, page as pageOf, readable } from "./browser.js";

let browser, open;

before(async () => { browser = await launch(); open = await desk(); });
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options) => pageOf(browser, t, options);

test("the last day is drawn, and stands in a table without scripts", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/overview`);
  await at.locator(".uplot canvas").nth(4).waitFor();
  const bare = await page(t, { javaScriptEnabled: false });
  await bare.goto(`${open.base}/overview`);
  assert.equal(await bare.locator("#charts").isVisible(), false);
  await bare.locator("summary", { hasText: "用表格查看" }).click();
  assert.equal(await bare.locator("details[open] tbody tr").count(), 24);
});

test("the numbers refresh, and not under a hand", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/overview`);
  const value = at.locator(".tile .value").first();
  const beat = () => at.evaluate(() => document.getElementById("pulse").dispatchEvent(new CustomEvent("refresh")));
  const forget = () => value.evaluate((element) => { element.textContent = "old"; });
  await forget();
  await beat();
  await at.waitForFunction(() => document.querySelector(".tile .value").textContent !== "old");
  await at.locator("#numbers tbody a").first().focus();
  await forget();
  let asked = 0;
  at.on("request", (request) => { if (request.url().endsWith("/overview")) asked += 1; });
  const pulse = at.waitForResponse(/\/pulse$/);
  await beat();
  await pulse;
  assert.deepEqual([asked, await value.textContent()], [0, "old"]);
});

test("an app is paused with a reason and resumed, without scripts", async (t) => {
  const at = await page(t, { javaScriptEnabled: false });
  await at.goto(`${open.base}/system`);
  const app = at.locator("article.card").filter({ has: at.getByRole("link", { name: "default", exact: true }) });
  await app.locator("summary", { hasText: "暂停这个应用" }).click();
  await app.getByLabel("原因").fill("模板审核");
  await app.getByRole("button", { name: "暂停" }).click();
  await app.getByText("模板审核").waitFor();
  await app.locator("summary", { hasText: "恢复这个应用" }).click();
  await app.getByLabel("原因").fill("审核通过");
  await app.getByRole("button", { name: "恢复" }).click();
  await app.locator("summary", { hasText: "暂停这个应用" }).waitFor();
});

test("the theme is chosen by a click, and stays", async (t) => {
  for (const javaScriptEnabled of [true, false]) {
    const at = await page(t, { colorScheme: "light", javaScriptEnabled });
    const paper = () => at.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await at.goto(`${open.base}/help`);
    const light = await paper();
    await at.getByRole("link", { name: "深色" }).click();
    await at.locator(":root[data-theme=dark]").waitFor();
    assert.notEqual(await paper(), light);
    await at.goto(`${open.base}/system`);
    assert.notEqual(await paper(), light);
    assert.equal(await at.getByRole("link", { name: "深色" }).getAttribute("aria-current"), "true");
    // axe waits for a timer, which never comes without scripts.
    if (javaScriptEnabled) await readable(at, "chosen-dark");
    await at.getByRole("link", { name: "浅色" }).click();
    await at.locator(":root[data-theme=light]").waitFor();
    assert.equal(await paper(), light);
  }
});

test("readable to everybody: both languages, light and dark, on a phone", async (t) => {
  for (const [look, named] of looks) {
    const at = await page(t, look);
    for (const name of ["overview", "system", "help"]) {
      await at.goto(`${open.base}/${name}`);
      if (name === "overview") await at.locator(".uplot canvas").nth(4).waitFor();
      await readable(at, `${name}-${named}`);
    }
  }
});
