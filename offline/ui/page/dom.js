// Elements, made without markup: what a song is called can never become a tag.

export const by = id => document.getElementById(id);

/** Make an element. `props` are its properties; one that is an attribute alone stands in `attrs`. */
export function make(tag, props = {}, ...children) {
  const { attrs = {}, ...own } = props;
  const made = Object.assign(document.createElement(tag), own);
  for (const [name, value] of Object.entries(attrs)) made.setAttribute(name, value);
  made.append(...children.filter(child => child !== null));
  return made;
}

const PATHS = {
  play: "M8 5.5v13l10.5-6.5z",
  skip: "M6 5.5v13l8.5-6.5zM15.5 5.5h2.6v13h-2.6z",
  again: "M12 5V2L7.5 6.5 12 11V7.6a4.9 4.9 0 1 1-4.9 4.9H4.5A7.5 7.5 0 1 0 12 5z",
};

/** Draw a sign for a button; what it means is said by the button's label. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const drawn = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24", width: 18, height: 18, fill: "currentColor", "aria-hidden": "true",
  })) drawn.setAttribute(key, value);
  path.setAttribute("d", PATHS[name]);
  drawn.append(path);
  return drawn;
}

/** Show a text in an element, touching it only where it differs: live regions speak at a touch. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const songText = song => (song.artist ? `${song.title} – ${song.artist}` : song.title);

export const songLines = song => [
  make("span", { className: "title", textContent: song.title }),
  song.artist ? make("span", { className: "artist", textContent: song.artist }) : null,
];

export const percent = share => `${Math.round(share * 100)}\u00a0%`;
