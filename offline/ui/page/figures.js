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

export function drawFigures(told) {
  const rows = [
    ["Plays a second", shown(told.playsPerS, rate), `${shown(told.listsPerS, rate)} lists`],
    ["Play to list, half of them", shown(told.latencyP50Ms, milliseconds),
      `99 of 100 within ${shown(told.latencyP99Ms, milliseconds)}`],
    ["Hit rate in 20 songs", shown(told.hitRate, share.format),
      `popularity ${shown(told.popularHitRate, share.format)}`],
    ["Plays judged", whole.format(told.judged), "by the list before each"],
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
  const many = told.workers === 1 ? "one worker" : `${told.workers} workers`;
  say(by("figures-source"), told.workers
    ? `Lists from their topic, the rest from the metrics of ${many}.`
    : "Lists from their topic; no worker's metrics answer (see segue ui --metrics).");
}
