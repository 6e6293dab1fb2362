// The map of songs on a canvas: all as dots, what was heard as a path, what is recommended as rings.

import { songText } from "./dom.js";

const MARGIN = 0.94;
const LEAST_REACH = 0.1;  // of the map, from the middle of what is zoomed to
const MOST = 0.7;  // of the recommended songs are to be seen then
const REACH = 14;  // pixels within which the pointer means a song

export class SongMap {
  /** Draw on `canvas`; `onPick` is told of the id of a song that is clicked. */
  constructor(canvas, tip, onPick) {
    this.canvas = canvas;
    this.tip = tip;
    this.pen = canvas.getContext("2d");
    this.songs = null;
    this.plays = [];
    this.items = [];
    this.looked = null;
    this.seen = { x: 0, y: 0, reach: 1 };
    this.due = this.near = false;
    new ResizeObserver(() => this.redraw()).observe(canvas);
    canvas.addEventListener("pointermove", event => this.hover(event));
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    canvas.addEventListener("click", event => {
      const found = this.songAt(event.offsetX, event.offsetY);
      if (found) onPick(found.id);
    });
  }

  /** Take the whole map: ids, names and points, song by song. */
  take({ ids, names, points }) {
    this.songs = ids.map((id, i) =>
      ({ id, title: names[i][0], artist: names[i][1], at: points[i] }));
    this.redraw();
  }

  /** Take what was heard and what is recommended now. */
  show(plays, items) {
    this.plays = plays.filter(play => play.song.at);
    this.items = items.filter(item => item.song.at);
    const path = `your session has ${plays.length} songs on it`;
    const count = this.songs ? `${this.songs.length} songs` : "songs";
    this.canvas.setAttribute("aria-label", `Map of ${count}, ${path}`);
    this.canvas.dataset.path = this.plays.length;
    this.redraw();
  }

  /** Connect a recommended song with those that carried it; null: none. */
  look(item) {
    this.looked = item?.song.at ? item : null;
    this.redraw();
  }

  redraw() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => { this.due = false; this.draw(); });
  }

  /** Show the surroundings of what was heard last, or the whole map. */
  zoom(near) {
    this.near = near;
    this.redraw();
  }

  /** Give the middle of what is shown, and how far it reaches: most recommended songs are in it. */
  view() {
    const last = this.plays.at(-1)?.song.at;
    if (!this.near || !last) return { x: 0, y: 0, reach: 1 };
    const far = this.items.map(({ song: { at } }) =>
      Math.max(Math.abs(at[0] - last[0]), Math.abs(at[1] - last[1]))).sort((a, b) => a - b);
    const most = far[Math.floor((far.length - 1) * MOST)] ?? 0;
    return { x: last[0], y: last[1], reach: Math.min(1, Math.max(LEAST_REACH, most * 1.1)) };
  }

  place([x, y]) {
    const half = Math.min(this.canvas.clientWidth, this.canvas.clientHeight) / 2;
    const { seen } = this, scale = half * MARGIN / seen.reach;
    return [half + (x - seen.x) * scale, half - (y - seen.y) * scale];
  }

  draw() {
    this.seen = this.view();
    const { pen, canvas } = this, ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio);
    if (canvas.width !== width) canvas.width = canvas.height = width;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, width);
    const style = getComputedStyle(canvas);
    const tone = name => style.getPropertyValue(name).trim();
    pen.fillStyle = tone("--dot");
    const size = 1.4 / Math.sqrt(this.seen.reach);
    for (const song of this.songs ?? []) this.disc(song.at, size);
    this.drawPath(tone);
    this.drawItems(tone);
  }

  drawPath(tone) {
    const { pen } = this;
    pen.strokeStyle = pen.fillStyle = tone("--accent");
    pen.lineWidth = 1.5;
    this.plays.forEach((play, n) => {
      // What was heard long ago fades.
      pen.globalAlpha = Math.max(0.25, 1 - (this.plays.length - 1 - n) * 0.1);
      if (n) this.line(this.plays[n - 1].song.at, play.song.at);
      const last = n === this.plays.length - 1;
      if (play.skipped) {
        pen.fillStyle = tone("--paper");
        this.disc(play.song.at, last ? 5.5 : 3.5, true);
        pen.fillStyle = tone("--accent");
      } else this.disc(play.song.at, last ? 6 : 3.5);
      if (last) {
        pen.globalAlpha = 0.22;
        this.disc(play.song.at, 12);
      }
    });
    pen.globalAlpha = 1;
  }

  drawItems(tone) {
    const { pen } = this;
    pen.strokeStyle = tone("--accent");
    pen.fillStyle = tone("--card");
    pen.lineWidth = 1.5;
    this.items.forEach((item, n) => this.disc(item.song.at, Math.max(2.4, 4.2 - n * 0.12), true));
    if (!this.looked) return;
    pen.strokeStyle = tone("--ink");
    for (const { song, weight } of this.looked.because) {
      if (!song.at) continue;
      pen.lineWidth = 0.75 + 3 * weight;
      this.line(song.at, this.looked.song.at);
    }
    pen.fillStyle = tone("--ink");
    this.disc(this.looked.song.at, 5);
  }

  disc(at, radius, ring = false) {
    this.pen.beginPath();
    this.pen.arc(...this.place(at), radius, 0, 7);
    this.pen.fill();
    if (ring) this.pen.stroke();
  }

  line(from, to) {
    this.pen.beginPath();
    this.pen.moveTo(...this.place(from));
    this.pen.lineTo(...this.place(to));
    this.pen.stroke();
  }

  songAt(x, y) {
    let best = null, least = REACH ** 2;
    const near = [...this.plays, ...this.items].map(each => each.song);
    for (const song of [...near, ...(this.songs ?? [])]) {
      const [a, b] = this.place(song.at), far = (a - x) ** 2 + (b - y) ** 2;
      if (far < least) { least = far; best = song; }
    }
    return best;
  }

  hover(event) {
    const { tip } = this, found = this.songAt(event.offsetX, event.offsetY);
    tip.hidden = !found;
    if (!found) return;
    tip.textContent = songText(found);
    const most = this.canvas.clientWidth - tip.offsetWidth - 6;
    tip.style.left = `${Math.max(6, Math.min(event.offsetX + 12, most))}px`;
    const below = event.offsetY + 16 + tip.offsetHeight < this.canvas.clientHeight;
    tip.style.top = `${event.offsetY + (below ? 14 : -10 - tip.offsetHeight)}px`;
  }
}
