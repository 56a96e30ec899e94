// The overview: its numbers refresh with the pulse, and the last day is drawn. The table says the same without it.
"use strict";
(() => {
  const pulse = document.getElementById("pulse");
  const charts = document.getElementById("charts");
  const drawn = [];

  // Nothing moves under a hand: not what has the focus, a selection in it, or the pointer on its rows.
  function inHand(region) {
    const selection = getSelection();
    return region.contains(document.activeElement)
      || (!selection.isCollapsed && region.contains(selection.anchorNode))
      || region.querySelector("tbody:hover") !== null;
  }

  const value = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const percent = (share) => share.percent;
  const seconds = (hour) => (hour.p95_ms === null ? null : hour.p95_ms / 1000);

  // The causes that happened most, and all others in one line.
  function causes(hours, names, others) {
    const sums = new Map();
    for (const hour of hours) {
      for (const [key, n] of Object.entries(hour.failed)) sums.set(key, (sums.get(key) ?? 0) + n);
    }
    const keys = [...sums.keys()].sort((a, b) => sums.get(b) - sums.get(a) || a.localeCompare(b));
    const [most, rest] = [keys.slice(0, 4), keys.slice(4)];
    const lines = most.map((key) => ({ name: names[key] ?? key, points: hours.map((hour) => hour.failed[key] ?? 0) }));
    if (rest.length > 0) {
      const sum = (hour) => rest.reduce((n, key) => n + (hour.failed[key] ?? 0), 0);
      lines.push({ name: others, points: hours.map(sum) });
    }
    return lines;
  }

  function lines(figure, { hours, causes: names }) {
    const named = figure.dataset.series.split("|");
    const one = (points) => [{ name: named[0], points }];
    switch (figure.dataset.chart) {
      case "settled": return [
        { name: named[0], points: hours.map((hour) => hour.settled.count) },
        { name: named[1], points: hours.map((hour) => hour.success.good) },
      ];
      case "success": return one(hours.map((hour) => percent(hour.success)));
      case "authorised": return one(hours.map((hour) => percent(hour.authorised)));
      case "call": return one(hours.map(seconds));
      case "failed": return causes(hours, names, named[0]);
      default: return [];
    }
  }

  // Lines differ in their dashes too, for whoever does not see the colours apart.
  const tones = ["--good", "--bad", "--waiting", "--quiet", "--ink"];
  const dashes = [[], [6, 3], [2, 3], [9, 3, 2, 3], [1, 4]];

  function draw(figure, numbers) {
    const plot = figure.querySelector(".plot");
    const all = lines(figure, numbers);
    const at = numbers.hours.map((hour) => Date.parse(hour.at) / 1000);
    const target = figure.dataset.target === undefined ? null : Number(figure.dataset.target);
    const bars = figure.dataset.chart === "settled";
    const series = all.map((line, n) => ({
      label: line.name, stroke: value(bars && n === 0 ? "--soft" : tones[bars ? n - 1 : n]), width: bars ? 1 : 2, dash: bars ? [] : dashes[n],
      fill: bars ? value(n === 0 ? "--quiet-bg" : "--good-bg") : undefined, paths: bars ? uPlot.paths.bars({ size: [0.7, 40] }) : undefined,
      points: { show: !bars, size: 5 }, value: (_, v) => (v === null ? "–" : Number.isInteger(v) ? String(v) : v.toFixed(2)),
    }));
    const data = [at, ...all.map((line) => line.points)];
    if (target !== null) {
      series.push({ label: figure.dataset.targetName, stroke: value("--soft"), width: 1, dash: [3, 4], points: { show: false } });
      data.push(at.map(() => target));
    }
    const axis = { stroke: value("--soft"), grid: { stroke: value("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const highest = Math.max(0, target ?? 0, ...data.slice(1).flat().map((v) => v ?? 0));
    const share = ["success", "authorised"].includes(figure.dataset.chart);
    const lowest = share ? Math.min(target, ...data[1].filter((v) => v !== null)) : 0;
    plot.replaceChildren();
    const options = {
      width: plot.clientWidth, height: 190, series: [{ label: charts.dataset.hour, value: (_, v) => (v === null ? "–" : hour(v)) }, ...series],
      axes: [{ ...axis, size: 30, values: (_, ticks) => ticks.map(hour) }, { ...axis, size: 46 }],
      scales: { x: { range: (_, from, to) => [from - 1800, to + 1800] }, y: { range: share ? [Math.max(0, lowest - 5), 100.5] : [0, Math.max(highest * 1.12, 1)] } },
      cursor: { drag: { x: false, y: false } },
    };
    const chart = new uPlot(options, data, plot);
    drawn.push({ chart, plot });
  }

  // The hours are those of the configured zone, which the numbers carry with them.
  let offset = 0;
  const hour = (at) => new Date((at + offset) * 1000).toISOString().slice(11, 16);

  async function look() {
    let numbers;
    try {
      const answer = await fetch(charts.dataset.numbers, { headers: { accept: "application/json" } });
      if (!answer.ok) return;
      numbers = await answer.json();
    } catch {
      return; // The next look may fare better; what is drawn stays.
    }
    if (numbers.hours.length === 0) return;
    const [, sign, hours, minutes] = numbers.hours[0].at.match(/([+-])(\d\d):(\d\d)$/) ?? [null, "+", "0", "0"];
    offset = (sign === "-" ? -1 : 1) * (hours * 3600 + minutes * 60);
    charts.hidden = false;
    drawn.length = 0;
    for (const figure of charts.querySelectorAll("[data-chart]")) draw(figure, numbers);
  }

  let beats = 0;
  pulse?.addEventListener("refresh", () => {
    const numbers = document.getElementById("numbers");
    if (numbers && !inHand(numbers)) numbers.dispatchEvent(new CustomEvent("again"));
    beats += 1;
    if (beats % 12 === 0 && !inHand(charts) && !charts.matches(":hover")) look();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", look);
  let width = charts.clientWidth;
  new ResizeObserver(() => {
    if (charts.clientWidth === width) return;
    width = charts.clientWidth;
    for (const { chart, plot } of drawn) chart.setSize({ width: plot.clientWidth, height: 190 });
  }).observe(charts);
  look();
})();
