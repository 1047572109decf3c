// The file is taken here rather than by following the link, so that a refusal is told in words, and
// what breaks off leaves no file.

const take = document.querySelector("[data-take]");
const stop = document.querySelector("[data-stop]");
const progress = document.querySelector("[data-progress]");
const failed = document.querySelector("[data-failed]");
const KEEP_MS = 60_000;
const NEWLINE = 10;

let running = null;

function say(rows, bytes, end) {
  const size = bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
  progress.textContent = `${rows.toLocaleString("en")} ${rows === 1 ? "session" : "sessions"}, ${size}${end}`;
}

async function pieces(url, signal) {
  const answer = await fetch(url, { signal });
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    throw new Error(said?.detail ?? `the server answered ${answer.status}`);
  }
  const found = [];
  let bytes = 0, rows = 0;
  const reader = answer.body.getReader();
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    found.push(next.value);
    bytes += next.value.length;
    for (const each of next.value) rows += each === NEWLINE;
    say(rows, bytes, " so far");
  }
  return { found, rows, bytes };
}

function save(found) {
  const url = URL.createObjectURL(new Blob(found, { type: "application/jsonl" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = take.download;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), KEEP_MS);
}

function busy(is) {
  stop.hidden = !is;
  if (is) take.setAttribute("aria-disabled", "true");
  else take.removeAttribute("aria-disabled");
}

async function run() {
  running = new AbortController();
  failed.hidden = true;
  progress.textContent = "Redacting and scanning…";
  if (take.download.includes("-raw")) progress.textContent = "Writing…";
  busy(true);
  try {
    const { found, rows, bytes } = await pieces(take.href, running.signal);
    save(found);
    say(rows, bytes, " in the file");
  } catch (error) {
    progress.textContent = "";
    const why = error.name === "AbortError" ? "you stopped it" : error.message;
    failed.textContent = `Nothing was saved: ${why}`;
    failed.hidden = false;
  } finally {
    running = null;
    busy(false);
  }
}

take?.addEventListener("click", (event) => {
  event.preventDefault();
  if (!running) run();
});
stop?.addEventListener("click", () => running?.abort());

document.querySelector("[data-ways]")?.addEventListener("change", (event) => {
  event.currentTarget.requestSubmit();
});

// Ticking nothing would mean everything: then there is nothing to press.
const choice = document.querySelector("[data-choice]");
function count() {
  const ticked = choice.querySelectorAll(":checked").length;
  const only = choice.querySelector("[data-only]");
  only.disabled = ticked === 0;
  only.textContent = ticked ? `Only the ${ticked.toLocaleString("en")} ticked` : "Only those ticked";
}
if (choice) {
  choice.addEventListener("change", count);
  count();
}
