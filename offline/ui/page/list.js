// The recommended songs: their ranks and changes, explanations, and retrievers.

import { icon, make, percent, songLines, songText } from "./dom.js";

const SOURCES = {
  gru: "GRU: songs near the session's state",
  session: "Played in this session already",
  neighbours: "Session kNN: similar sessions of other listeners",
  rules: "Sequential rules: songs that often follow these",
  tree: "Context tree: what followed the longest matching run of songs",
  items: "Item kNN: songs of the same sessions",
  blend: "Blend of session kNN, rules, context tree and item kNN",
  skipgram: "item2vec: songs near the session by their embeddings",
  live: "Recent plays: what others played around these songs",
  own: "Played by this listener before",
  popularity: "Popular now",
  trending: "Trending: played more than before",
};
const MOVE_MS = 350;
const MOST_CHIPS = 3;
const LEAST_SHARE = 0.01;

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Draw `items` into `list`. `act` has play(song), skip(song) and look(item or null). */
export function drawList(list, made, act) {
  const before = new Map([...list.children].map(row => [row.dataset.song, row]));
  const from = new Map([...before].map(([id, row]) => [id, row.getBoundingClientRect().top]));
  const focused = document.activeElement?.closest?.(".list > li")?.dataset.song;
  const inside = focused && document.activeElement.className;
  const rows = made.items.map((item, at) => drawRow(item, at + 1, made.first, act));
  list.replaceChildren(...rows);
  list.dataset.event = made.eventId ?? "";
  if (focused) {
    // The song that was in use may have gone; then its place in the list is the next best.
    const row = rows.find(each => each.dataset.song === focused) ?? rows[0];
    row?.querySelector(inside === "skip" ? ".skip" : ".pick").focus({ preventScroll: true });
  }
  if (!still.matches) slide(rows, from);
}

function drawRow(item, place, first, act) {
  const { song } = item;
  const row = make("li", { attrs: { "data-song": song.id } },
    make("div", { className: "place" }, String(place), drawMove(item, place, first)),
    make("div", {},
      make("button", {
        type: "button", className: "pick", onclick: () => act.play(song),
        attrs: { "aria-label": `Play ${songText(song)}` },
      }, ...songLines(song)),
      drawSources(item.sources)),
    drawReasons(item.because),
    make("button", {
      type: "button", className: "skip", title: "Skip after ten seconds",
      onclick: () => act.skip(song), attrs: { "aria-label": `Skip ${songText(song)}` },
    }, icon("skip")));
  row.addEventListener("pointerenter", () => act.look(item));
  row.addEventListener("pointerleave", () => act.look(null));
  row.addEventListener("focusin", () => act.look(item));
  row.addEventListener("focusout", () => act.look(null));
  return row;
}

function drawMove(item, place, first) {
  if (first) return null;
  if (item.before === null) return make("span", { className: "move new", textContent: "new" });
  const up = item.before - place;
  if (!up) return null;
  const told = `${up > 0 ? "up" : "down"} ${Math.abs(up)}`;
  return make("span", { className: "move", title: told },
    make("span", { attrs: { "aria-hidden": "true" } }, `${up > 0 ? "▲" : "▼"} ${Math.abs(up)}`),
    make("span", { className: "hidden" }, told));
}

function drawSources(sources) {
  const shown = sources.slice(0, MOST_CHIPS), rest = sources.slice(MOST_CHIPS);
  const chips = shown.map(name => make("li", { textContent: name, title: SOURCES[name] ?? name }));
  if (rest.length) {
    chips.push(make("li", { textContent: `+${rest.length}`, title: rest.join(", ") }));
  }
  return make("ul", { className: "chips", attrs: { "aria-label": "Sources" } }, ...chips);
}

function drawReasons(reasons) {
  const bars = reasons.filter(({ weight }) => weight >= LEAST_SHARE).map(({ song, weight }) => {
    const bar = make("span", { className: "bar", title: songText(song) }, song.title);
    bar.style.setProperty("--share", weight);
    return make("li", {}, bar, make("span", { className: "share" }, percent(weight)));
  });
  const label = reasons.length ? "Because of" : "No song of the session is the reason";
  return make("ul", { className: "why", attrs: { "aria-label": label } }, ...bars);
}

/** Let every row come from where it was; a new one fades in. */
function slide(rows, from) {
  for (const row of rows) {
    const top = from.get(row.dataset.song);
    const way = top === undefined ? 0 : top - row.getBoundingClientRect().top;
    if (top === undefined) row.animate({ opacity: [0, 1] }, MOVE_MS);
    else if (way) {
      row.animate({ transform: [`translateY(${way}px)`, "none"] },
        { duration: MOVE_MS, easing: "cubic-bezier(.2, .7, .2, 1)" });
    }
  }
}
