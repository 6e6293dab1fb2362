// What the page asks of its server, and what it is told.

const WAIT_MS = 10_000;

/** Ask; gives the answer, or throws an Error whose message can be shown. */
async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, { ...options, signal: AbortSignal.timeout(WAIT_MS) });
  } catch {
    throw new Error("The server does not respond: is `segue ui` running?");
  }
  const told = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(told.error);
  return told;
}

export const findSongs = async query =>
  (await ask(`/api/songs${query ? `?q=${encodeURIComponent(query)}` : ""}`)).songs;
export const readMap = () => ask("/api/map");
export const newListener = () => ask("/api/listener", {});
export const play = (songId, skipped, found) =>
  ask("/api/plays", { song_id: songId, skipped, found });

/** Follow what the server tells. `on` has a function for each message, and `open` and `lost`. */
export function follow(on) {
  const source = new EventSource("/api/stream");
  source.addEventListener("open", on.open);
  source.addEventListener("error", on.lost);  // the browser tries again by itself
  for (const name of ["listener", "status", "figures"]) {
    source.addEventListener(name, event => on[name](JSON.parse(event.data)));
  }
}
