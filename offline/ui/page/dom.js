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

/** Show a text in an element, touching it only where it differs: live regions speak at a touch. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const songText = song => (song.artist ? `${song.title} – ${song.artist}` : song.title);

export const songLines = song => [
  make("span", { className: "title", textContent: song.title }),
  song.artist ? make("span", { className: "artist", textContent: song.artist }) : null,
];

export const percent = share => `${Math.round(share * 100)} %`;
