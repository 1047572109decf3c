// @ts-check
// The rows and bars that are seen, as elements: never more of them than fit.

import { bar, ticks } from "./trace-layout.js";
import { FAILED, nameOf, RUNNING, took } from "./trace-data.js";
import { duration, element, exact, given, short } from "./trace-words.js";

const MORE = 6;
const NARROW_PX = 560;
const SMALL_PX = 26;
const LARGE_PX = 44;
const DEPTH_MAX = 12;
const INDENT_REM = 0.85;
const LABEL_SPACE = 0.82;
const LAST_PX = 64;

export class Rows {
  /** @param {HTMLElement} box the element that scrolls @param {HTMLElement} space its inside */
  constructor(box, space) {
    this.box = box;
    this.space = space;
    /** @type {Map<number, HTMLElement>} */
    this.drawn = new Map();
    this.lines = [];
    this.height = SMALL_PX;
  }

  /** Other lines; what was drawn of the old ones goes. */
  show(lines) {
    const large = this.box.clientWidth < NARROW_PX || matchMedia("(pointer: coarse)").matches;
    this.height = large ? LARGE_PX : SMALL_PX;
    this.lines = lines;
    for (const each of this.drawn.values()) each.remove();
    this.drawn.clear();
    this.space.style.height = `${lines.length * this.height}px`;
    this.box.setAttribute("aria-rowcount", `${lines.length}`);
  }

  /** Draw what is seen. */
  draw(scale, view, now, chosen, hits) {
    const { height } = this;
    const first = Math.max(Math.floor(this.box.scrollTop / height) - MORE, 0);
    const end = Math.min(
      Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + MORE, this.lines.length);
    const free = [];
    for (const [at, each] of this.drawn) {
      if (at >= first && at < end) continue;
      this.drawn.delete(at);
      free.push(each);
    }
    let active = "";
    let last = null;
    for (let at = first; at < end; at++) {
      let node = this.drawn.get(at);
      if (!node) {
        node = free.pop() ?? rowElement();
        fill(node, this.lines[at], at);
        node.style.top = `${at * height}px`;
        node.style.height = `${height}px`;
        this.drawn.set(at, node);
        // Those who hear the rows hear them in the order of the document.
        if (last) last.after(node); else this.space.prepend(node);
      }
      last = node;
      const { row } = this.lines[at];
      const is = row === chosen;
      node.setAttribute("aria-selected", `${is}`);
      node.classList.toggle("hit", hits.has(row));
      if (is) active = node.id;
      place(node, this.lines[at], scale, view, now);
    }
    for (const each of free) each.remove();
    if (active) this.box.setAttribute("aria-activedescendant", active);
    else this.box.removeAttribute("aria-activedescendant");
  }

  /** Scroll so far that a line is seen. */
  reveal(at) {
    const { height, box } = this;
    const top = at * height;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + height > box.scrollTop + box.clientHeight) {
      box.scrollTop = top + height - box.clientHeight;
    }
  }
}

/** A row without words: it is filled when it is shown, and again with another. */
function rowElement() {
  const node = element("div", "trace-row");
  node.setAttribute("role", "row");
  const twist = element("span", "twist");
  twist.setAttribute("aria-hidden", "true");
  const shape = element("span", "trace-shape");
  shape.setAttribute("aria-hidden", "true");
  const name = element("div", "trace-name", twist, shape, element("span", "unseen"),
    element("span", "trace-words"), element("span", "trace-tokens"));
  name.setAttribute("role", "rowheader");
  const lane = element("div", "trace-lane", element("div", "trace-bracket"),
    element("div", "trace-stick"), element("span", "trace-label"));
  lane.setAttribute("role", "gridcell");
  node.append(name, lane);
  return node;
}

function fill(node, { row, depth, open, bracket }, at) {
  const [name, lane] = node.children;
  const [twist, , kind, words, tokens] = name.children;
  node.className = `trace-row ${row.kind} ${state(row)}`;
  node.id = `trace-row-${at}`;
  node.dataset.line = `${at}`;
  node.setAttribute("aria-level", `${depth + 1}`);
  node.setAttribute("aria-rowindex", `${at + 1}`);
  if (open === null) node.removeAttribute("aria-expanded");
  else node.setAttribute("aria-expanded", `${open}`);
  name.style.paddingLeft = `${0.3 + Math.min(depth, DEPTH_MAX) * INDENT_REM}rem`;
  twist.textContent = open === null ? "" : open ? "▾" : "▸";
  kind.textContent = `${row.kind}: `;
  words.textContent = nameOf(row);
  words.title = nameOf(row);
  const said = tokensOf(row);
  tokens.textContent = said?.text ?? "";
  tokens.title = said?.title ?? "";
  lane.firstElementChild.className = `trace-bracket ${bracket}`;
  lane.firstElementChild.hidden = !bracket;
}

function state(row) {
  if (RUNNING.has(row.status)) return "running";
  if (FAILED.has(row.status)) return "failed";
  return row.status === "open" || row.end === null ? "open" : "ok";
}

function tokensOf({ sum }) {
  const { tokens } = sum;
  if (!sum.calls) return null;
  return {
    text: `${short(given(tokens))} → ${short(tokens.output)}`,
    title: `input ${exact(tokens.input)}, cache read ${exact(tokens.read)}, cache write `
      + `${exact(tokens.write)}, output ${exact(tokens.output)}, reasoning ${exact(tokens.reasoning)}`,
  };
}

const SHOWN = { ok: "", open: "no result" };

function place(node, { row, from: first }, scale, view, now) {
  const lane = /** @type {HTMLElement} */ (node.lastElementChild);
  const label = /** @type {HTMLElement} */ (lane.lastElementChild);
  const stick = /** @type {HTMLElement} */ (label.previousElementSibling);
  const [from, to] = bar(row, scale, view, now);
  const left = Math.min(Math.max(from, -0.01), 1.01);
  const right = Math.min(Math.max(to, -0.01), 1.01);
  stick.hidden = to < 0 || from > 1;
  stick.style.left = `${left * 100}%`;
  stick.style.width = `${(right - left) * 100}%`;
  write(label, words(row, now, from, to), left, right);
  const bracket = /** @type {HTMLElement} */ (lane.firstElementChild);
  if (bracket.hidden) return;
  const at = (scale.to(first) - view.u0) / (view.u1 - view.u0);
  bracket.classList.toggle("away", at < 0 || at > 1);
  bracket.style.left = `calc(${at * 100}% - 5px)`;
}

/** What is said of a bar; for one that is not in sight, where it is. */
function words(row, now, from, to) {
  const time = took(row, now);
  const said = [time === null ? "" : duration(time), SHOWN[row.status] ?? row.status];
  const text = said.filter(Boolean).join(" ");
  if (to < 0) return `‹ ${text}`;
  return from > 1 ? `${text} ›` : text;
}

/** Behind the bar; before it, or on it, where there is no room. */
function write(label, text, left, right) {
  if (label.textContent !== text) label.textContent = text;
  const before = right > LABEL_SPACE && left > 1 - LABEL_SPACE;
  label.style.left = right > LABEL_SPACE ? "auto" : `${Math.max(right, 0) * 100}%`;
  label.style.right = right <= LABEL_SPACE ? "auto"
    : before ? `${Math.max(1 - left, 0) * 100}%` : "0";
  label.classList.toggle("on", right > LABEL_SPACE && !before);
}

let ruled = "";

/** The marks above the bars, drawn anew when they change. */
export function rule(ruler, box, scale, view) {
  const told = [view.u0, view.u1, scale.first, scale.length, box.clientWidth].join();
  if (told === ruled) return;
  ruled = told;
  ruler.style.marginRight = `${box.offsetWidth - box.clientWidth}px`;
  const width = ruler.clientWidth;
  const shown = ticks(scale, view, width).filter(
    (each) => each.gap || (each.at >= 0 && each.at * width < width - LAST_PX));
  const found = shown.map((each) => {
    const mark = element("span", each.gap ? "trace-gap" : "trace-tick",
      each.gap ? duration(each.time) : `+${duration(each.time)}`);
    mark.style.left = `${each.at * 100}%`;
    if (each.gap) {
      mark.style.width = `${(each.to - each.at) * 100}%`;
      mark.title = `${duration(each.time)} in which nothing ran`;
    }
    return mark;
  });
  ruler.replaceChildren(...found);
}
