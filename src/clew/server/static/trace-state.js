// @ts-check
// What is looked at, as it stands in the address of the page: a link shows the same to others.

const FILTER = { q: "tq", kind: "tkind", name: "tname", status: "tstatus" };
const CLOSED_MAX = 40;
const QUIET_MS = 200;

/** What the address says. */
export function read() {
  const query = new URL(location.href).searchParams;
  const zoom = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(query.get("zoom") ?? "");
  return {
    size: query.get("trace") ?? "",
    span: query.get("span") ?? "",
    at: query.get("at") ?? "",
    zoom: zoom ? [Number(zoom[1]), Number(zoom[2])] : null,
    idle: query.get("idle") === "1",
    figures: query.get("figures") === "1",
    closed: new Set((query.get("closed") ?? "").split(",").filter(Boolean)),
    filter: Object.fromEntries(
      Object.entries(FILTER).map(([name, key]) => [name, query.get(key) ?? ""])),
  };
}

let timer = 0;

/** Have the address say it, a moment later: browsers allow so many changes only. */
export function write(state) {
  clearTimeout(timer);
  timer = setTimeout(() => keep(state), QUIET_MS);
}

/** Have the address say it now: somebody is about to leave. */
export function keep(state) {
  clearTimeout(timer);
  const url = new URL(location.href);
  const say = (key, value) => {
    if (value) url.searchParams.set(key, value); else url.searchParams.delete(key);
  };
  const open = Boolean(state.size);
  say("trace", state.size);
  say("span", open && state.span);
  say("zoom", open && state.zoom ? state.zoom.map((each) => each.toFixed(1)).join("-") : "");
  say("idle", open && state.idle ? "1" : "");
  say("figures", open && state.figures ? "1" : "");
  say("closed", open && state.closed.size <= CLOSED_MAX ? [...state.closed].join(",") : "");
  for (const [name, key] of Object.entries(FILTER)) say(key, open && state.filter[name]);
  if (url.href !== location.href) history.replaceState(history.state, "", url);
}
