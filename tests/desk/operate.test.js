// Operating: an act from the keyboard to the timeline, and a redrive from its filter to its progress.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { axe, desk, launch, page as pageOf } from "./browser.js";

// Rows of its own, of a cause that no other test counts.
const ROWS = `
insert into outboxd.notification_delivery
    (id, key, app, event_type, aggregate_type, aggregate_id, recipient, payload, priority, attempts, lease_epoch,
     format_version, created_at, created_by, status, reason, errcode, may_have_arrived, settled_at, settled_by)
select 7000 + n, gen_random_uuid(), 'default', 'customer_assigned', 'customer', '20001', '51',
       '{"aggregate_label": "孙女士", "recipient_label": "周强", "phone": "13500135000"}', 2, 1, 0, 1, now() - interval '1 hour', 'crm',
       'dead', 'template_wrong', 40037, n = 2, now() - interval '10 minutes', 'daemon-a' from generate_series(1, 12) n;`;
let browser, open;

before(async () => {
  execFileSync("psql", ["-q", "-v", "ON_ERROR_STOP=1", process.env.DATABASE_URL], { input: ROWS, stdio: ["pipe", "ignore", "inherit"] });
  browser = await launch();
  open = await desk();
});
after(async () => { await browser?.close(); await open?.close(); });

const page = (t, options = {}) => pageOf(browser, t, { expected: /status of (4|503)/, ...options });

const PAGES = { resend: "/messages/7002/resend", handled: "/messages/7001/handled", redirect: "/messages/7001/redirect",
  correct: "/messages/7001/correct", refused: "/messages/7001/cancel", redrives: "/bulk", filter: "/bulk/new?cause=template_wrong&twice=yes" };

for (const [width, height] of [[1280, 900], [320, 640]]) {
  for (const locale of ["zh-CN", "en-US"]) {
    for (const colorScheme of ["light", "dark"]) {
      test(`forms are readable to everybody: ${width} px, ${locale}, ${colorScheme}`, async (t) => {
        const at = await page(t, { locale, colorScheme, viewport: { width, height } });
        for (const [name, path] of Object.entries(PAGES)) {
          await at.goto(open.base + path);
          await at.locator("#pulse b").first().waitFor();
          const wider = await at.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(wider <= 0, `${name} is ${wider} px too wide`);
          await at.evaluate(axe);
          const found = await at.evaluate(() => axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
          assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(" ")}`), [], name);
          const folder = process.env.OUTBOXD_SCREENSHOTS;
          if (folder) {
            mkdirSync(folder, { recursive: true });
            await at.screenshot({ path: `${folder}/${name}-${width}-${locale}-${colorScheme}.png`, fullPage: true });
          }
        }
      });
    }
  }
}

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

test("a redrive is previewed, confirmed by its count, watched without a reload, and paused", async (t) => {
  const at = await page(t);
  await at.goto(`${open.base}/bulk/new?status=dead&cause=template_wrong&since=24h`);
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
