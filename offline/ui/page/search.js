// Finding a song by a part of its name, by keyboard or by hand.

import { by, make, say, songLines, songText } from "./dom.js";
import { findSongs } from "./server.js";

const PAUSE_MS = 120;

/** Start the search. `onPick` is told of the song; `onFailure` of an Error. */
export function startSearch(onPick, onFailure) {
  const input = by("search"), list = by("found");
  let timer = 0, asked = 0;

  async function look() {
    const query = input.value.trim(), mine = ++asked;
    try {
      const songs = await findSongs(query);
      if (mine === asked) draw(query, songs);  // else something newer was typed meanwhile
    } catch (error) {
      onFailure(error);
    }
  }

  function draw(query, songs) {
    const many = songs.length === 1 ? "1 song found" : `${songs.length} songs found`;
    say(by("found-title"), query ? many : songs.length ? "Most played" : "");
    list.replaceChildren(...songs.map(song => make("li", {}, make("button", {
      type: "button", onclick: () => onPick(song),
      attrs: { "aria-label": `Play ${songText(song)}` },
    }, ...songLines(song)))));
  }

  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(look, PAUSE_MS);
  });
  input.addEventListener("keydown", event => {
    if (event.key === "ArrowDown") {
      list.querySelector("button")?.focus();
      event.preventDefault();
    }
  });
  list.addEventListener("keydown", event => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const buttons = [...list.querySelectorAll("button")];
    const to = buttons.indexOf(document.activeElement) + step;
    (buttons[to] ?? (to < 0 ? input : buttons.at(-1))).focus();
    event.preventDefault();
  });
  return look;
}
