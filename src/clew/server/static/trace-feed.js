// @ts-check
// Where rows come from: the tree of a session, windows before and behind it, and frames as they
// are told while something runs.

import { joined, rowOfSpan, rowsOf } from "./trace-data.js";

export class Feed {
  constructor(session) {
    this.session = session;
    this.url = `/api/v1/sessions/${session}/traces`;
    /** @type {import("./trace-data.js").Row[]} */
    this.rows = [];
    /** @type {{first: number, last: number, total: number}|null} */
    this.derived = null;
    this.earlier = "";
    this.later = "";
    /** the newest entry that a frame told of */
    this.newest = "";
    /** @type {Map<string, import("./trace-data.js").Row>} spans of frames, by id */
    this.ids = new Map();
  }

  /** The newest window, or that around an entry. */
  async load(at = "") {
    const tree = await this.ask(at ? { at } : {});
    this.rows = rowsOf(tree);
    this.derived = tree.derived ?? null;
    this.earlier = tree.previous ?? "";
    this.later = tree.next ?? "";
    this.ids.clear();
  }

  /** One more window, before or behind. */
  async more(earlier) {
    const tree = await this.ask({ cursor: earlier ? this.earlier : this.later });
    this.rows = joined(this.rows, rowsOf(tree));
    if (earlier) this.earlier = tree.previous ?? "";
    else this.later = tree.next ?? "";
    if (!tree.derived || !this.derived) return;
    const { first, last, total } = tree.derived;
    this.derived = {
      first: Math.min(first, this.derived.first), last: Math.max(last, this.derived.last), total,
    };
  }

  /** What a session that grows has told since, when its end is what is shown. */
  async grown() {
    if (!this.derived || this.later) return;
    const tree = await this.ask({});
    if (!tree.derived) { await this.load(); return; }
    this.rows = joined(this.rows, rowsOf(tree));
    this.derived = { ...tree.derived, first: Math.min(this.derived.first, tree.derived.first) };
  }

  /** What ran in the session that a call began, below the call. */
  async nest(row) {
    const tree = await this.ask({}, `/api/v1/sessions/${row.child}/traces`);
    const fresh = rowsOf(tree, `${row.key}/`);
    for (const each of fresh) if (each.kind === "turn" || !each.turn) each.parent ??= row;
    this.rows = [...this.rows.filter((each) => each.session !== row.child), ...fresh];
  }

  /** The rows of the session itself. */
  get own() {
    return this.rows.filter((each) => each.session === this.session);
  }

  async ask(query, url = this.url) {
    const answer = await fetch(`${url}/tree?${new URLSearchParams({ derive: "true", ...query })}`);
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(said.detail ?? `the server answered ${answer.status}`);
    return said;
  }

  /** Take in a frame of a recorded span. */
  take(frame) {
    const fresh = rowOfSpan(frame.span);
    const known = this.rows.findLast((each) => each.key === fresh.key);
    const { parent, kids, at, ...told } = fresh;
    if (known) Object.assign(known, told);
    else {
      if (!frame.span.message) fresh.at = this.newest || this.rows.at(-1)?.at || "";
      this.rows.push(fresh);
    }
    const row = known ?? fresh;
    this.ids.set(frame.span.id, row);
    if (!known) this.adopt(row, frame.span.parent);
  }

  /** Find a parent that frames have not told of. */
  async adopt(row, id) {
    if (!id) return;
    if (this.ids.has(id)) { row.parent = this.ids.get(id) ?? null; return; }
    const answer = await fetch(`${this.url}/${encodeURIComponent(id)}`).catch(() => null);
    if (!answer?.ok) return;
    const { sequence } = await answer.json();
    const found = this.rows.find((each) => each.sequence === sequence);
    if (!found) return;
    this.ids.set(id, found);
    row.parent = found;
  }
}
