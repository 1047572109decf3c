// Where the reader lands: at the entry that the address names, else at the end, where the session
// went on.

const list = document.querySelector("[data-transcript]");
const chosen = list?.querySelector(".entry.chosen");
const asked = new URL(location.href).searchParams;

if (chosen) {
  chosen.scrollIntoView({ block: "center" });
  chosen.focus({ preventScroll: true });
} else if (list?.querySelector("[data-earlier]") && !asked.has("start") && !asked.has("before")) {
  scrollTo({ top: document.body.scrollHeight });
}
