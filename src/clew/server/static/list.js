// The list of sessions, live: asked for again when something happens, at most every two seconds,
// and not while somebody reads further down or has a session in focus.

import { part, showTimes } from "./clew.js";

const QUIET_MS = 2000;
const list = document.querySelector("[data-list]");
let timer = 0;

async function refresh() {
  timer = 0;
  if (scrollY > innerHeight / 2 || list.contains(document.activeElement)) return;
  const body = await part(location.pathname + location.search).catch(() => null);
  const fresh = body?.querySelector("[data-list]");
  if (!fresh) return;
  list.replaceChildren(...fresh.childNodes);
  htmx.process(list);
  showTimes(list);
}

function follow(delay) {
  const source = new EventSource("/api/v1/live/events");
  const wake = () => { timer ||= setTimeout(refresh, QUIET_MS); };
  for (const type of ["entry", "span_start", "tool_trace_start", "model_call_start", "compaction",
    "checkpoint", "head", "erased"]) source.addEventListener(type, wake);
  source.onopen = () => { delay = 1000; };
  source.onerror = () => {
    source.close();
    setTimeout(() => follow(Math.min(delay * 2, 15000)), delay);
  };
}

if (list) follow(1000);
