// Branch, restore, undo: asked for in a dialog that says what will happen, done by the API.

import { part } from "./clew.js";

const dialog = document.querySelector("[data-going]");
const session = document.querySelector("[data-transcript]")?.dataset.session;

async function open(at) {
  const body = await part(`/sessions/${session}/going?at=${encodeURIComponent(at)}`);
  dialog.replaceChildren(...body.childNodes);
  dialog.showModal();
}

/** Send one change. Gives what the server says; raises an Error with its words. */
export async function send(url, body) {
  const answer = await fetch(url, {
    method: "POST",
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.detail ?? `the server answered ${answer.status}`);
  return said;
}

async function go(button) {
  const problem = dialog.querySelector(".problem");
  try {
    const said = await send(button.dataset.post, { at: button.dataset.at });
    location.assign(`/sessions/${button.dataset.then === "open" ? said.id : session}`);
  } catch (error) {
    problem.textContent = error.message;
    problem.hidden = false;
  }
}

async function undo(button) {
  if (!confirm("Take back the last restore, compaction or turn? Nothing is removed.")) return;
  try {
    await send(button.dataset.undo);
    location.assign(`/sessions/${session}`);
  } catch (error) {
    alert(error.message);
  }
}

document.addEventListener("click", (event) => {
  const from = event.target.closest("[data-from]");
  if (from) open(from.dataset.from);
  const button = event.target.closest("[data-post]");
  if (button) go(button);
  const back = event.target.closest("[data-undo]");
  if (back) undo(back);
});
