// The page: what is told goes to its parts, what is clicked goes to the server.

import { by, icon, make, say, songLines, songText } from "./dom.js";
import { drawFigures } from "./figures.js";
import { drawList } from "./list.js";
import { SongMap } from "./map.js";
import { startSearch } from "./search.js";
import { follow, newListener, play, readMap } from "./server.js";
import { startTheme } from "./theme.js";

const SILENT_S = 3, SHORT = 10;

let listener = { userId: "", plays: [], list: null };
let status = null, connected = false, asking = false, failure = "", songs = 0;

const map = new SongMap(by("map"), by("tip"), id => send({ id }, false, "map"));
const findAgain = startSearch(song => send(song, false, "search"), fail);

async function send(song, skipped, found) {
  failure = "";
  try {
    await play(song.id, skipped, found);
  } catch (error) {
    fail(error);
  }
  drawState();
}

function fail(error) {
  failure = error.message;
  drawState();
}

function drawListener(told) {
  const changed = told.list?.eventId !== listener.list?.eventId || told.userId !== listener.userId;
  listener = told;
  const { plays, list } = told, last = plays.at(-1);
  document.querySelector("main").classList.toggle("listening", plays.length > 0);
  by("deck").hidden = !last;
  by("empty").hidden = Boolean(list);
  by("more").hidden = !(list?.items.length > SHORT);
  say(by("deck-what"), last?.skipped ? "You just skipped" : "You just played");
  say(by("deck-title"), last ? last.song.title : "");
  say(by("deck-artist"), last ? last.song.artist : "");
  by("play-next").disabled = by("skip-next").disabled = !list?.items.length;
  if (changed || !list) {
    drawList(by("list"), list ?? { items: [], first: true }, {
      play: song => send(song, false, "list"),
      skip: song => send(song, true, "list"),
      look: item => map.look(item),
    });
    map.look(null);
    if (list) announce(list);
  }
  say(by("made-by"), list ? `${list.model} · ${Math.round(list.latencyMs)} ms` : "");
  drawHeard(plays);
  map.show(plays, list?.items ?? []);
  drawState();
}

function announce(list) {
  const [first] = list.items;
  if (!first) return;
  const [reason] = first.because;
  const because = reason ? `, because of ${reason.song.title}` : "";
  say(by("announce"), `New list: ${songText(first.song)} comes first${because}`);
}

function drawHeard(plays) {
  by("heard-empty").hidden = plays.length > 0;
  by("heard").replaceChildren(...plays.toReversed().map(({ song, skipped, rank }) => {
    const note = skipped ? "skipped" : rank ? `was ${rank} in the list` : "";
    return make("li", { className: skipped ? "skipped" : "" },
      make("div", {}, ...songLines(song)),
      make("span", { className: rank && !skipped ? "note hit" : "note", textContent: note }),
      make("button", {
        type: "button", title: "Play again", onclick: () => send(song, false, "session"),
        attrs: { "aria-label": `Play ${songText(song)} again` },
      }, icon("again")));
  }));
  const judged = plays.slice(1), hits = judged.filter(each => each.rank).length;
  say(by("own-hits"), judged.length ? `${hits} of ${judged.length} were in the list before` : "");
}

function drawStatus(told) {
  const before = status;
  status = told;
  if (told.map === "ready" && before?.map !== "ready") {
    readMap().then(found => { map.take(found); map.show(listener.plays, listener.list?.items ?? []); })
      .catch(fail);
  }
  by("map-note").hidden = told.map === "ready";
  by("zoom").disabled = told.map !== "ready";
  say(by("map-note"), told.map === "drawing"
    ? "The map is being computed …" : `No map: ${told.mapProblem ?? ""}`);
  if (told.songs !== songs) {
    songs = told.songs;
    if (!by("search").value) findAgain();
  }
  drawState();
}

function drawState() {
  const [state, text, problem] = stateOf();
  by("state").dataset.state = state;
  say(by("state").querySelector("span"), text);
  by("problem").hidden = !problem;
  say(by("problem"), problem);
}

/** Give the state, what is said of it in the head, and what is wrong. */
function stateOf() {
  if (!connected) return ["wrong", "Not connected", "The server does not respond: is `segue ui` running?"];
  if (status?.problem) return ["wrong", "Kafka is not available", status.problem];
  if (failure) return ["wrong", "That did not work", failure];
  if (status && !status.songs) {
    return ["wrong", "No songs", "There are no songs: run `segue songs`, or give `segue ui` a --bundle or --plays."];
  }
  if (status?.waitsS >= SILENT_S) {
    return ["wrong", "No worker responds",
      `The play was sent ${status.waitsS} s ago and no list came: is \`segue worker\` running?`];
  }
  const model = status?.bundle ? "" : " · no bundle: lists come by whatever the worker serves";
  return ["live", `Live as ${listener.userId}${model}`, ""];
}

by("play-next").addEventListener("click", () => {
  const [first] = listener.list?.items ?? [];
  if (first) send(first.song, false, "list");
});
by("skip-next").addEventListener("click", () => {
  const [first] = listener.list?.items ?? [];
  if (first) send(first.song, true, "list");
});
by("repeat").addEventListener("click", () => {
  const last = listener.plays.at(-1);
  if (last) send(last.song, false, "session");
});
by("zoom").addEventListener("click", () => {
  const near = by("zoom").getAttribute("aria-pressed") !== "true";
  by("zoom").setAttribute("aria-pressed", String(near));
  map.zoom(near);
});
by("more").addEventListener("click", () => {
  const open = by("list").classList.toggle("open");
  say(by("more"), open ? "Show the first ten" : "Show all");
  by("more").setAttribute("aria-expanded", String(open));
});
by("renew").addEventListener("click", async () => {
  if (asking) return;
  asking = true;
  try {
    await newListener();
    by("search").focus();
  } catch (error) {
    fail(error);
  }
  asking = false;
});

startTheme(() => map.redraw());
findAgain();
follow({
  open: () => { connected = true; failure = ""; drawState(); },
  lost: () => { connected = false; drawState(); },
  listener: drawListener,
  status: drawStatus,
  figures: drawFigures,
});
