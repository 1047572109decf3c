// @ts-check
// The spans of a session, from the columns that the server sends to rows, and what they add up to.
// Pure: no document, no network.

/**
 * @typedef {object} Row
 * @property {string} key what the row is called in the address of the page
 * @property {string} session whose row it is: a sub-agent's own are told below its call
 * @property {boolean} derived no span was recorded: messages tell of it
 * @property {number} sequence
 * @property {string} kind
 * @property {string} name
 * @property {string} status
 * @property {number} turn
 * @property {number} start Unix milliseconds
 * @property {number|null} end the same; null while it runs, and where nothing tells
 * @property {number} reach until when it is drawn, where it has no end and does not run
 * @property {Row|null} parent
 * @property {Row[]} kids
 * @property {string|null} batch
 * @property {string|null} model
 * @property {Tokens|null} tokens
 * @property {number|null} cost
 * @property {string} at the entry that it belongs to, `session:number`
 * @property {number|null} part
 * @property {string|null} child the session that a call began
 * @property {number|null} attempt
 * @property {string|null} late
 * @property {Sum} sum of the model calls below it, or its own
 */
/** @typedef {{input: number, read: number, write: number, output: number, reasoning: number}} Tokens */
/** @typedef {{tokens: Tokens, cost: number, unpriced: number, calls: number}} Sum */

export const RUNNING = new Set(["running", "waiting"]);
export const FAILED = new Set(["error", "denied", "timeout", "abandoned", "cancelled"]);

/**
 * Rows of a tree as `GET …/traces/tree` gives it; `above` is what their keys begin with.
 * @returns {Row[]}
 */
export function rowsOf(tree, above = "") {
  const columns = { ...tree.columns };
  for (const name of tree.deltas) if (columns[name]) columns[name] = summed(columns[name]);
  for (const [name, texts] of Object.entries(tree.texts)) {
    columns[name] = columns[name].map((place) => texts[place]);
  }
  const seen = new Map();
  /** @type {Row[]} */
  const rows = [];
  for (let n = 0; n < tree.count; n++) {
    const get = (name) => columns[name]?.[n] ?? null;
    rows.push(row(get, above + keyOf(get, seen, tree.derived), tree.session, Boolean(tree.derived)));
  }
  for (let n = 0; n < tree.count; n++) {
    const up = columns.parent?.[n];
    if (up && rows[n - up]) rows[n].parent = rows[n - up];
  }
  return rows;
}

function row(get, key, session, derived) {
  const start = get("started_us") / 1000;
  const took = get("latency_us");
  return {
    key, session, derived, start, end: took === null ? null : start + took / 1000, reach: start,
    sequence: get("sequence"), kind: get("kind"), name: get("name"), status: get("status"),
    turn: get("turn"), parent: null, kids: [], batch: get("batch"), model: get("model"),
    tokens: tokensOf(get), cost: get("cost"), at: `${get("of") ?? session}:${get("at") ?? 0}`,
    part: get("part"), child: get("child"), attempt: get("attempt"), late: get("late"),
    sum: nothing(),
  };
}

/** A span as a frame of the live stream tells it. @returns {Row} */
export function rowOfSpan(span) {
  const told = {
    ...span, latency_us: lasted(span), at: null, of: null,
  };
  const found = row((name) => told[name] ?? null, `${span.sequence}`, span.session, false);
  if (span.message) found.at = `${span.message.session}:${span.message.seq}`;
  return found;
}

function lasted({ latency_ms, started_us, finished_us }) {
  if (typeof latency_ms === "number") return latency_ms * 1000;
  return finished_us ? Math.max(finished_us - started_us, 0) : null;
}

/** Recorded spans are told apart by their sequence, derived ones by their entry and order. */
function keyOf(get, seen, derived) {
  if (!derived) return `${get("sequence")}`;
  if (get("kind") === "turn") return `t${get("turn")}`;
  const place = `${get("of") ?? ""}${get("at")}`;
  const number = seen.get(place) ?? 0;
  seen.set(place, number + 1);
  return `${get("sequence")}.${number}`;
}

function tokensOf(get) {
  if (get("tokens_in") === null && get("tokens_out") === null) return null;
  return {
    input: get("tokens_in") ?? 0, read: get("cache_read") ?? 0, write: get("cache_write") ?? 0,
    output: get("tokens_out") ?? 0, reasoning: get("reasoning") ?? 0,
  };
}

function summed(steps) {
  let total = 0;
  return steps.map((step) => (total += step));
}

/** Rows of two windows, or of one that grew: what both hold counts once, as `fresh` tells it. */
export function joined(old, fresh) {
  const known = new Map(fresh.map((each) => [each.key, each]));
  const rows = [...fresh];
  for (const each of old) {
    const same = known.get(each.key);
    if (!same) { known.set(each.key, each); rows.push(each); continue; }
    if (each.kind !== "turn") continue;
    if (each.start < same.start) { same.start = each.start; same.name = each.name; same.at = each.at; }
    same.end = Math.max(same.end ?? same.start, each.end ?? each.start);
  }
  for (const each of rows) {
    if (each.parent) each.parent = known.get(each.parent.key) ?? each.parent;
  }
  return rows;
}

/**
 * Give every row its children, in order of time, and what they add up to. A span without a parent
 * belongs to its turn; one that is its own ancestor to nobody. Gives the roots.
 * @param {Row[]} rows
 */
export function planted(rows) {
  const name = (each) => `${each.session} ${each.turn}`;
  const turns = new Map(
    rows.filter((each) => each.kind === "turn").map((each) => [name(each), each]));
  const roots = [];
  for (const each of rows) { each.kids = []; each.sum = nothing(); each.reach = each.start; }
  for (const each of rows) {
    const turn = each.kind === "turn" ? null : turns.get(name(each)) ?? null;
    each.parent ??= turn;
    if (circles(each)) each.parent = null;
    (each.parent ? each.parent.kids : roots).push(each);
  }
  const order = (a, b) => a.start - b.start || a.sequence - b.sequence;
  for (const each of rows) each.kids.sort(order);
  for (const each of rows) { if (each.tokens) count(each); stretch(each); }
  return roots.sort(order);
}

/** What ended at no time that is known is drawn as far as what is below it. */
function stretch(row) {
  const end = row.end ?? row.start;
  for (let at = row.parent; at && at.reach < end; at = at.parent) at.reach = end;
}

/** Until when a row is drawn. @param {Row} row */
export function endOf(row, now) {
  if (row.end !== null) return row.end;
  return RUNNING.has(row.status) ? Math.max(now, row.start) : row.reach;
}

/** @param {Row} row */
export function nameOf(row) {
  return row.kind === "turn" && row.name === "turn" ? `turn ${row.turn}` : row.name;
}

function circles(from) {
  let steps = 0;
  for (let at = from.parent; at; at = at.parent) if (at === from || ++steps > 200) return true;
  return false;
}

/** A sub-agent's calls count for the call that began it, and no further. */
function count(row) {
  for (let at = row; at; at = at.session === row.session ? at.parent : null) {
    const { sum } = at;
    for (const name of Object.keys(sum.tokens)) sum.tokens[name] += row.tokens[name];
    sum.calls += 1;
    if (row.cost === null) sum.unpriced += 1; else sum.cost += row.cost;
  }
}

/** @returns {Sum} */
export function nothing() {
  return {
    tokens: { input: 0, read: 0, write: 0, output: 0, reasoning: 0 }, cost: 0, unpriced: 0, calls: 0,
  };
}

/** All of them together. @param {Row[]} rows */
export function total(rows) {
  const all = nothing();
  for (const each of rows) {
    if (!each.tokens) continue;
    for (const name of Object.keys(all.tokens)) all.tokens[name] += each.tokens[name];
    all.calls += 1;
    if (each.cost === null) all.unpriced += 1; else all.cost += each.cost;
  }
  return all;
}

/** How long it took, in ms; null where nothing tells. @param {Row} row */
export function took(row, now = 0) {
  if (row.end !== null) return row.end - row.start;
  return RUNNING.has(row.status) ? Math.max(now - row.start, 0) : null;
}

/** Calls (not turns) by name, most time first. @param {Row[]} rows */
export function byName(rows) {
  const found = new Map();
  for (const each of rows) {
    if (each.kind === "turn") continue;
    const key = `${each.kind}\0${each.name}`;
    const one = found.get(key)
      ?? { kind: each.kind, name: each.name, calls: 0, failed: 0, time: 0, longest: 0 };
    const time = took(each) ?? 0;
    one.calls += 1;
    one.failed += FAILED.has(each.status) ? 1 : 0;
    one.time += time;
    one.longest = Math.max(one.longest, time);
    found.set(key, one);
  }
  return [...found.values()].sort((a, b) => b.time - a.time);
}

/** The calls that took longest. @param {Row[]} rows */
export function slowest(rows, most = 8) {
  return rows.filter((each) => each.kind !== "turn" && took(each))
    .sort((a, b) => took(b) - took(a)).slice(0, most);
}
