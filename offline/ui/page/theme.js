// Light, dark, or as the system says; kept in the browser.

import { by } from "./dom.js";

const THEMES = ["system", "light", "dark"];
const SIGNS = { system: "◐", light: "☀\uFE0E", dark: "☾\uFE0E" };
const KEY = "segue-theme";

export function startTheme(onChange) {
  const button = by("theme");
  let now = THEMES.includes(localStorage.getItem(KEY)) ? localStorage.getItem(KEY) : "system";
  const paint = () => {
    if (now === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = now;
    button.textContent = SIGNS[now];
    button.setAttribute("aria-label", `Theme: ${now === "system" ? "as the system" : now}`);
    onChange();
  };
  button.addEventListener("click", () => {
    now = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    localStorage.setItem(KEY, now);
    paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  paint();
}
