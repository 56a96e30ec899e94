// Who comes in, and what they may do: a wrong password, somebody who may only look, a desk that changes nothing, a page of the CRM.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";
import { desk, launch, looks, page as pageOf, people, readable, settled, sql } from "./browser.js";

const SECRET = "0123456789abcdef";
/** The heading is that of the page of the CRM which has it in a frame. */
const PART = ["page-has-heading-one"];
let browser, guarded, shown;

before(async () => {
  settled(7301, 1, { app: "'door'", reason: "'not_subscribed'", errcode: "43101", aggregate_id: "'20003'" });
  browser = await launch();
  guarded = await desk({ OUTBOXD_DESK_USERS: people({ wang: ["operator", "correct horse"], li: ["viewer", "battery staple"] }) });
  shown = await desk({ OUTBOXD_DESK_READ_ONLY: "true", OUTBOXD_DESK_BADGE_SECRET: SECRET });
});
after(async () => { await browser?.close(); await guarded?.close(); await shown?.close(); });

const page = (t, options = {}) => pageOf(browser, t, { expected: /status of 40/, ...options });

async function logIn(at, name, password, path = "/") {
  await at.goto(guarded.base + path);
  await at.locator("#name").fill(name);
  await at.locator("#password").fill(password);
  await at.locator("form.login button").click();
}

/** Sends what a form would, from this very page; the status of the answer. */
const post = (at, path, fields) =>
  at.evaluate(async ([path, fields]) => {
    const form_token = document.querySelector("[name=form_token]")?.value ?? "";
    const body = new URLSearchParams({ form_token, ...fields });
    const answer = await fetch(path, { method: "POST", body });
    return [answer.status, await answer.text()];
  }, [path, fields]);

for (const javaScriptEnabled of [true, false]) {
  test(`a wrong password is said, and the right one leads to what was asked for, scripts ${javaScriptEnabled}`, async (t) => {
    const at = await page(t, { javaScriptEnabled });
    await logIn(at, "wang", "wrong horse", "/messages?status=dead");
    await at.getByRole("heading", { name: "用户名或密码不对" }).waitFor();
    assert.doesNotMatch(await at.content(), /wrong horse|李女士/);
    await at.getByText("找管理员").waitFor();
    await at.locator("#name").fill("wang");
    await at.locator("#password").fill("correct horse");
    await at.getByRole("button", { name: "登录" }).click();
    await at.waitForURL(`${guarded.base}/messages?status=dead`);
    await at.locator(".rows > li").first().waitFor();
  });
}

test("who may look sees no number and no way to one", async (t) => {
  const at = await page(t);
  await logIn(at, "li", "battery staple", "/messages/7301");
  await at.locator(".payload", { hasText: "135****5000" }).waitFor();
  assert.equal(await at.locator("main form, .ways, .act").count(), 0);
  for (const path of ["/messages/7301/reveal", "/calls/reveal", "/messages/7301/resend", "/calls/handled", "/system/pause", "/bulk/new"]) {
    const [status, text] = await post(at, path, { reason: "客户来电", seen: "x", app: "door", outcome: "told", why: "x" });
    assert.equal(status, 403, path);
    assert.match(text, /当前账号只能查看/, path);
    assert.doesNotMatch(text, /13500135000/, path);
  }
  await at.goto(`${guarded.base}/messages/7301/resend`);
  await at.getByRole("heading", { name: "当前账号只能查看" }).waitFor();
  for (const path of ["/calls", "/bulk", "/bulk/new", "/system", "/dead"]) {
    await at.goto(guarded.base + path);
    assert.equal(await at.locator("main form[method=post], main a[href*='/bulk/new?'], .act").count(), 0, path);
  }
  assert.deepEqual(sql("select count(*) from outboxd.audit_log where actor = 'li'"), ["0"]);
});

test("a desk that only shows has no buttons, says so, and does nothing", async (t) => {
  const at = await page(t);
  for (const path of ["/messages/7301", "/calls", "/bulk", "/bulk/new", "/system", "/dead"]) {
    await at.goto(shown.base + path);
    await at.locator("header .badge", { hasText: "只读" }).waitFor();
    assert.equal(await at.locator("main form[method=post], main a[href*='/bulk/new?'], .ways, .act").count(), 0, path);
  }
  for (const act of ["resend", "handled", "redirect", "correct", "cancel"]) {
    await at.goto(`${shown.base}/messages/7301/${act}`);
    await at.getByRole("heading", { name: "客服台现在是只读的" }).waitFor();
  }
  const before = sql("select count(*) from outboxd.audit_log");
  for (const path of ["/messages/7301/resend", "/messages/7301/reveal", "/calls/handled", "/system/pause", "/bulk/new"]) {
    const [status, text] = await post(at, path, { reason: "x", seen: "x", app: "door" });
    assert.equal(status, 403, path);
    assert.match(text, /客服台现在是只读的/, path);
  }
  assert.deepEqual(sql("select count(*) from outboxd.audit_log"), before);
});

function badge(customer, recipient, ahead = 600) {
  const expires = Math.floor(Date.now() / 1000) + ahead;
  const sig = createHmac("sha256", SECRET).update(JSON.stringify([customer, recipient, expires])).digest("hex");
  return `${shown.base}/badge/${customer}/${recipient}?expires=${expires}&sig=${sig}`;
}

for (const [look, named] of looks) {
  test(`the door is readable to everybody: ${named}`, async (t) => {
    const at = await page(t, look);
    await at.goto(`${guarded.base}/login`);
    await readable(at, `login-${named}`);
    await at.goto(`${guarded.base}/messages/7301`);
    await readable(at, `log-in-first-${named}`);
    // Five tries a minute for a name from an address: each look has a name of its own.
    await logIn(at, `nobody-${named}`, "wrong horse");
    await at.locator("form.login").waitFor();
    await readable(at, `wrong-password-${named}`);
    await at.goto(`${shown.base}/messages/7301/resend`);
    await readable(at, `read-only-${named}`);
    await at.goto(`${badge("20003", "51")}&lang=${look.locale.slice(0, 2)}`);
    await at.locator(".chip.bad").waitFor();
    assert.doesNotMatch(await at.content(), /孙女士|13500135000/);
    await readable(at, `badge-${named}`, PART);
    await at.goto(badge("20003", "51", -1));
    await at.locator(".chip.quiet").waitFor();
    await readable(at, `badge-too-late-${named}`, PART);
  });
}
