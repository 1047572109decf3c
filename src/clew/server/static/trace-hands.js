// @ts-check
// Keys, wheel and pointer, as what they mean.

const NOTCH = 0.0016;
const DRAG_PX = 4;

/** @param {HTMLElement} box the treegrid @param {(name: string, ...more: any[]) => void} act */
export function attend(box, act) {
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const said = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
    if (!said) return;
    event.preventDefault();
    event.stopPropagation();
    act(...said);
  });
  box.addEventListener("wheel", (event) => {
    const across = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      act("zoom", Math.exp(event.deltaY * NOTCH * 2), share(box, event.clientX));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      act("pan", across * NOTCH);
    }
  }, { passive: false });
  drag(box, act);
  box.addEventListener("dblclick", (event) => {
    if (line(event) !== null) act("fit");
  });
}

const KEYS = {
  ArrowUp: ["step", -1], ArrowDown: ["step", 1], PageUp: ["page", -1], PageDown: ["page", 1],
  Home: ["step", -Infinity], End: ["step", Infinity], ArrowLeft: ["fold"], ArrowRight: ["unfold"],
  Enter: ["goto"], " ": ["toggle"], Escape: ["back"], ".": ["next", 1], ",": ["next", -1],
  w: ["zoom", 0.7], s: ["zoom", 1 / 0.7], a: ["pan", -0.25], d: ["pan", 0.25], f: ["fit"],
  "[": ["all", false], "]": ["all", true], "/": ["search"], i: ["idle"], "?": ["keys"],
};

/** Where across the lanes a pointer is. */
function share(box, x) {
  const lane = box.querySelector(".trace-lane")?.getBoundingClientRect();
  return lane?.width ? Math.min(Math.max((x - lane.left) / lane.width, 0), 1) : 0.5;
}

function line(event) {
  const node = event.target.closest?.("[data-line]");
  return node ? Number(node.dataset.line) : null;
}

function drag(box, act) {
  let from = null;
  let moved = false;
  box.addEventListener("pointerdown", (event) => {
    moved = false;
    if (event.button || !event.target.closest(".trace-lane")) return;
    from = { x: event.clientX, id: event.pointerId };
  });
  box.addEventListener("pointermove", (event) => {
    if (!from || (!moved && Math.abs(event.clientX - from.x) < DRAG_PX)) return;
    if (!moved) box.setPointerCapture(from.id);
    moved = true;
    const width = box.querySelector(".trace-lane")?.clientWidth || 1;
    act("pan", (from.x - event.clientX) / width);
    from.x = event.clientX;
  });
  const end = () => { from = null; };
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
  box.addEventListener("click", (event) => {
    const at = line(event);
    if (at === null || moved) return;
    if (event.target.closest(".twist")) act("toggle", at);
    else act("choose", at);
  });
}
