// The timeline beside the transcript: a click goes there, scrolling shows where one is, and two
// marks can be compared.

const place = document.querySelector("[data-timeline]");
if (place) attend(place);

/** Show an entry: scroll where it stands, else open the window in which it stands. */
export function goTo(at) {
  const there = document.getElementById(`e${at.replace(":", "-")}`);
  const url = new URL(location.href);
  url.searchParams.set("at", at);
  url.searchParams.delete("start");
  if (!there) { location.assign(url); return; }
  history.replaceState(null, "", url);
  document.querySelectorAll(".entry.chosen").forEach((each) => each.classList.remove("chosen"));
  there.classList.add("chosen");
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  there.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
  there.focus({ preventScroll: true });
}

function attend(place) {
  place.addEventListener("click", (event) => {
    const link = event.target.closest("[data-goto]");
    if (!link || event.metaKey || event.ctrlKey) return;
    event.preventDefault();
    goTo(link.dataset.goto);
  });
  place.addEventListener("change", () => choose(place));
  place.addEventListener("click", (event) => {
    if (!event.target.closest("[data-compare]")) return;
    const [a, b] = picked(place);
    const query = new URLSearchParams({ a, b });
    location.assign(`/sessions/${place.dataset.session}/diff?${query}`);
  });
  document.addEventListener("clew:goto", (event) => goTo(event.detail.at));
  document.addEventListener("clew:frame", () => later(place));
  addEventListener("scroll", () => requestAnimationFrame(() => mark(place)), { passive: true });
}

function picked(place) {
  return [...place.querySelectorAll("input[name=pick]:checked")].map((each) => each.value);
}

function choose(place) {
  const chosen = picked(place);
  place.querySelectorAll("input[name=pick]").forEach((each) => {
    each.disabled = chosen.length >= 2 && !each.checked;
  });
  place.querySelector("[data-compare]").disabled = chosen.length !== 2;
}

let waiting = 0;
function later(place) {
  if (picked(place).length) return;  // nothing moves under somebody's hand
  clearTimeout(waiting);
  waiting = setTimeout(() => place.dispatchEvent(new Event("clew:stale")), 2000);
}

function mark(place) {
  // Of thousands of entries only the one in the middle of the window is looked at.
  const box = document.querySelector("[data-transcript]").getBoundingClientRect();
  const middle = document.elementFromPoint(box.left + box.width / 2, innerHeight / 2);
  let now = middle?.closest(".entry");
  while (now && !now.matches(".entry.user")) now = now.previousElementSibling;
  if (!now) return;
  const link = place.querySelector(`[data-goto="${CSS.escape(now.dataset.at)}"]`);
  const before = place.querySelector("[aria-current]");
  if (!link || link === before) return;
  before?.removeAttribute("aria-current");
  link.setAttribute("aria-current", "location");
}
