// Keeps an order page fresh, adds up the order form and sends each form once. Every page works without it.

const QUICK = 700; // milliseconds between looks while things change
const SLOW = 5000;
const SLOWEST = 30000; // when the server does not answer

const shown = new Map(); // each part of the page as the server wrote it
let skew = 0; // the server's clock minus ours, in milliseconds

/** Poll the page's live part until the server says that nothing more will happen. */
function follow(live) {
  const source = new URL(live.dataset.source, location.href);
  if (source.origin !== location.origin || live.dataset.final === "yes") return;
  let wait = QUICK;
  let tag = null;
  let timer = 0;
  let asking = false;
  for (const part of live.querySelectorAll("[data-part]")) shown.set(part.dataset.part, part.outerHTML);

  async function look() {
    if (asking) return;
    asking = true;
    try {
      const answer = await ask(source, tag);
      wait = answer.status === 304 ? Math.min(wait * 1.3, SLOW) : QUICK;
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        swap(live, await answer.text());
      }
      say(live.dataset.final === "yes" ? "complete" : "live");
    } catch {
      wait = Math.min(Math.max(wait, 1000) * 2, SLOWEST);
      say("lost");
    } finally {
      asking = false;
    }
    plan();
  }

  function plan() {
    clearTimeout(timer);
    if (live.dataset.final !== "yes" && !document.hidden) timer = setTimeout(look, wait);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (document.hidden || live.dataset.final === "yes") return;
    wait = QUICK;
    look();
  });
  say("live");
  plan();
}

async function ask(source, tag) {
  const answer = await fetch(source, {
    headers: tag ? { "If-None-Match": tag } : {},
    credentials: "same-origin",
    cache: "no-store",
    redirect: "error",
    signal: AbortSignal.timeout(10000),
  });
  if (answer.status !== 200 && answer.status !== 304) throw new Error(`${answer.status}`);
  const date = Date.parse(answer.headers.get("Date"));
  if (date) skew = date - Date.now();
  return answer;
}

/** Replace the parts that differ, so that a half-typed reason, the focus and opened details stay. */
function swap(live, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").querySelector("#live");
  if (!fresh) throw new Error("not an order");
  const focused = document.activeElement?.id;
  for (const part of fresh.querySelectorAll("[data-part]")) {
    const old = live.querySelector(`[data-part="${part.dataset.part}"]`);
    if (!old || shown.get(part.dataset.part) === part.outerHTML) continue;
    shown.set(part.dataset.part, part.outerHTML);
    old.replaceWith(document.adoptNode(part));
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  live.dataset.final = fresh.dataset.final;
  const news = document.querySelector("#news");
  if (news && news.textContent !== fresh.dataset.headline) news.textContent = fresh.dataset.headline;
  count();
}

function say(state) {
  const word = { live: "live", lost: "connection lost, trying again", complete: "complete" }[state];
  for (const light of document.querySelectorAll(".live")) {
    if (light.textContent !== word) light.textContent = word;
    light.classList.toggle("on", state === "live");
    light.classList.toggle("lost", state === "lost");
  }
}

/** Say beside each time of a next try how far off it is. */
function count() {
  for (const place of document.querySelectorAll("[data-until]")) {
    const seconds = Math.ceil((Date.parse(place.dataset.until) - Date.now() - skew) / 1000);
    place.textContent = seconds > 0 ? ` (in ${seconds} s)` : " (now)";
  }
}

/** Show what the chosen quantities cost; the server counts again. */
function sum(form) {
  const output = form.querySelector("#sum");
  const money = new Intl.NumberFormat(document.documentElement.lang, { style: "currency", currency: output.dataset.currency });
  const unit = 10 ** money.resolvedOptions().maximumFractionDigits;
  const add = () => {
    let total = 0;
    for (const field of form.querySelectorAll("[data-amount]")) total += field.dataset.amount * Math.max(0, Math.trunc(field.value) || 0);
    output.textContent = money.format(total / unit);
  };
  form.addEventListener("input", add);
  output.closest("[hidden]")?.removeAttribute("hidden");
  add();
}

/** A second click sends nothing; coming back to the page makes its forms usable again. */
function once() {
  let sent = new WeakSet();
  addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (sent.has(form)) return event.preventDefault();
    sent.add(form);
    setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
  addEventListener("pageshow", () => {
    sent = new WeakSet();
    document.querySelectorAll("[data-once] button").forEach((button) => (button.disabled = false));
  });
}

/** Count the deliveries that are ticked into the button that replays them. */
function tick(form) {
  const button = form.querySelector("[data-ticked]");
  const word = button.textContent;
  const add = () => {
    const ticked = [...form.querySelectorAll("input[type=checkbox]:checked")];
    button.textContent = ticked.length ? `${word} (${ticked.reduce((sum, box) => sum + Number(box.dataset.count || 1), 0)})` : word;
  };
  form.addEventListener("change", add);
  add();
}

document.querySelectorAll("#live").forEach(follow);
document.querySelectorAll("form:has(#sum)").forEach(sum);
document.querySelectorAll("form:has([data-ticked])").forEach(tick);
once();
if (document.querySelector("#live")) setInterval(count, 500);
