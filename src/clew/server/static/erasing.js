// An erasure is asked for twice: once by looking at it, once by a word.

const form = document.querySelector("[data-erase]");
const button = form.querySelector("button");
form.elements.word.addEventListener("input", () => {
  button.disabled = form.elements.word.value.trim() !== form.dataset.word;
});
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return;
  button.disabled = true;
  const answer = await fetch(form.dataset.erase, { method: "DELETE" }).catch(() => null);
  if (answer?.ok) { location.assign("/"); return; }
  const said = await answer?.json().catch(() => null);
  const problem = form.querySelector(".problem");
  problem.textContent = said?.detail ?? "The server does not answer.";
  problem.hidden = false;
});
