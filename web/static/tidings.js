// Keeps live pages fresh, adds up the order form and submits each form once. Every page works without it.

const FAST_INTERVAL = 700; // milliseconds between requests while what is shown changes
const SLOW_INTERVAL = 5000;
const MAX_INTERVAL = 30000; // while the server does not answer
const TIMEOUT = 10000;

const rendered = new Map(); // the parts of the page as the server rendered them
let skew = 0; // the server's clock minus the browser's, in milliseconds

/** Poll the page's live part until what it shows is final. */
function follow(live) {
  const source = new URL(live.dataset.source, location.href);
  if (source.origin !== location.origin || live.dataset.final === "yes") return;
  const fast = Number(live.dataset.interval) || FAST_INTERVAL;
  const slow = Math.max(fast, SLOW_INTERVAL);
  let interval = fast;
  let etag = null;
  let timer = 0;
  let requesting = false;
  for (const part of partsOf(live)) rendered.set(part.dataset.part, stable(part));

  async function poll() {
    if (requesting) return;
    requesting = true;
    try {
      const response = await request(source, etag);
      interval = response.status === 304 ? Math.min(interval * 1.3, slow) : fast;
      if (response.status === 200) {
        etag = response.headers.get("ETag");
        replaceParts(live, await response.text());
      }
      showState(live.dataset.final === "yes" ? "complete" : "live");
      showTime(live);
    } catch {
      interval = Math.min(Math.max(interval, 1000) * 2, MAX_INTERVAL);
      showState("lost");
    } finally {
      requesting = false;
    }
    schedule();
  }

  function schedule() {
    clearTimeout(timer);
    if (live.dataset.final !== "yes" && !document.hidden) timer = setTimeout(poll, interval);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden || live.dataset.final === "yes") return;
    interval = fast;
    poll();
  });
  showTime(live);
  showState("live");
  schedule();
}

async function request(source, etag) {
  const response = await fetch(source, {
    headers: { "X-Poll": "yes", ...(etag && { "If-None-Match": etag }) },
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT),
  });
  if (response.status !== 200 && response.status !== 304) throw new Error(`${response.status}`);
  const date = Date.parse(response.headers.get("Date"));
  if (date) skew = date - Date.now();
  return response;
}

/** Return the parts of a page: those that it names, or each child of a page that is live as a whole. */
function partsOf(live) {
  if (!live.classList.contains("whole")) return [...live.querySelectorAll("[data-part]")];
  const parts = [...live.children];
  parts.forEach((part, index) => (part.dataset.part = part.id || `${part.tagName}-${index}`));
  return parts;
}

/** Return what a part shows, without what differs in each answer. */
function stable(part) {
  return part.outerHTML.replace(/(name="csrf_token" value=")[^"]*|<time>[^<]*/g, "$1");
}

/** Tell whether somebody fills in a form of this part, has chosen something in it or marks its text. */
function inUse(part) {
  const marked = getSelection();
  return (
    part.querySelector(".ask[open], input[type=checkbox]:checked") ||
    part.querySelector("input:focus, select:focus, textarea:focus, button:focus") ||
    (!marked.isCollapsed && part.contains(marked.anchorNode))
  );
}

/** Replace only the parts that differ, to keep a half-typed reason, the focus and opened details. */
function replaceParts(live, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("#live");
  if (!fresh) throw new Error("the response has no live part");
  const focused = document.activeElement?.id;
  const whole = live.classList.contains("whole");
  const [olds, news] = [partsOf(live), partsOf(fresh)];
  const names = (parts) => parts.map((part) => part.dataset.part).join(" ");
  if (whole && names(olds) !== names(news)) {
    if (olds.some(inUse)) return;
    news.forEach((part) => rendered.set(part.dataset.part, stable(part)));
    live.replaceChildren(...news);
  } else {
    for (const part of news) {
      const old = olds.find((each) => each.dataset.part === part.dataset.part);
      if (!old || rendered.get(part.dataset.part) === stable(part) || (whole && inUse(old))) continue;
      rendered.set(part.dataset.part, stable(part));
      keepState(old, part);
      old.replaceWith(document.adoptNode(part));
    }
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  live.dataset.final = fresh.dataset.final;
  const announcement = document.querySelector("#announcement");
  const headline = fresh.dataset.headline ?? live.querySelector("h1")?.textContent;
  if (announcement && announcement.textContent !== headline) announcement.textContent = headline;
  countSelected();
  offerCopies();
  countDown();
}

/** Keep what is typed in a part, the row that the keys have chosen, and what is unfolded. */
function keepState(old, part) {
  for (const field of part.querySelectorAll("input[id]")) {
    const typed = document.getElementById(field.id);
    if (typed) field.value = typed.value;
  }
  for (const each of old.querySelectorAll("details[open]")) twin(each, old, part)?.setAttribute("open", "");
  for (const each of old.querySelectorAll(".current")) twin(each, old, part)?.classList.add("current");
}

/** Return what stands in the new part where an element stands in the old one. */
function twin(each, old, part) {
  const anchor = each.closest("[id]");
  const [from, to] = anchor && old.contains(anchor) ? [anchor, part.querySelector(`#${CSS.escape(anchor.id)}`)] : [old, part];
  return from === each ? to : to?.querySelectorAll(each.tagName)[[...from.querySelectorAll(each.tagName)].indexOf(each)];
}

/** Say that a whole page is live, and the time of what it shows. */
function showTime(live) {
  const kicker = live.querySelector(".whole .kicker");
  if (!kicker) return;
  if (!kicker.querySelector(".live")) kicker.insertAdjacentHTML("beforeend", ' · <span class="live on">live</span>');
  const time = kicker.querySelector("time");
  const [, day, clock] = new Date(Date.now() + skew).toUTCString().match(/(.*) (\S+) GMT/);
  if (time) time.textContent = `${day.replace(",", "")}, ${clock} UTC`;
}

function showState(state) {
  const text = { live: "live", lost: "connection lost, reconnecting", complete: "complete" }[state];
  for (const light of document.querySelectorAll(".live")) {
    if (light.textContent !== text) light.textContent = text;
    light.classList.toggle("on", state === "live");
    light.classList.toggle("lost", state === "lost");
  }
}

/** Show the seconds that are left until each next attempt. */
function countDown() {
  const format = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: "second" });
  for (const place of document.querySelectorAll("[data-until]")) {
    const seconds = Math.ceil((Date.parse(place.dataset.until) - Date.now() - skew) / 1000);
    place.textContent = seconds > 0 ? ` (in ${format.format(seconds)})` : " (now)";
  }
}

/** Show the total of the entered quantities; the server computes it again. */
function showTotal(form) {
  const output = form.querySelector("#total");
  const fields = [...form.querySelectorAll("[data-amount]")];
  // The digits come from the server: browsers show some currencies with others than amounts have.
  const format = ({ currency, digits }, amount) =>
    new Intl.NumberFormat(output.dataset.locale, { style: "currency", currency, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(amount / 10 ** digits);
  const update = () => {
    const totals = new Map();
    for (const { value, dataset } of fields) {
      const amount = dataset.amount * Math.max(0, Math.trunc(value) || 0);
      const { sum = 0 } = totals.get(dataset.currency) || {};
      if (amount) totals.set(dataset.currency, { dataset, sum: sum + amount });
    }
    if (!totals.size && fields.length) totals.set("", { dataset: fields[0].dataset, sum: 0 });
    output.textContent = [...totals.values()].map(({ dataset, sum }) => format(dataset, sum)).join(" + ");
  };
  form.addEventListener("input", update);
  output.closest("[hidden]")?.removeAttribute("hidden");
  update();
}

/** Submit a form once however often it is clicked, and again after a return to the page. */
function preventDoubleSubmit() {
  let submitted = new WeakSet();
  addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (submitted.has(form)) return event.preventDefault();
    submitted.add(form);
    setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
  addEventListener("pageshow", () => {
    submitted = new WeakSet();
    document.querySelectorAll("[data-once] button:not([data-refused])").forEach((button) => (button.disabled = false));
  });
}

/** Show the number of selected deliveries on the button that replays them. */
function countSelected() {
  for (const button of document.querySelectorAll("[data-counts-selected]")) {
    button.dataset.label ??= button.textContent;
    const selected = [...button.form.elements].filter((field) => field.matches("input[type=checkbox]:checked"));
    const count = selected.reduce((sum, box) => sum + Number(box.dataset.count || 1), 0);
    button.textContent = selected.length ? `${button.dataset.label} (${count})` : button.dataset.label;
  }
}

/** Show the buttons that copy commands where the browser allows it. */
function offerCopies() {
  if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach((button) => (button.hidden = false));
}

async function copy(event) {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.previousElementSibling.textContent);
  button.textContent = "Copied";
}

/** Close an open menu by a click elsewhere, and by Escape. */
function closeMenus() {
  const close = (except) =>
    document.querySelectorAll(".more[open], .menu[open]").forEach((menu) => menu === except || (menu.open = false));
  addEventListener("click", (event) => close(event.target.closest(".more, .menu")));
  addEventListener("keydown", (event) => event.key === "Escape" && close());
}

document.querySelectorAll("#live").forEach(follow);
document.querySelectorAll("form:has(#total)").forEach(showTotal);
addEventListener("change", countSelected); // the boxes stand elsewhere, among forms of their own
addEventListener("click", copy);
countSelected();
preventDoubleSubmit();
offerCopies();
closeMenus();
if (document.querySelector("#live")) setInterval(countDown, 500);
