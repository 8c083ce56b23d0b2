// Keys for the operators' pages. Each key does what a link, a field or a button of the page does.

const PLACES = { o: "/ops", l: "/ops/orders", d: "/ops/dead-letters", p: "/ops/replays", q: "/ops/queues", e: "/ops/events" };
const SEQUENCE_TIME = 1500; // milliseconds from g to the letter after it

let afterG = 0; // the time of the last g

/** Return the visible element among those that match. */
function visible(selector, within = document) {
  return [...within.querySelectorAll(selector)].find((each) => each.checkVisibility());
}

/** Follow the link of the navigation to this place, wherever the site is mounted. */
function go(place) {
  [...document.querySelectorAll(".top nav a")].find((link) => link.pathname.endsWith(place))?.click();
}

/** Move to the next row or the previous one, and focus what opens it. */
function move(step) {
  const rows = [...document.querySelectorAll("[data-row]")].filter((row) => row.checkVisibility());
  const current = document.querySelector("[data-row].current");
  const row = rows[Math.min(Math.max(rows.indexOf(current) + step, 0), rows.length - 1)];
  if (!row) return;
  current?.classList.remove("current");
  row.classList.add("current");
  row.scrollIntoView({ block: "nearest" });
  visible("a, summary", row)?.focus({ preventScroll: true });
}

/** Select the current row, or clear it. */
function choose() {
  document.querySelector(".current input[type=checkbox]")?.click();
}

/** Open the form behind a button of the current row, or go to the one form of the page. */
function ask(action) {
  const row = document.querySelector("[data-row].current");
  const summary = row && [...row.querySelectorAll(".ask > summary")].find((each) => each.textContent.startsWith(action));
  if (summary) {
    summary.parentElement.open = true;
    visible("[name=reason]", summary.parentElement)?.focus();
  } else if (!row) {
    visible("main form #reason")?.focus();
  }
}

const KEYS = {
  "/": () => visible(".find input")?.focus() ?? document.querySelector(".menu > summary")?.click(),
  "?": () => document.querySelector("#keys").showModal(),
  j: () => move(1),
  k: () => move(-1),
  x: choose,
  r: () => ask("Replay"),
  d: () => ask("Discard"),
  g: () => (afterG = Date.now()),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.closest("input, select, textarea, dialog[open]")) return;
  const place = Date.now() - afterG < SEQUENCE_TIME ? PLACES[event.key] : undefined;
  afterG = 0;
  const link = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key);
  const action = place ? () => go(place) : (KEYS[event.key] ?? (link && (() => link.click())));
  if (!action) return;
  event.preventDefault();
  action();
});

document.querySelectorAll(".keys").forEach((line) => (line.hidden = false));
