// A desk that runs, and the browser that looks at it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const program = () => {
  const path = process.env.OUTBOXD_BIN;
  return path.startsWith("/") ? path : join("..", "..", path);
};

export const launch = () =>
  chromium.launch({
    executablePath: process.env.OUTBOXD_CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Starts `outboxd serve` with these settings, and waits until it answers. */
export async function desk(settings = {}) {
  const listen = `127.0.0.1:${await freePort()}`;
  const child = spawn(program(), ["serve"], {
    env: { ...process.env, OUTBOXD_DESK_LISTEN: listen, OUTBOXD_LANG: "zh", OUTBOXD_LOG: "warn", ...settings },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const base = `http://${listen}`;
  for (let tries = 0; ; tries++) {
    if (child.exitCode !== null || tries > 300) throw new Error("the desk did not open");
    try {
      if ((await fetch(`${base}/livez`)).ok) break;
    } catch {
      await new Promise((done) => setTimeout(done, 50));
    }
  }
  const close = () => new Promise((done) => { child.once("exit", done); child.kill("SIGTERM"); });
  return { base, close };
}

/** A file with these people in it: `{name: [role, password]}`. */
export function people(all) {
  const lines = Object.entries(all).map(([name, [role, password]]) =>
    execFileSync(program(), ["desk-password", name, "--role", role], { input: `${password}\n`, encoding: "utf8" }));
  return file("users", lines.join(""));
}

/** In a folder of its own, which goes with the test. */
function file(name, text) {
  const folder = mkdtempSync(join(tmpdir(), "outboxd-desk-"));
  process.once("exit", () => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

/** A daemon for one app, and the service it calls: the keys that it received, and how to end both. */
export async function daemon(app) {
  const received = [];
  const service = createHttpServer((request, answer) => {
    received.push(request.headers["webhook-id"]);
    request.resume().on("end", () => answer.end("{}"));
  });
  await new Promise((done) => service.listen(0, "127.0.0.1", done));
  const at = `127.0.0.1:${service.address().port}`;
  const config = file("config.toml", `[apps.${app}]
target = "http"
target_url = "http://${at}/"
allow = ["${at}"]
webhook_secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
`);
  const child = spawn(program(), ["run", "--config", config], {
    env: { ...process.env, OUTBOXD_HTTP_LISTEN: "off", OUTBOXD_LOG: "warn", OUTBOXD_UNSAFE_DURABILITY: "true" }, stdio: ["ignore", "inherit", "inherit"],
  });
  const stop = async () => {
    const ended = child.exitCode === null ? new Promise((done) => { child.once("exit", done); child.kill("SIGTERM"); }) : null;
    await ended;
    service.closeAllConnections();
    service.close();
  };
  return { received, stop };
}

/** What psql answers to this, line by line. */
export const sql = (text) =>
  execFileSync("psql", ["-qAt", "-v", "ON_ERROR_STOP=1", process.env.DATABASE_URL], { input: text, encoding: "utf8", stdio: ["pipe", "pipe", "inherit"] })
    .split("\n").filter(Boolean);

/**
 * Some settled ones, from this id on: `changes` are columns of notification_delivery by name, each as SQL. A test that changes
 * rows has its own, of a cause or an app that no other test counts.
 */
export function settled(first, count, changes = {}) {
  const columns = {
    app: "'default'", aggregate_id: "'20001'", recipient: "'51'", status: "'dead'", reason: "'template_wrong'", errcode: "40037",
    may_have_arrived: "false", settled_at: "now() - interval '10 minutes'",
    payload: `'{"aggregate_label": "孙女士", "recipient_label": "周强", "phone": "13500135000"}'`, ...changes,
  };
  sql(`insert into outboxd.notification_delivery (id, key, event_type, aggregate_type, priority, attempts, lease_epoch,
         format_version, created_at, created_by, settled_by, ${Object.keys(columns)})
       select ${first - 1} + n, gen_random_uuid(), 'customer_assigned', 'customer', 2, 1, 0, 1, now() - interval '1 hour',
         'crm', 'daemon-a', ${Object.values(columns)} from generate_series(1, ${count}) n;`);
}

/** For `page.evaluate`: the strict policy lets no script tag in. */
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** A page that fails its test when anything goes wrong in it, but for answers of the statuses that are `expected`. */
export async function page(browser, t, { expected, ...options } = {}) {
  const context = await browser.newContext({ locale: "zh-CN", viewport: { width: 1280, height: 900 }, ...options });
  t.after(() => context.close());
  const page = await context.newPage();
  page.on("pageerror", (error) => assert.fail(error));
  page.on("console", (said) => {
    if (said.type() === "error" && !(expected && said.text().match(expected))) assert.fail(said.text());
  });
  return page;
}

/** Nothing is too wide, and axe finds nothing but faults of these rules; with OUTBOXD_SCREENSHOTS there is a picture of it. */
export async function readable(at, name, but = []) {
  const sideways = await at.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(sideways <= 0, `${name} is ${sideways} px too wide`);
  await at.evaluate(axe);
  const { violations } = await at.evaluate(() =>
    globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  const faults = violations.filter((it) => !but.includes(it.id));
  assert.deepEqual(faults.map((it) => `${it.id}: ${it.nodes.map((node) => node.html).join(" ")}`), [], name);
  const folder = process.env.OUTBOXD_SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await at.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
}

/** Both languages, both themes, a desk's screen and a phone's, each with each of the others: `[options of a page, its name]`. */
export const looks = [[1280, "zh-CN", "light"], [1280, "en-US", "dark"], [320, "en-US", "light"], [320, "zh-CN", "dark"]]
  .map(([width, locale, colorScheme]) =>
    [{ locale, colorScheme, viewport: { width, height: width === 320 ? 640 : 900 } }, `${width}-${locale}-${colorScheme}`]);

/** Goes there with the Tab key, and is seen there. */
export async function tabTo(at, target) {
  const element = await target.first().elementHandle();
  const isThere = () => element.evaluate((it) => it === document.activeElement);
  for (let presses = 0; !(await isThere()); presses++) {
    assert.ok(presses < 150, `the Tab key does not lead to ${target}`);
    await at.keyboard.press("Tab");
  }
  // Of a pill it is its text that shows where the focus is.
  const isSeen = await element.evaluate((it) => [it, it.nextElementSibling]
    .some((shown) => shown && getComputedStyle(shown).outlineStyle !== "none"));
  assert.ok(isSeen, `nobody sees that the focus is on ${target}`);
}

/** The same, and presses the key there; then types. */
export async function press(at, target, key, text) {
  await tabTo(at, target);
  await at.keyboard.press(key);
  if (text) await at.keyboard.type(text);
}
