// How the whole system does, in four figures.

import { by, make, say } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const share = new Intl.NumberFormat("en", {
  style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1,
});
const shown = (value, write) => (value === null ? "–" : write(value));
const rate = value => (value < 100 ? fine : whole).format(value);
const milliseconds = value => `${whole.format(value)} ms`;

export function drawFigures(metrics) {
  const rows = [
    ["Plays per second", shown(metrics.playsPerS, rate), `${shown(metrics.listsPerS, rate)} lists`],
    ["Latency, median", shown(metrics.latencyP50Ms, milliseconds),
      `p99 ${shown(metrics.latencyP99Ms, milliseconds)}`],
    ["Hit rate @20", shown(metrics.hitRate, share.format),
      `popularity ${shown(metrics.popularHitRate, share.format)}`],
    ["Plays evaluated", whole.format(metrics.judged), "on the list before each"],
  ];
  const list = by("figures");
  if (list.children.length !== rows.length) {
    list.replaceChildren(...rows.map(([name]) =>
      make("div", {}, make("dt", { textContent: name }), make("dd"))));
  }
  rows.forEach(([, value, beside], n) => {
    const cell = list.children[n].querySelector("dd");
    cell.replaceChildren(value, make("small", { textContent: beside }));
  });
  const many = metrics.workers === 1 ? "one worker" : `${metrics.workers} workers`;
  say(by("figures-source"), metrics.workers
    ? `Lists from their topic, the rest from the metrics of ${many}.`
    : "Lists from their topic; no worker's metrics respond (see segue ui --metrics).");
}
