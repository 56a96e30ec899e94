// A desk that runs, and the browser that looks at it.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
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

/** A file with one person in it. */
export function people(name, role, password) {
  const line = execFileSync(program(), ["desk-password", name, "--role", role], { input: `${password}\n`, encoding: "utf8" });
  const file = join(mkdtempSync(join(tmpdir(), "outboxd-desk-")), "users");
  writeFileSync(file, line);
  return file;
}

/** For `page.evaluate`: the strict policy lets no script tag in. */
export const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

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
