// What makes the desk quicker for a hand on the keyboard. Every page works without it.
"use strict";
(() => {
  const find = (selector, from = document) => from.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const said = find("#said");

  // A browser does this when it first paints, which may be after the first keys.
  if (document.activeElement === document.body) find("[autofocus]")?.focus();

  function say(text) {
    said.textContent = text;
    clearTimeout(say.gone);
    say.gone = setTimeout(() => { said.textContent = ""; }, 2500);
  }

  // Copying: the clipboard only opens on https and on this machine, so elsewhere the old way is taken.
  async function copy(element) {
    const text = element.href ?? element.textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const box = document.createElement("textarea");
      box.value = text;
      const before = document.activeElement;
      document.body.append(box);
      box.select();
      const done = document.execCommand("copy");
      box.remove();
      before?.focus();
      if (!done) return;
    }
    say(said.dataset.copied);
  }
  for (const button of all("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(document.getElementById(button.dataset.copy)));
  }
  for (const button of all("[data-print]")) {
    button.hidden = false;
    button.addEventListener("click", () => print());
  }

  // Times of one's own and a span back from now: whichever was touched last is meant.
  for (const span of all("[data-spans]")) {
    const own = [...span.form.querySelectorAll("[data-own]")];
    span.addEventListener("change", () => { if (span.value !== "own") for (const time of own) time.value = ""; else own[0].focus(); });
    for (const time of own) time.addEventListener("change", () => { if (time.value) span.value = "own"; });
  }

  // Only the counters refresh by themselves; nothing else moves under a hand.
  const pulse = find("#pulse");
  let paused = sessionStorage.getItem("paused") === "yes";
  const stale = find("#stale");
  let unanswered = 0;
  // With each answer comes the time at which it was true.
  if (pulse) new MutationObserver(() => { unanswered = 0; stale.textContent = ""; })
    .observe(pulse, { childList: true, characterData: true, subtree: true });
  setInterval(() => {
    if (!pulse) return;
    if (paused || document.hidden) { unanswered = 0; return; }
    pulse.dispatchEvent(new CustomEvent("refresh"));
    unanswered += 1;
    if (unanswered < 3) return;
    // What stands there still is not said to be true.
    const since = find(".at", pulse)?.textContent;
    const text = since ? `${stale.dataset.since} ${since}` : stale.dataset.never;
    if (stale.textContent !== text) stale.textContent = text;
  }, 5000);

  // A redrive's progress comes by itself, unless a hand is in one of its forms.
  const progress = find("#progress");
  setInterval(() => {
    if (!progress || !find("[data-live]", progress) || paused || document.hidden) return;
    if (!progress.contains(document.activeElement)) progress.dispatchEvent(new CustomEvent("refresh"));
  }, 2000);

  // A form is sent once. Going back to it lets it be sent anew.
  document.addEventListener("submit", ({ target }) => {
    if (!target.matches("[data-once]")) return;
    setTimeout(() => { for (const button of target.querySelectorAll("button")) button.disabled = true; });
  });
  addEventListener("pageshow", () => { for (const button of all("[data-once] button")) button.disabled = false; });

  // The chosen one of a list.
  const items = all("[data-item]");
  let at = -1;
  function choose(n) {
    if (items.length === 0) return;
    items[at]?.classList.remove("chosen");
    at = Math.max(0, Math.min(items.length - 1, n));
    items[at].classList.add("chosen");
    find("a", items[at]).focus({ preventScroll: true });
    items[at].scrollIntoView({ block: "nearest" });
  }
  // Without a list the one card of the page is the chosen one.
  const chosen = () => items[at] ?? (items.length === 0 ? find(".card") : null);

  const keys = {
    "/": () => { const box = find("#q"); if (box) { box.focus(); box.select(); } else location.href = find(".brand").href; },
    "?": () => { location.href = find(".head nav a:last-child").href; },
    j: () => choose(at + 1),
    k: () => choose(at - 1),
    c: () => { const text = chosen() && find(".copy .text", chosen()); if (text) copy(text); },
    r: () => {
      const way = find(".ways [data-act=resend]");
      const row = items[at] && find("a[href*='/messages/']", items[at]);
      if (way) { location.href = way.href; return; }
      const act = find(".act > summary", items[at] ?? document);
      if (act) { act.parentElement.open = true; find("input:not([type=hidden]), button", act.parentElement)?.focus(); return; }
      if (row) { location.href = `${row.href}/resend`; }
    },
    p: () => {
      paused = !paused;
      sessionStorage.setItem("paused", paused ? "yes" : "no");
      say(paused ? said.dataset.paused : said.dataset.going);
    },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
