// @ts-check
// What is said of one row beside the bars, and the figures of all of them.

import { part } from "./clew.js";
import { byName, FAILED, nameOf, slowest, took, total } from "./trace-data.js";
import { clock, dollars, duration, element, exact, given, pairs, short } from "./trace-words.js";

const NAMES = { input: "input", read: "cache read", write: "cache write", output: "output",
  reasoning: "of it reasoning" };
const TOOLS = 12;
const SVG = "http://www.w3.org/2000/svg";

/** Where a row is in the transcript. */
export function link(session, row) {
  if (row.session !== session) return `/sessions/${row.session}?at=${row.at}&trace=1`;
  const url = new URL(location.href);
  url.searchParams.set("at", row.at);
  url.searchParams.delete("start");
  return url.pathname + url.search;
}

/** Fill the details with a row; its bodies come a moment later. */
export function tell(side, session, row, scale, now) {
  const close = element("button", "quiet", "✕");
  close.type = "button";
  close.dataset.traceDo = "unchoose";
  close.setAttribute("aria-label", "Close the details");
  const head = element("h3", "", nameOf(row));
  const there = element("a", "", "Show in the transcript");
  there.href = link(session, row);
  if (row.session === session) there.dataset.traceAt = row.key;
  const ways = element("p", "trace-ways", there);
  if (row.child) {
    const child = element("a", "", "Open the sub-agent's session");
    child.href = `/sessions/${row.child}?trace=1`;
    ways.append(child);
  }
  const body = element("div", "trace-bodies");
  side.replaceChildren(element("div", "trace-side-top", head, close), ways,
    pairs(facts(row, scale, now)), ...tokens(row), body);
  side.hidden = false;
  if (row.kind !== "turn" || !row.derived) load(body, row);
}

function facts(row, scale, now) {
  const found = [["kind", row.kind], ["outcome", outcome(row)],
    ["began", `${clock(row.start)}, ${duration(row.start - scale.first)} after the first`],
    ["took", duration(took(row, now))], ["turn", `${row.turn}`]];
  if (row.model && row.model !== row.name) found.push(["model", row.model]);
  if (row.attempt > 1) found.push(["attempt", `${row.attempt}`]);
  return found;
}

function outcome(row) {
  if (row.status === "open") return "no result is recorded";
  return row.late ? `${row.status}, and late ${row.late}` : row.status;
}

function tokens(row) {
  const { sum } = row;
  if (!sum.calls) return [];
  const entries = Object.entries(NAMES).map(([key, name]) => [name, exact(sum.tokens[key])]);
  const calls = row.tokens ? [] : [["model calls", exact(sum.calls)]];
  return [element("h4", "", "Tokens"), picture(sum.tokens),
    pairs([...calls, ...entries, ["cost", cost(sum)]])];
}

function cost(sum) {
  if (sum.unpriced === sum.calls) return "not known";
  return dollars(sum.cost) + (sum.unpriced ? `, without ${exact(sum.unpriced)} calls` : "");
}

/** The parts of the tokens side by side. The figures stand below it. */
function picture(told) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 4");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("class", "trace-split");
  svg.setAttribute("aria-hidden", "true");
  const all = given(told) + told.output || 1;
  let at = 0;
  for (const name of ["read", "write", "input", "output"]) {
    const piece = document.createElementNS(SVG, "rect");
    const width = (told[name] / all) * 100;
    for (const [key, value] of Object.entries({ x: at, width, y: 0, height: 4, class: name })) {
      piece.setAttribute(key, `${value}`);
    }
    svg.append(piece);
    at += width;
  }
  return svg;
}

async function load(body, row) {
  const query = row.derived ? new URLSearchParams({ at: row.at })
    : new URLSearchParams({ span: `${row.sequence}` });
  if (row.derived && row.part !== null) query.set("part", `${row.part}`);
  try {
    const found = await part(`/sessions/${row.session}/trace/detail?${query}`);
    body.replaceChildren(...found.childNodes);
    /** @type {any} */ (window).htmx?.process(body);
  } catch {
    body.replaceChildren(element("p", "soft", "Input and output cannot be shown now."));
  }
}

/** One line about all rows. */
export function summary(rows, scale, idle) {
  const count = (kind) => rows.filter((each) => each.kind === kind).length;
  const failed = rows.filter((each) => each.kind !== "turn" && FAILED.has(each.status)).length;
  const sum = total(rows);
  const found = [many(count("turn"), "turn"), many(count("model"), "model call"),
    many(count("tool") + count("agent"), "tool call")];
  if (failed) found.push(`${exact(failed)} failed`);
  if (sum.calls) {
    const into = given(sum.tokens);
    const share = into ? Math.round((sum.tokens.read / into) * 100) : 0;
    const cached = share ? ` (${share} % from cache)` : "";
    found.push(`${short(into)}${cached} → ${short(sum.tokens.output)} tokens`);
    if (sum.unpriced < sum.calls) found.push(dollars(sum.cost));
  }
  if (rows.length) found.push(duration(scale.last - scale.first));
  if (idle) found.push(`${idle} % idle`);
  return found.join(" · ");
}

function many(number, name) {
  return `${exact(number)} ${name}${number === 1 ? "" : "s"}`;
}

/** The slowest calls, and the time that each tool and model took. */
export function figures(box, session, rows, said) {
  const slow = element("ol", "trace-slow");
  for (const row of slowest(rows)) {
    const way = element("a", "", row.name);
    way.href = link(session, row);
    way.dataset.traceAt = row.key;
    const words = `${duration(took(row))}, turn ${exact(row.turn)}, ${clock(row.start)}`;
    slow.append(element("li", "", way, element("span", "", words)));
  }
  const found = byName(rows);
  const all = found.reduce((sum, each) => sum + each.time, 0) || 1;
  const table = element("table", "trace-table");
  table.append(element("caption", "unseen", "Time by tool and model"));
  const heads = ["Tool or model", "Calls", "Failed", "Time", "Share", "Longest"];
  table.append(element("thead", "", element("tr", "", ...heads.map((each) => {
    const head = element("th", "", each);
    head.scope = "col";
    return head;
  }))));
  table.append(element("tbody", "", ...found.slice(0, TOOLS).map((each) => line(each, all))));
  const parts = [element("h3", "", "Slowest calls"), slow];
  const right = element("div", "", element("h3", "", "Time by tool and model"), table);
  if (found.length > TOOLS) {
    right.append(element("p", "soft", `and ${exact(found.length - TOOLS)} more`));
  }
  box.replaceChildren(element("p", "trace-said", said), element("div", "", ...parts), right);
}

function line(each, all) {
  const name = element("button", "quiet", each.name);
  name.type = "button";
  name.dataset.traceName = each.name;
  name.title = "Show only these";
  const cells = [exact(each.calls), each.failed ? exact(each.failed) : "", duration(each.time),
    `${Math.round((each.time / all) * 100)} %`, duration(each.longest)];
  return element("tr", "", element("td", "", name), ...cells.map((text) => element("td", "", text)));
}
