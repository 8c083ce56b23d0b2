// Refreshes the page of an order or a replay, adds up the order form and submits each form once. Every page works without it.

const FAST_INTERVAL = 700; // milliseconds between requests while the order changes
const SLOW_INTERVAL = 5000;
const MAX_INTERVAL = 30000; // while the server does not answer
const TIMEOUT = 10000;

const rendered = new Map(); // the parts of the page as the server rendered them
let skew = 0; // the server's clock minus the browser's, in milliseconds

/** Poll the page's live part until what it shows is final. */
function follow(live) {
  const source = new URL(live.dataset.source, location.href);
  if (source.origin !== location.origin || live.dataset.final === "yes") return;
  let interval = FAST_INTERVAL;
  let etag = null;
  let timer = 0;
  let requesting = false;
  for (const part of live.querySelectorAll("[data-part]")) rendered.set(part.dataset.part, part.outerHTML);

  async function poll() {
    if (requesting) return;
    requesting = true;
    try {
      const response = await request(source, etag);
      interval = response.status === 304 ? Math.min(interval * 1.3, SLOW_INTERVAL) : FAST_INTERVAL;
      if (response.status === 200) {
        etag = response.headers.get("ETag");
        replaceParts(live, await response.text());
      }
      showState(live.dataset.final === "yes" ? "complete" : "live");
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
    interval = FAST_INTERVAL;
    poll();
  });
  showState("live");
  schedule();
}

async function request(source, etag) {
  const response = await fetch(source, {
    headers: etag ? { "If-None-Match": etag } : {},
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

/** Replace only the parts that differ, to keep a half-typed reason, the focus and opened details. */
function replaceParts(live, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("#live");
  if (!fresh) throw new Error("the response has no live part");
  const focused = document.activeElement?.id;
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = live.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!old || rendered.get(part.dataset.part) === part.outerHTML) continue;
    rendered.set(part.dataset.part, part.outerHTML);
    for (const field of part.querySelectorAll("input[id]")) {
      const typed = document.getElementById(field.id);
      if (typed) field.value = typed.value;
    }
    old.replaceWith(document.adoptNode(part));
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  live.dataset.final = fresh.dataset.final;
  const announcement = document.querySelector("#announcement");
  if (announcement && announcement.textContent !== fresh.dataset.headline) announcement.textContent = fresh.dataset.headline;
  countDown();
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
function countSelected(form) {
  const button = form.querySelector("[data-counts-selected]");
  const label = button.textContent;
  const update = () => {
    const selected = [...form.elements].filter((field) => field.matches("input[type=checkbox]:checked"));
    button.textContent = selected.length ? `${label} (${selected.reduce((sum, box) => sum + Number(box.dataset.count || 1), 0)})` : label;
  };
  document.addEventListener("change", update); // the boxes stand elsewhere, among forms of their own
  update();
}

/** Let commands be copied where the browser allows it. */
function offerCopies() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    });
  }
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
document.querySelectorAll("form:has([data-counts-selected])").forEach(countSelected);
preventDoubleSubmit();
offerCopies();
closeMenus();
if (document.querySelector("#live")) setInterval(countDown, 500);
