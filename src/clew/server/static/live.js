// A session, live: what is new is asked for once a quarter of a second at most, and joins the
// transcript; a call that stands there already gets its result. The end is followed while the
// reader is there, and never when they look at something else.

import { part, showTimes } from "./clew.js";

const QUIET_MS = 250;
const AGAIN_MS = [500, 1000, 2000, 5000, 10000];
const MARGIN = 40;
const NEAR_PX = 160;

const FRAMES = ["entry", "compaction", "checkpoint", "head", "erased", "tool_trace_start",
  "tool_trace_finish", "model_call_start", "model_call_finish", "span_start", "span_update",
  "span_finish", "snapshot"];

const list = document.querySelector("[data-transcript][data-live]");
if (list) follow(list);

function follow(list) {
  const state = document.querySelector("[data-live-state]");
  let failures = 0;
  let after = Number(list.dataset.sequence);
  let timer = 0;
  let busy = false;

  function connect() {
    const url = `/api/v1/live/events?session=${list.dataset.session}&after=${after}`;
    const source = new EventSource(url);
    source.onopen = () => { failures = 0; say("live"); };
    source.onerror = () => {
      source.close();
      say("away");
      setTimeout(connect, AGAIN_MS[Math.min(failures++, AGAIN_MS.length - 1)]);
    };
    for (const type of FRAMES) source.addEventListener(type, (event) => {
      const frame = JSON.parse(event.data);
      after = Math.max(after, frame.sequence ?? 0);
      document.dispatchEvent(new CustomEvent("clew:frame", { detail: frame }));
      wake();
    });
  }

  function wake() {
    if (!timer) timer = setTimeout(refresh, QUIET_MS);
  }

  async function refresh() {
    timer = 0;
    if (busy) { wake(); return; }
    if (list.querySelector(".more[data-later]")) return;  // its end is not what is shown
    busy = true;
    const ends = [...list.querySelectorAll("[data-end]")].map((each) => Number(each.dataset.end));
    const end = Math.max(Number(list.dataset.end), ...ends);
    const near = innerHeight + scrollY > document.body.scrollHeight - NEAR_PX;
    try {
      const start = Math.max(end - MARGIN, 0);
      join(await part(`/sessions/${list.dataset.session}?start=${start}`));
    } catch { wake(); } finally { busy = false; }
    if (near) scrollTo({ top: document.body.scrollHeight });
  }

  function join(body) {
    const got = body.querySelector("[data-end]");
    for (const fresh of [...body.querySelectorAll("li.entry")]) {
      const there = document.getElementById(fresh.id);
      if (!there) list.append(fresh);
      else if (changed(there, fresh)) there.replaceWith(opened(there, fresh));
      htmx.process(fresh);
    }
    list.querySelectorAll("[data-later]").forEach((each) => each.remove());
    const later = body.querySelector("[data-later]");
    if (later) { list.append(later); htmx.process(later); }
    list.dataset.end = got ? got.dataset.end : list.dataset.end;
    showTimes(list);
  }

  function say(how) {
    if (!state) return;
    state.dataset.liveState = how;
    state.textContent = how === "live" ? "live" : "not connected";
  }

  connect();
}

function changed(there, fresh) {
  return there.dataset.says !== fresh.dataset.says;
}

function opened(there, fresh) {
  const open = [...there.querySelectorAll("details")].map((each) => each.open);
  fresh.querySelectorAll("details").forEach((each, at) => { each.open = open[at] ?? each.open; });
  return fresh;
}
