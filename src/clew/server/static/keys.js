// The keyboard: `?` tells the keys, Ctrl+K opens the palette, `/` goes to the search field, j and k
// walk through entries, sessions or hits. Keys do nothing while somebody types.

import { part } from "./clew.js";

const KEYS = [
  ["Ctrl K", "go to anything"],
  ["/", "search"],
  ["j, k", "next, previous"],
  ["Enter", "open"],
  ["o", "open or close all that folds in an entry"],
  ["g s, g f, g u, g e, g l, g a", "sessions, search, usage, export, ledger, audit"],
  ["v", "the trace of a session"],
  ["t", "light or dark"],
  ["?", "these keys"],
];
const PLACES = { s: "/", f: "/search", u: "/usage", e: "/export", l: "/ledger", a: "/audit" };
const STOPS = ".transcript > .entry, .sessions .session, .hits .hit";

let chord = 0;

function typing(event) {
  return event.target.closest?.("input, textarea, select, [contenteditable], dialog[open]");
}

function step(by) {
  const stops = [...document.querySelectorAll(STOPS)];
  if (!stops.length) return;
  const now = document.activeElement?.closest?.(STOPS);
  const first = stops.findIndex((each) => each.getBoundingClientRect().top >= 0);
  const at = now ? stops.indexOf(now) + by : Math.max(first, 0);
  const next = stops[Math.min(Math.max(at, 0), stops.length - 1)];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
  if (next.dataset.at) {
    const url = new URL(location.href);
    url.searchParams.set("at", next.dataset.at);
    history.replaceState(null, "", url);
  }
}

function fold() {
  const entry = document.activeElement?.closest?.(".entry");
  const all = entry ? [...entry.querySelectorAll("details")] : [];
  const open = all.some((each) => !each.open);
  all.forEach((each) => { each.open = open; });
}

function dialog(name, ...children) {
  const made = document.createElement("dialog");
  made.className = name;
  made.append(...children);
  made.addEventListener("close", () => made.remove());
  made.addEventListener("click", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  made.showModal();
  return made;
}

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function help() {
  const list = document.createElement("dl");
  for (const [keys, what] of KEYS) list.append(element("dt", keys), element("dd", what));
  const close = element("button", "Close");
  const box = dialog("keys", element("h2", "Keys"), list, close);
  close.addEventListener("click", () => box.close());
}

function palette() {
  if (document.querySelector("dialog.palette")) return;
  const field = element("input", "", { type: "search", placeholder: "Go to…", "aria-label": "Go to" });
  const found = element("ul", "", { role: "list" });
  dialog("palette", field, found);
  let asked = 0;
  let waiting = 0;
  const fill = async () => {
    const mine = ++asked;
    const parts = [...document.querySelectorAll(".top nav a")]
      .filter((each) => each.textContent.toLowerCase().includes(field.value.toLowerCase()))
      .map((each) => { const li = element("li", ""); li.append(each.cloneNode(true)); return li; });
    const body = await part(`/palette?q=${encodeURIComponent(field.value)}`).catch(() => null);
    if (mine !== asked) return;
    found.replaceChildren(...parts, ...(body ? body.childNodes : []));
  };
  field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(fill, 120); });
  found.parentElement.addEventListener("keydown", (event) => {
    const links = [...found.querySelectorAll("a")];
    const at = links.indexOf(document.activeElement);
    if (event.key === "ArrowDown") links[Math.min(at + 1, links.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (at > 0 ? links[at - 1] : field).focus();
    else if (event.key === "Enter" && at < 0) links[0]?.click();
    else return;
    event.preventDefault();
  });
  fill();
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    palette();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
  if (chord && PLACES[event.key]) { location.assign(PLACES[event.key]); return; }
  const acts = {
    "/": () => (document.querySelector("[data-search]") ?? { focus: () => location.assign("/search") }).focus(),
    j: () => step(1),
    k: () => step(-1),
    o: fold,
    t: () => document.querySelector("[data-theme-toggle]").click(),
    "?": help,
    g: () => { chord = setTimeout(() => { chord = 0; }, 1000); },
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});
document.querySelector("[data-palette]")?.addEventListener("click", palette);
