// @ts-check
// Where rows and bars stand: which rows there are, and how times become places. Pure.

import { endOf, FAILED, RUNNING } from "./trace-data.js";

const GAP_SHARE = 0.05;
const GAP_BAND = 0.03;
const TICK_PX = 90;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5,
  6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 1728e5, 6048e5, 2592e6];

/**
 * The rows that are shown, in order, each with its depth.
 * @param {import("./trace-data.js").Row[]} roots
 * @param {Set<string>} closed keys of rows whose children are not shown
 * @param {Set<import("./trace-data.js").Row>|null} wanted null: all
 */
export function lines(roots, closed, wanted) {
  const found = [];
  const stack = [];
  const push = (rows, depth) => {
    for (let n = rows.length - 1; n >= 0; n--) {
      if (!wanted || wanted.has(rows[n])) stack.push({ row: rows[n], depth });
    }
  };
  push(roots, 0);
  while (stack.length) {
    const { row, depth } = stack.pop();
    const unseen = row.child ? false : null;
    const open = row.kids.length ? !closed.has(row.key) : unseen;
    found.push({ row, depth, open, bracket: "", from: row.start });
    if (open) push(row.kids, depth + 1);
  }
  bracket(found);
  return found;
}

/** Calls made at once that stand below one another are bracketed. */
function bracket(found) {
  const same = (a, b) => a && b && a.row.batch && a.row.batch === b.row.batch
    && a.row.parent === b.row.parent;
  found.forEach((each, at) => {
    const up = same(found[at - 1], each);
    const down = same(each, found[at + 1]);
    each.bracket = up && down ? "mid" : up ? "last" : down ? "first" : "";
    each.from = up ? Math.min(found[at - 1].from, each.row.start) : each.row.start;
  });
  for (let at = found.length - 2; at >= 0; at--) {
    if (same(found[at], found[at + 1])) found[at].from = found[at + 1].from;
  }
}

/**
 * The rows that a filter lets through, and those above them; null when nothing is filtered.
 * @param {import("./trace-data.js").Row[]} rows
 */
export function wanted(rows, filter) {
  const { kind, name, status, q } = filter;
  if (!kind && !name && !status && !q) return { rows: null, hits: [] };
  const found = new Set();
  const hits = [];
  for (const each of rows) {
    if (!matches(each, filter)) continue;
    hits.push(each);
    for (let at = each; at && !found.has(at); at = at.parent) found.add(at);
  }
  return { rows: found, hits };
}

function matches(row, { kind, name, status, q }) {
  if (kind && row.kind !== kind) return false;
  if (name && row.name !== name) return false;
  if (status && !isStatus(row, status)) return false;
  if (!q) return true;
  return `${row.name} ${row.model ?? ""} ${row.kind} ${row.status}`.toLowerCase()
    .includes(q.toLowerCase());
}

function isStatus(row, status) {
  if (status === "failed") return FAILED.has(row.status);
  if (status === "running") return RUNNING.has(row.status);
  return row.status === status;
}

/**
 * Time as places from 0 on: with `compress`, long gaps in which nothing ran are narrow bands.
 * @param {import("./trace-data.js").Row[]} rows
 */
export function axis(rows, now, compress) {
  let first = Infinity;
  let last = -Infinity;
  const busy = [];
  for (const each of rows) {
    const end = endOf(each, now);
    first = Math.min(first, each.start);
    last = Math.max(last, end);
    if (each.kind !== "turn" || !each.kids.length) busy.push([each.start, end]);
  }
  const empty = !(last > first);
  if (empty) { first = Number.isFinite(first) ? first : 0; last = first + 1; }
  const gaps = empty ? [] : gapsOf(busy, first, last);
  const idle = gaps.reduce((sum, [from, to]) => sum + to - from, 0);
  const band = Math.max((last - first - idle) * GAP_BAND, 1e-3);
  const pieces = [];
  let at = first;
  let place = 0;
  for (const [from, to] of compress ? gaps : []) {
    pieces.push({ t0: at, t1: from, u0: place, u1: (place += from - at), gap: false });
    pieces.push({ t0: from, t1: to, u0: place, u1: (place += band), gap: true });
    at = to;
  }
  pieces.push({ t0: at, t1: last, u0: place, u1: (place += last - at), gap: false });
  return {
    first, last, pieces, gaps, idle, length: place,
    to: (t) => across(pieces, t, "t0", "t1", "u0", "u1"),
    from: (u) => across(pieces, u, "u0", "u1", "t0", "t1"),
  };
}

function gapsOf(busy, first, last) {
  const least = (last - first) * GAP_SHARE;
  const found = [];
  let end = first;
  for (const [from, to] of busy.sort((a, b) => a[0] - b[0])) {
    if (from - end > least) found.push([end, from]);
    end = Math.max(end, to);
  }
  if (last - end > least) found.push([end, last]);
  return found;
}

function across(pieces, value, a0, a1, b0, b1) {
  let low = 0;
  let high = pieces.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (value <= pieces[middle][a1]) high = middle; else low = middle + 1;
  }
  const piece = pieces[low];
  const size = piece[a1] - piece[a0];
  return piece[b0] + (size ? (value - piece[a0]) / size : 0) * (piece[b1] - piece[b0]);
}

/** Where a row's bar begins and ends, as shares of the width that is seen. */
export function bar(row, scale, view, now) {
  const width = view.u1 - view.u0;
  return [(scale.to(row.start) - view.u0) / width, (scale.to(endOf(row, now)) - view.u0) / width];
}

/** The marks of the ruler: where (a share of the width), and what they say. */
export function ticks(scale, view, px) {
  const seen = view.u1 - view.u0;
  const least = (seen / Math.max(px, 1)) * TICK_PX;
  const step = STEPS.find((each) => each >= least) ?? least;
  const found = [];
  let free = -Infinity;
  for (const piece of scale.pieces) {
    if (piece.u1 < view.u0 || piece.u0 > view.u1) continue;
    if (piece.gap) {
      found.push({ at: (piece.u0 - view.u0) / seen, to: (piece.u1 - view.u0) / seen,
        time: piece.t1 - piece.t0, gap: true });
      free = Math.max(free, piece.u1);
      continue;
    }
    const from = Math.max(piece.t0, scale.from(Math.max(view.u0, piece.u0)));
    const first = Math.ceil((from - scale.first) / step) * step + scale.first;
    for (let t = first; t <= piece.t1; t += step) {
      const u = scale.to(t);
      if (u > view.u1) break;
      if (u < free) continue;
      found.push({ at: (u - view.u0) / seen, to: 0, time: t - scale.first, gap: false });
      free = u + least * 0.9;
    }
  }
  return found;
}

/** Nearer or further, one place standing still, within what there is. */
export function zoomed(view, scale, factor, still) {
  const size = Math.min(Math.max((view.u1 - view.u0) * factor, 0.05), scale.length * 1.02);
  const share = (still - view.u0) / (view.u1 - view.u0);
  return clamped({ u0: still - size * share, u1: still + size * (1 - share) }, scale);
}

/** Along by a share of what is seen. */
export function panned(view, scale, share) {
  const by = (view.u1 - view.u0) * share;
  return clamped({ u0: view.u0 + by, u1: view.u1 + by }, scale);
}

export function clamped(view, scale) {
  const edge = scale.length * 0.01;
  const size = Math.min(view.u1 - view.u0, scale.length + 2 * edge);
  const u0 = Math.min(Math.max(view.u0, -edge), scale.length + edge - size);
  return { u0, u1: u0 + size };
}

/** All of it. */
export function whole(scale) {
  const edge = scale.length * 0.01;
  return { u0: -edge, u1: scale.length + edge };
}
