// @ts-check
// The trace of a session: a panel below the transcript with a bar for all that took time.

import { planted, RUNNING } from "./trace-data.js";
import { Rows, rule } from "./trace-draw.js";
import { Feed } from "./trace-feed.js";
import { attend } from "./trace-hands.js";
import { axis, clamped, lines, panned, wanted, whole, zoomed } from "./trace-layout.js";
import { figures, summary, tell } from "./trace-side.js";
import * as state from "./trace-state.js";
import { element, exact } from "./trace-words.js";

const QUIET_MS = 250;
const TICK_MS = 250;

class Trace {
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
    this.attend();
    if (this.said.size) this.open(this.said.size);
  }

  attend() {
    attend(this.box, (name, ...more) => this[name]?.(...more));
    this.box.addEventListener("scroll", () => this.later("view"), { passive: true });
    new ResizeObserver(() => this.later("lines")).observe(this.box);
    this.root.addEventListener("click", (event) => this.clicked(event));
    this.root.addEventListener("keydown", (event) => { if (event.key === "Escape") this.back(); });
    const form = this.find("filter");
    form.addEventListener("submit", (event) => { event.preventDefault(); this.next(1); });
    form.addEventListener("input", () => this.filter(Object.fromEntries(new FormData(form))));
    for (const each of document.querySelectorAll("[data-trace-open]")) {
      each.addEventListener("click", (event) => {
        event.preventDefault();
        if (this.root.hidden) this.open("1"); else this.close();
      });
    }
    document.addEventListener("clew:frame", (event) => this.frame(/** @type {any} */ (event).detail));
    setInterval(() => { if (!this.root.hidden && this.running) this.later("time"); }, TICK_MS);
  }

  /** @param {Event} event */
  clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const asked = /** @type {HTMLElement} */ (target.closest("[data-trace-do]"))?.dataset.traceDo;
    if (asked) this.act(asked);
    const named = /** @type {HTMLElement} */ (target.closest("[data-trace-name]"));
    if (named) this.filter({ ...this.said.filter, name: named.dataset.traceName });
    const way = /** @type {HTMLElement} */ (target.closest("[data-trace-at]"));
    if (!way || /** @type {MouseEvent} */ (event).ctrlKey || /** @type {MouseEvent} */ (event).metaKey) return;
    event.preventDefault();
    this.pick(this.feed.rows.find((each) => each.key === way.dataset.traceAt), true);
  }

  button(name) {
    return this.root.querySelector(`[data-trace-do="${name}"]`);
  }

  act(asked) {
    const doing = {
      in: () => this.zoom(0.6), out: () => this.zoom(1 / 0.6), fit: () => this.fitAll(),
      full: () => this.open(this.said.size === "full" ? "1" : "full"), close: () => this.close(),
      earlier: () => this.fetch(() => this.feed.more(true)),
      later: () => this.fetch(() => this.feed.more(false)),
      figures: () => { this.said.figures = !this.said.figures; this.later("data"); },
      unchoose: () => { this.pick(null); this.box.focus(); },
      clear: () => this.filter({ q: "", kind: "", name: "", status: "" }),
    };
    (doing[asked] ?? (() => this[asked]?.()))();
  }

  // --- what is shown

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
    if (this.root.hidden) return;
    this.now = Date.now();
    if (what === "data") this.grow();
    if (what === "data" || what === "time") this.measure();
    if (what === "data" || what === "lines") this.lay();
    this.rows.draw(this.scale, this.view, this.now, this.chosen, this.hits);
    rule(this.find("ruler"), this.scale, this.view);
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
    this.find("facts").textContent = rows.length
      ? summary(rows, this.scale, gaps.length ? share : 0) : "";
    const button = this.button("idle");
    button.hidden = !gaps.length;
    button.textContent = `Compress idle time (${share} %)`;
    button.setAttribute("aria-pressed", `${this.said.idle}`);
    this.about();
    this.find("figures").hidden = !this.said.figures;
    this.button("figures").setAttribute("aria-expanded", `${this.said.figures}`);
    if (this.said.figures) figures(this.find("figures"), this.root.dataset.session, rows);
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
    const at = this.place();
    if (at >= 0 && this.toReveal !== this.chosen) { this.rows.reveal(at); this.toReveal = this.chosen; }
  }

  /** Say what the rows are, and what is not among them. */
  about() {
    const { derived, rows, earlier, later } = this.feed;
    const box = this.find("note");
    const parts = [];
    if (derived && rows.length) {
      parts.push("No span was recorded here: the bars are derived from the times of the messages. ");
    }
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

  filter(said) {
    this.said.filter = { q: said.q ?? "", kind: said.kind ?? "", name: said.name ?? "", status: said.status ?? "" };
    this.toReveal = null;
    this.choices();
    this.later("lines");
  }

  // --- what is chosen

  place() {
    return this.chosen ? this.lines.findIndex((each) => each.row === this.chosen) : -1;
  }

  /** Choose a row; `go` shows it in the transcript too. */
  pick(row, go = false) {
    this.chosen = row ?? null;
    this.said.span = row?.key ?? "";
    for (let up = row?.parent; up; up = up.parent) this.said.closed.delete(up.key);
    this.toReveal = null;
    this.detail();
    if (row && go) this.goto();
    this.later("lines");
  }

  detail() {
    this.shownStatus = this.chosen?.status;
    if (!this.chosen) { this.side.hidden = true; return; }
    const derived = Boolean(this.feed.derived);
    tell(this.side, this.root.dataset.session, this.chosen, derived, this.scale, this.now ?? Date.now());
  }

  choose(at) {
    this.pick(this.lines[at]?.row, true);
  }

  /** The transcript's cards are whole messages: a call stands on that which makes it. */
  goto() {
    const row = this.chosen;
    if (!row?.at) return;
    const card = (at) => document.getElementById(`e${at.replace(":", "-")}`);
    const asked = this.feed.rows.filter((each) => each.kind === "model" && each.turn === row.turn
      && each.sequence <= row.sequence).at(-1);
    const at = !card(row.at) && this.feed.derived && asked && card(asked.at) ? asked.at : row.at;
    document.dispatchEvent(new CustomEvent("clew:goto", { detail: { at } }));
    this.box.focus({ preventScroll: true });
  }

  step(by) {
    const from = this.place();
    const last = this.lines.length - 1;
    const to = from < 0 ? (by < 0 && Number.isFinite(by) ? last : 0) : Math.min(Math.max(from + by, 0), last);
    if (this.lines[to]) this.pick(this.lines[to].row);
  }

  page(by) {
    this.step(by * Math.max(Math.floor(this.box.clientHeight / this.rows.height) - 1, 1));
  }

  /** The next hit of a search; without one, the next of the same kind. */
  next(by) {
    const from = this.place();
    for (let at = from + by; at >= 0 && at < this.lines.length; at += by) {
      const { row } = this.lines[at];
      const same = !this.chosen || row.kind === this.chosen.kind;
      if (this.hits.size ? this.hits.has(row) : same) { this.pick(row); return; }
    }
  }

  toggle(at = this.place()) {
    const row = this.lines[at]?.row;
    if (!row?.kids.length) return;
    if (!this.said.closed.delete(row.key)) this.said.closed.add(row.key);
    this.later("lines");
  }

  fold() {
    const line = this.lines[this.place()];
    if (line?.open) this.toggle();
    else if (line?.row.parent) this.pick(line.row.parent);
  }

  unfold() {
    const line = this.lines[this.place()];
    if (line?.open === false) this.toggle();
    else if (line?.open) this.step(1);
  }

  all(open) {
    this.said.closed = new Set(open ? []
      : this.feed.rows.filter((each) => each.kids.length).map((each) => each.key));
    if (!open) while (this.chosen?.parent) this.chosen = this.chosen.parent;
    this.said.span = this.chosen?.key ?? "";
    this.later("lines");
  }

  back() {
    if (!this.side.hidden) { this.pick(null); this.box.focus(); } else this.close();
  }

  search() {
    this.find("filter").elements.q.focus();
  }

  keys() {
    const box = this.find("keys");
    box.hidden = !box.hidden;
    this.button("keys").setAttribute("aria-expanded", `${!box.hidden}`);
  }

  // --- what is seen of time

  look(view, fitted = false) {
    this.view = view;
    this.fitted = fitted;
    this.later("view");
  }

  zoom(factor, share = 0.5) {
    const still = this.view.u0 + (this.view.u1 - this.view.u0) * share;
    this.look(zoomed(this.view, this.scale, factor, still));
  }

  pan(share) {
    this.look(panned(this.view, this.scale, share));
  }

  fitAll() {
    this.look(whole(this.scale), true);
  }

  fit() {
    const row = this.chosen;
    if (!row) { this.fitAll(); return; }
    const [from, to] = [row.start, row.end ?? this.now].map(this.scale.to);
    const edge = Math.max((to - from) * 0.1, 0.05);
    const view = { u0: from - edge, u1: to + edge };
    const there = Math.abs(this.view.u0 - view.u0) + Math.abs(this.view.u1 - view.u1) < edge * 0.02;
    if (there) this.fitAll(); else this.look(clamped(view, this.scale));
  }

  idle() {
    const seen = this.fitted ? null : [this.view.u0, this.view.u1].map(this.scale.from);
    this.said.idle = !this.said.idle;
    this.said.zoom = seen;
    this.later("data");
  }
}

function asks(what, text) {
  const button = element("button", "quiet", text);
  button.type = "button";
  button.dataset.traceDo = what;
  return button;
}

function fill(select, names, chosen) {
  const first = select.options[0];
  select.replaceChildren(first, ...names.map((each) => new Option(each, each)));
  select.value = names.includes(chosen) ? chosen : "";
}

const root = /** @type {HTMLElement} */ (document.querySelector("[data-trace]"));
if (root) new Trace(root);
