// @ts-check
// The panel that is looked at: what is loaded, how it is laid out, when it is drawn.

import { planted, RUNNING } from "./trace-data.js";
import { Rows, rule } from "./trace-draw.js";
import { Feed } from "./trace-feed.js";
import { axis, clamped, lines, wanted, whole } from "./trace-layout.js";
import { figures, summary, tell } from "./trace-side.js";
import * as state from "./trace-state.js";
import { element, exact } from "./trace-words.js";

const QUIET_MS = 250;

export class View {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.find = (name) => root.querySelector(`[data-trace-${name}]`);
    this.feed = new Feed(root.dataset.session);
    this.box = this.find("rows");
    this.rows = new Rows(this.box, this.find("space"));
    this.side = this.find("side");
    this.said = state.read();
    this.roots = [];
    this.lines = [];
    this.hits = new Set();
    this.chosen = null;
    this.loaded = false;
    this.due = 0;
    this.what = "";
    this.scale = axis([], 0, false);
    this.view = whole(this.scale);
    this.fitted = !this.said.zoom;
  }

  button(name) {
    return this.root.querySelector(`[data-trace-do="${name}"]`);
  }

  open(size) {
    this.said.size = size === "full" ? "full" : "1";
    this.root.hidden = false;
    this.root.dataset.size = this.said.size;
    document.documentElement.dataset.traced = this.said.size;
    this.button("full").setAttribute("aria-pressed", `${size === "full"}`);
    for (const each of document.querySelectorAll("[data-trace-open]")) {
      each.setAttribute("aria-expanded", "true");
    }
    if (!this.loaded) this.fetch(() => this.feed.load(this.said.at));
    else this.later("lines");
    this.box.focus({ preventScroll: true });
  }

  close() {
    this.said.size = "";
    this.root.hidden = true;
    delete document.documentElement.dataset.traced;
    for (const each of document.querySelectorAll("[data-trace-open]")) {
      each.setAttribute("aria-expanded", "false");
      each.focus({ preventScroll: true });
    }
    state.write(this.said);
  }

  async fetch(ask) {
    try {
      await ask();
      this.loaded = true;
      this.later("data");
    } catch (error) {
      this.note(`The trace cannot be shown: ${error.message}`);
    }
  }

  frame(frame) {
    if (!this.loaded) return;
    if (frame.entry) this.feed.newest = `${frame.session}:${frame.entry.seq}`;
    if (frame.span && (this.feed.derived || !this.feed.rows.length)) this.soon(() => this.feed.load());
    else if (frame.span) { this.feed.take(frame); this.soon(null); }
    else if (this.feed.derived && frame.type === "entry") this.soon(() => this.feed.grown());
  }

  /** Once a quarter of a second at most, however much is told. */
  soon(ask) {
    this.asked = ask ?? this.asked ?? null;
    if (this.waiting) return;
    this.waiting = setTimeout(async () => {
      const asked = this.asked;
      this.asked = null;
      if (asked) await this.fetch(asked);
      this.waiting = 0;
      this.later("data");
    }, QUIET_MS);
  }

  /** Draw at the next frame. `what` is the most that changed: time, view, lines or data. */
  later(what) {
    const order = ["", "view", "time", "lines", "data"];
    if (order.indexOf(what) > order.indexOf(this.what)) this.what = what;
    if (!this.due) this.due = requestAnimationFrame(() => this.draw());
  }

  draw() {
    const { what } = this;
    this.due = 0;
    this.what = "";
    if (this.root.hidden || !this.loaded) return;
    this.now = Date.now();
    if (what === "data") this.grow();
    if (what === "data" || what === "time") this.measure();
    if (what === "data" || what === "lines") this.lay();
    rule(this.find("ruler"), this.box, this.scale, this.view);
    this.rows.draw(this.scale, this.view, this.now, this.chosen, this.hits);
    this.said.zoom = this.fitted ? null : [this.view.u0, this.view.u1].map(this.scale.from);
    state.write(this.said);
  }

  grow() {
    const { rows } = this.feed;
    this.roots = planted(rows);
    this.running = rows.some((each) => RUNNING.has(each.status));
    const key = this.chosen?.key ?? this.said.span;
    const chosen = rows.find((each) => each.key === key) ?? null;
    const other = chosen !== this.chosen || chosen?.status !== this.shownStatus;
    this.chosen = chosen;
    this.measure();
    this.choices();
    if (other) this.detail();
    const { gaps, first, last, idle } = this.scale;
    const share = Math.round((idle / (last - first)) * 100);
    const said = rows.length ? summary(this.feed.own, this.scale, gaps.length ? share : 0) : "";
    this.find("facts").textContent = said;
    const button = this.button("idle");
    button.hidden = !gaps.length;
    button.textContent = `Compress idle (${share} %)`;
    button.setAttribute("aria-pressed", `${this.said.idle}`);
    this.about();
    this.find("figures").hidden = !this.said.figures;
    this.find("body").hidden = this.said.figures;
    this.button("figures").setAttribute("aria-expanded", `${this.said.figures}`);
    if (this.said.figures) figures(this.find("figures"), this.feed.session, this.feed.own, said);
  }

  measure() {
    this.scale = axis(this.feed.rows, this.now, this.said.idle);
    if (this.fitted) this.view = whole(this.scale);
    else if (this.said.zoom) {
      const [from, to] = this.said.zoom.map(this.scale.to);
      this.view = to > from ? clamped({ u0: from, u1: to }, this.scale) : whole(this.scale);
    }
  }

  lay() {
    const found = wanted(this.feed.rows, this.said.filter);
    this.lines = lines(this.roots, this.said.closed, found.rows);
    this.hits = new Set(this.said.filter.q ? found.hits : []);
    this.find("hits").textContent = found.rows ? `${exact(found.hits.length)} found` : "";
    this.rows.show(this.lines);
    const at = this.chosen ? this.place() : this.askedFor();
    if (at >= 0 && this.toReveal !== this.chosen) { this.rows.reveal(at); this.toReveal = this.chosen; }
  }

  /** Where the entry is that the address names, until something is chosen. */
  askedFor() {
    const { at } = this.said;
    if (!at) return -1;
    return this.lines.findIndex(({ row }) => row.kind !== "turn"
      && (row.at === at || row.at === `${this.feed.session}:${at}`));
  }

  /** Say what the rows are, and what is not among them. */
  about() {
    const { derived, rows, earlier, later } = this.feed;
    const box = this.find("note");
    const parts = [];
    this.find("derived").hidden = !derived || !rows.length;
    if (!rows.length) parts.push("Nothing that took time is known of this session.");
    if (derived && (earlier || later)) {
      parts.push(`Shown are entries ${exact(derived.first + 1)} to ${exact(derived.last)} of ${exact(derived.total)}. `);
    } else if (later) parts.push(`Shown are the first ${exact(rows.length)} spans. `);
    if (derived && earlier) parts.push(asks("earlier", "Earlier ones too"));
    if (later) parts.push(asks("later", "Later ones too"));
    box.replaceChildren(...parts);
    box.hidden = !parts.length;
  }

  note(text) {
    this.find("note").replaceChildren(text);
    this.find("note").hidden = false;
  }

  choices() {
    const form = this.find("filter");
    const { rows } = this.feed;
    const kinds = [...new Set(rows.map((each) => each.kind))];
    const names = [...new Set(rows.filter((each) => each.kind !== "turn").map((each) => each.name))];
    fill(form.elements.kind, kinds, this.said.filter.kind);
    fill(form.elements.name, names.sort(), this.said.filter.name);
    form.elements.status.value = this.said.filter.status;
    if (document.activeElement !== form.elements.q) form.elements.q.value = this.said.filter.q;
  }

  place() {
    return this.chosen ? this.lines.findIndex((each) => each.row === this.chosen) : -1;
  }

  detail() {
    this.shownStatus = this.chosen?.status;
    if (!this.chosen) { this.side.hidden = true; return; }
    tell(this.side, this.feed.session, this.chosen, this.scale, this.now ?? Date.now());
  }
}

function asks(what, text) {
  const button = element("button", "quiet", text);
  button.type = "button";
  button.dataset.traceDo = what;
  return button;
}

function fill(select, names, chosen) {
  const [first, ...there] = select.options;
  // A list that somebody has open stays as it is.
  if (there.map((each) => each.value).join("\n") !== names.join("\n")) {
    select.replaceChildren(first, ...names.map((each) => new Option(each, each)));
  }
  select.value = names.includes(chosen) ? chosen : "";
}
