// A transcript's windows: what joins above or below keeps in sight what was there, and of a long
// session only a few windows stay on the page. What was let go of is asked for again.

const MOST = 300;
const list = document.querySelector("[data-transcript]");
let anchor = null;
let stood = 0;
let first = null;
let count = 0;

if (list) {
  document.addEventListener("htmx:before:swap", look);
  document.addEventListener("htmx:after:swap", joined);
}

function entries() {
  return list.querySelectorAll(":scope > .entry");
}

function look() {
  const box = list.getBoundingClientRect();
  const middle = document.elementFromPoint(box.left + box.width / 2, innerHeight / 2);
  const there = entries();
  [first, count] = [there[0], there.length];
  anchor = middle?.closest(".transcript > .entry") ?? first;
  stood = anchor?.getBoundingClientRect().top ?? 0;
}

function joined() {
  const there = entries();
  if (there.length === count) return;
  const above = there[0] !== first;
  if (there.length > MOST) (above ? letGoBelow : letGoAbove)();
  if (!anchor?.isConnected) return;
  scrollBy({ top: anchor.getBoundingClientRect().top - stood, behavior: "instant" });
}

/** The marks that end each window, in order. */
function ends() {
  return [...list.querySelectorAll(":scope > [data-end]")];
}

function letGoAbove() {
  const [end] = ends();
  if (!end || !anchor || follows(end, anchor)) return;
  while (list.firstElementChild !== end) list.firstElementChild.remove();
  end.replaceWith(more("earlier", `before=${end.dataset.end}`, end, `${end.dataset.end} earlier entries`));
  ask(list.firstElementChild);
}

function letGoBelow() {
  const end = ends().at(-2);
  if (!end || !follows(end, anchor)) return;
  while (list.lastElementChild !== end) list.lastElementChild.remove();
  list.append(more("later", `start=${end.dataset.end}`, end, "More…"));
  ask(list.lastElementChild);
}

/** True when `mark` stands behind `entry`. */
function follows(mark, entry) {
  return Boolean(entry && entry.compareDocumentPosition(mark) & Node.DOCUMENT_POSITION_FOLLOWING);
}

function more(side, query, end, words) {
  const made = document.createElement("li");
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = words;
  made.className = "more";
  made.dataset[side] = "";
  made.append(button);
  const to = end.dataset.to ? `&to=${encodeURIComponent(end.dataset.to)}` : "";
  made.setAttribute("hx-get", `/sessions/${list.dataset.session}?${query}${to}`);
  made.setAttribute("hx-trigger", "revealed, click");
  made.setAttribute("hx-swap", "outerHTML");
  return made;
}

function ask(element) {
  window.htmx.process(element);
}
