// Where the reader lands: at the entry that the address names, else at the end, where the session
// went on. What is added above keeps in sight what was there.

const list = document.querySelector("[data-transcript]");
const chosen = list?.querySelector(".entry.chosen");
const asked = new URL(location.href).searchParams;

if (chosen) {
  chosen.scrollIntoView({ block: "center" });
  chosen.focus({ preventScroll: true });
} else if (list?.querySelector("[data-earlier]") && !asked.has("start") && !asked.has("before")) {
  scrollTo({ top: document.body.scrollHeight });
}

if (list) keep(list);

function keep(list) {
  let first = null;
  let top = 0;
  document.addEventListener("htmx:before:swap", () => {
    first = list.querySelector("[data-earlier]") ? list.querySelector(".entry") : null;
    top = first?.getBoundingClientRect().top ?? 0;
  });
  document.addEventListener("htmx:after:swap", () => {
    if (!first?.isConnected || first === list.querySelector(".entry")) return;
    scrollBy({ top: first.getBoundingClientRect().top - top, behavior: "instant" });
  });
}
