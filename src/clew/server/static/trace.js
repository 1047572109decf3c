// @ts-check
// The trace of a session: a panel below the transcript with a bar for all that took time.

import { endOf } from "./trace-data.js";
import { attend } from "./trace-hands.js";
import { clamped, panned, whole, zoomed } from "./trace-layout.js";
import { keep } from "./trace-state.js";
import { View } from "./trace-view.js";

const TICK_MS = 250;

class Trace extends View {
  /** @param {HTMLElement} root */
  constructor(root) {
    super(root);
    this.attend();
    if (!this.said.size) return;
    this.open(this.said.size);
    document.querySelector(".entry.chosen")?.scrollIntoView({ block: "center" });
  }

  attend() {
    attend(this.box, (name, ...more) => this[name]?.(...more));
    this.box.addEventListener("scroll", () => this.later("view"), { passive: true });
    new ResizeObserver(() => this.later("lines")).observe(this.box);
    this.root.addEventListener("click", (event) => this.clicked(event));
    const form = this.find("filter");
    this.root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      if (form.contains(/** @type {Node} */ (event.target))) this.box.focus(); else this.back();
    });
    form.addEventListener("submit", (event) => { event.preventDefault(); this.next(1); });
    form.addEventListener("input", () => this.filter(Object.fromEntries(new FormData(form))));
    for (const each of document.querySelectorAll("[data-trace-open]")) {
      each.addEventListener("click", (event) => {
        event.preventDefault();
        if (this.root.hidden) this.open("1"); else this.close();
      });
    }
    document.addEventListener("clew:frame", (event) => this.frame(/** @type {any} */ (event).detail));
    document.addEventListener("keydown", (event) => this.called(event));
    document.addEventListener("click", (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      const at = /** @type {HTMLElement} */ (target.closest?.("[data-goto]"))?.dataset.goto;
      if (at && !this.root.hidden) this.meet(at);
    }, true);
    setInterval(() => { if (!this.root.hidden && this.running) this.later("time"); }, TICK_MS);
  }

  /** `v`, wherever nobody types, opens and closes the trace. @param {KeyboardEvent} event */
  called(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const typing = target.closest?.("input, textarea, select, dialog[open]");
    if (event.key !== "v" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (this.root.hidden) this.open("1"); else this.close();
  }

  /** Choose what belongs to an entry that somebody went to. */
  meet(at) {
    const found = this.feed.rows.filter((each) => each.at === at);
    const row = found.find((each) => each.kind === "turn") ?? found[0];
    if (!row) return;
    this.pick(row);
    keep(this.said);
  }

  /** @param {Event} event */
  clicked(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    const asked = /** @type {HTMLElement} */ (target.closest("[data-trace-do]"))?.dataset.traceDo;
    if (asked) this.act(asked);
    const named = /** @type {HTMLElement} */ (target.closest("[data-trace-name]"));
    if (named) {
      this.said.figures = false;
      this.filter({ ...this.said.filter, name: named.dataset.traceName });
      this.later("data");
    }
    const way = /** @type {HTMLElement} */ (target.closest("[data-trace-at]"));
    if (!way || /** @type {MouseEvent} */ (event).ctrlKey || /** @type {MouseEvent} */ (event).metaKey) return;
    event.preventDefault();
    this.said.figures = false;
    this.later("data");
    this.pick(this.feed.rows.find((each) => each.key === way.dataset.traceAt), true);
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

  filter(said) {
    this.said.filter = { q: said.q ?? "", kind: said.kind ?? "", name: said.name ?? "", status: said.status ?? "" };
    this.toReveal = null;
    this.choices();
    this.later("lines");
  }

  // --- what is chosen

  /** Choose a row; `go` shows it in the transcript too. */
  pick(row, go = false) {
    this.chosen = row ?? null;
    this.said.span = row?.key ?? "";
    for (let up = row?.parent; up; up = up.parent) this.said.closed.delete(up.key);
    this.toReveal = null;
    this.sight(row);
    this.detail();
    if (row && go) this.goto();
    this.later("lines");
  }

  /** Move along so far that a row's bar is seen. */
  sight(row) {
    if (!row || this.fitted) return;
    const [from, to] = [row.start, endOf(row, this.now)].map(this.scale.to);
    const { u0, u1 } = this.view;
    if (to < u0 || from > u1) this.pan((from - u0) / (u1 - u0) - 0.1);
  }

  choose(at) {
    this.pick(this.lines[at]?.row, true);
  }

  /** The transcript's cards are whole messages: a call stands on that which makes it. */
  goto() {
    const row = this.chosen;
    if (!row?.at || row.session !== this.feed.session) return;
    const card = (at) => document.getElementById(`e${at.replace(":", "-")}`);
    const asked = this.feed.own.filter((each) => each.kind === "model" && each.turn === row.turn
      && each.sequence <= row.sequence).at(-1);
    const at = row.derived && asked && row.kind !== "turn" && !card(row.at) ? asked.at : row.at;
    keep(this.said);
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
    if (row?.child && !row.kids.length) { this.fetch(() => this.feed.nest(row)); return; }
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
    const [from, to] = [row.start, endOf(row, this.now)].map(this.scale.to);
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

const root = /** @type {HTMLElement} */ (document.querySelector("[data-trace]"));
if (root) new Trace(root);
