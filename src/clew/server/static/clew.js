// What every page has: htmx's leave to make HTML of the server's own answers, times in the
// reader's own zone, the theme, and the way in.

const policy = window.trustedTypes?.createPolicy("clew", {
  createHTML: (text) => text,
  createScript: () => { throw new TypeError("no script is made from text here"); },
});

window.htmx?.registerExtension("clew", {
  init: (api) => { if (policy) api.initSecurity(policy); },
});

/** The elements of the server's own HTML; scripts in it do not run. */
export function elements(html) {
  const trusted = policy ? policy.createHTML(html) : html;
  return new DOMParser().parseFromString(trusted, "text/html").body;
}

/** A part of a page, as htmx would ask for it. Where nobody is signed in any more, to the way in. */
export async function part(url) {
  const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "text/html" } });
  if (answer.redirected) location.reload();
  if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
  return elements(await answer.text());
}

export function showTimes(root) {
  for (const each of root.querySelectorAll("time[datetime]:not([data-shown])")) {
    each.title = new Date(each.dateTime).toLocaleString();
    each.dataset.shown = "";
  }
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("clew-theme", root.dataset.theme);
}

function refused(answer) {
  if (!answer) return "The server does not answer, or this is no token: it reads clew_….";
  return answer.status === 403
    ? "This token may not read sessions, which the page needs: session:read."
    : `The server refused it (${answer.status}).`;
}

async function comeIn(form) {
  const problem = form.querySelector(".problem");
  const token = form.elements.token.value.trim();
  const answer = await fetch("/login", {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  }).catch(() => null);
  if (answer?.ok) {
    const next = new URL(form.dataset.next || "/", location.origin);
    location.replace(next.origin === location.origin ? next : "/");
    return;
  }
  const said = await answer?.json().catch(() => null);
  problem.textContent = said?.detail ?? refused(answer);
  problem.hidden = false;
  form.elements.token.select();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-toggle]")) toggleTheme();
});
document.addEventListener("submit", (event) => {
  const form = event.target.closest("[data-login]");
  if (!form) return;
  event.preventDefault();
  comeIn(form);
});
document.addEventListener("htmx:after:swap", (event) => showTimes(event.target));
showTimes(document);

const login = document.querySelector("[data-login]");
if (login && location.hash.startsWith("#clew_")) {
  login.elements.token.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
  comeIn(login);
}
