/** The desk: live numbers, picks, the audit log, and what is held of a user. docs/protocol.md describes its routes. */

import { ask, drop, keep, known, Refused, takeLinked } from "/static/desk-api.js";
import { bar, Lines } from "/static/desk-chart.js";
import { Items } from "/static/desk-items.js";

const $ = (selector) => document.querySelector(selector);
const LIVE_EVERY = 1000; // ms
const SLOW_EVERY = 10_000;
const NO_ANSWER = "The desk cannot be reached; it tries again.";
const SEGMENTS = { new: "on their first visit", returning: "who came back", buyers: "who have bought" };
const DONE = { pin: "pinned", boost: "boosted", bury: "buried", block: "blocked", undo: "undid", lookup: "looked up" };

const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 });
const ms = (seconds) => (seconds === null ? "–" : `${number(seconds * 1000)} ms`);
const percent = (rate) => (rate === null ? "–" : `${(100 * rate).toFixed(1)} %`);
const clock = (seconds) => new Date(seconds * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const node = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });
const fill = (list, rows, empty) => list.replaceChildren(...(rows.length || !empty ? rows : [node("li", empty, "soft")]));

const ticks = [];
const rateChart = new Lines($("#rate-chart"), 120, ["line-a"], ([rate]) => `Events a second: now ${number(rate)}`);
const delayChart = new Lines($("#delay-chart"), 120, ["line-b", "line-a"], ([p99, p50]) =>
  p50 === null ? "Event to push: no list in the last minute" : `Event to push: median ${number(p50)} ms, 99 of 100 within ${number(p99)} ms`);
const items = new Items($("#item"), $("#found"));

/* -- in and out ------------------------------------------------------------------------------------------------- */

const show = (inside) => {
  $("#sign-in").hidden = inside;
  $("#desk").hidden = !inside;
  $("#leave").hidden = !inside;
};

const leave = (why = "") => {
  ticks.splice(0).forEach(clearInterval);
  drop();
  show(false);
  state("off", "signed out");
  $("#sign-in-wrong").textContent = why;
  $("#token").focus();
};

const state = (name, text) => {
  $("#state").dataset.state = name;
  $("#state-text").textContent = text;
};

const enter = async () => {
  try {
    live(await ask("desk/live"));
  } catch (error) {
    if (error instanceof Refused && error.status === 401) return leave(error.message);
    $("#sign-in-wrong").textContent = NO_ANSWER;
    return undefined;
  }
  show(true);
  $("#main").focus({ preventScroll: true });
  ticks.push(setInterval(every(async () => live(await ask("desk/live"))), LIVE_EVERY));
  ticks.push(setInterval(every(slow), SLOW_EVERY));
  return every(slow)();
};

/** Work that may find the desk away, or the token at its end. One at a time. */
const every = (work) => {
  let busy = false;
  return async () => {
    if (busy) return;
    busy = true;
    try {
      await work();
    } catch (error) {
      if (error instanceof Refused && error.status === 401) leave(error.message);
      else state("away", error instanceof Refused ? error.message : NO_ANSWER);
    } finally {
      busy = false;
    }
  };
};

const slow = async () => {
  const [picks, audit, found, trending] = await Promise.all(
    ["desk/picks", "desk/audit", "desk/products", "trending?n=8"].map((path) => ask(path)),
  );
  standing(picks.picks);
  log(audit.entries);
  categories(found.categories);
  fill($("#trending"), trending.items.map((item) => node("li", item.title)), "Nothing yet.");
};

/* -- now -------------------------------------------------------------------------------------------------------- */

const live = (now) => {
  state("live", `live · ${now.by}`);
  const { delay } = now;
  $("#rate").textContent = number(now.events_per_second);
  $("#p50").textContent = ms(delay.p50);
  $("#p99").textContent = ms(delay.p99);
  $("#watched").textContent = number(now.watched);
  $("#rejected").textContent = number(now.rejected);
  $("#behind").textContent = number(now.behind);
  rateChart.add(now.events_per_second);
  delayChart.add(...[delay.p99, delay.p50].map((value) => (value === null ? null : value * 1000)));
  const names = [...delay.bounds.map((bound) => `≤ ${number(bound * 1000)} ms`), "longer"];
  fill($("#delays"), delay.bars.map((n, at) => bar(names[at], delay.n ? n / delay.n : 0, number(n))));
  fill($("#reasons"), Object.entries(now.reasons).map(([why, n]) => node("li", `${number(n)} × ${why}`)), "None.");
  $("#outcomes").replaceChildren(...(now.recommenders.length ? now.recommenders.map(outcome) : [nothing(5, "No impression or click yet.")]));
};

const outcome = (one) => {
  const row = node("tr");
  const name = Object.assign(node("th", one.recommender), { scope: "row" });
  row.append(name, ...[number(one.shown), number(one.clicks), percent(one.ctr), percent(one.cvr)].map((text) => node("td", text, "number")));
  return row;
};

const nothing = (columns, text) => {
  const row = node("tr");
  row.append(Object.assign(node("td", text, "soft"), { colSpan: columns }));
  return row;
};

/* -- picks ------------------------------------------------------------------------------------------------------ */

const target = (pick) => (pick.category ? `all of ${pick.category}` : pick.title ?? pick.item ?? "");

const where = (pick) => [
  pick.action === "pin" && `place ${pick.position || "first free"}`,
  pick.slot ? `slot ${pick.slot}` : "all slots",
  pick.segment ? `for those ${SEGMENTS[pick.segment]}` : "for everybody",
  pick.from && `from ${clock(pick.from)}`,
  pick.until && `until ${clock(pick.until)}`,
].filter(Boolean).join(", ");

const phase = (pick) => {
  const now = Date.now() / 1000;
  if (pick.until && pick.until <= now) return "ended";
  return pick.from > now ? "scheduled" : "in force";
};

const undoButton = (entry, what) => {
  const button = Object.assign(node("button", "Undo", "quiet small"), { type: "button" });
  button.setAttribute("aria-label", `Undo: ${what}`);
  button.dataset.testid = "undo";
  button.addEventListener("click", () => askWhy(entry, what));
  return button;
};

const standing = (picks) => fill($("#standing"), picks.map((pick) => {
  const row = node("li");
  const what = `${DONE[pick.action]} ${target(pick)}`;
  const text = node("div");
  const head = node("p");
  head.append(node("span", phase(pick), `phase ${phase(pick) === "in force" ? "on" : ""}`), node("b", what));
  text.append(head, node("p", where(pick), "soft"), node("p", `${pick.by || "somebody"}: ${pick.why}`, "soft"));
  row.dataset.id = pick.id;
  row.dataset.testid = "pick";
  row.append(text, undoButton(pick, what));
  return row;
}), "Nothing is picked: lists are as the model makes them.");

const categories = (names) => {
  const select = $("#category");
  if (select.options.length === names.length) return;
  select.replaceChildren(...names.map((name) => new Option(name)));
};

const follow = () => {
  const form = $("#pick-form");
  const pin = form.action.value === "pin";
  if (pin) form.of.value = "item";
  const ofItem = form.of.value === "item";
  $("#of").disabled = pin;
  $("#position-field").hidden = !pin;
  $("#position").disabled = !pin;
  $("#item-field").hidden = !ofItem;
  $("#category-field").hidden = ofItem;
};

const wanted = (form) => {
  const at = (field) => (field.value ? new Date(field.value).getTime() / 1000 : undefined);
  const ofItem = form.of.value === "item";
  return {
    action: form.action.value,
    ...(ofItem ? { item: items.value } : { category: form.category.value }),
    ...(form.action.value === "pin" ? { position: Number(form.position.value) } : {}),
    slot: form.slot.value.trim(),
    segment: form.segment.value,
    from: at(form.from),
    until: at(form.until),
    why: form.why.value,
  };
};

/** Have it done; what went wrong goes below the form. Whether it was done. */
const attempt = async (place, work) => {
  place.textContent = "";
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) leave(error.message);
    else place.textContent = error instanceof Refused ? error.message : NO_ANSWER;
    return false;
  }
};

const announce = (text) => { $("#announcer").textContent = text; };

/* -- audit ------------------------------------------------------------------------------------------------------ */

const log = (entries) => {
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  const told = (entry) => {
    if (entry.action === "lookup") return `looked up user ${entry.user}`;
    const undone = byId.get(entry.undoes);
    return entry.action === "undo" ? `undid “${undone ? told(undone) : entry.undoes}”` : `${DONE[entry.action]} ${target(entry)}`;
  };
  $("#audit").replaceChildren(...(entries.length ? entries.map((entry) => {
    const row = node("tr", "", entry.stands === false ? "undone" : "");
    const what = told(entry);
    const cell = node("td", what);
    if (DONE[entry.action] && !["undo", "lookup"].includes(entry.action)) cell.append(node("span", where(entry), "soft more"));
    const last = node("td");
    if (entry.stands) last.append(undoButton(entry, what));
    else if (entry.action !== "lookup") last.append(node("span", "undone", "soft"));
    row.dataset.testid = "entry";
    row.append(node("td", clock(entry.time), "number"), node("td", entry.by), cell, node("td", entry.why), last);
    return row;
  }) : [nothing(5, "Nothing yet.")]));
};

let undoing = null;

const askWhy = (entry, what) => {
  undoing = entry;
  $("#undo-what").textContent = `“${what}”, by ${entry.by || "somebody"}.`;
  $("#undo-why").value = "";
  $("#undo-wrong").textContent = "";
  $("#undo").showModal();
  $("#undo-why").focus();
};

/* -- a user ----------------------------------------------------------------------------------------------------- */

const fact = (name, value) => {
  const pair = node("div");
  pair.append(node("dt", name), node("dd", value));
  return pair;
};

/** An item of a list, with all that speaks for it behind its first reason. */
const reasoned = (item, at) => {
  const [row, details, summary, bars] = [node("li"), node("details"), node("summary"), node("ul", "", "bars")];
  const most = Math.max(...item.why.map((part) => part.amount), 1e-9);
  bars.append(...item.why.map((part) => bar(`${part.signal}: ${part.text}`, part.amount / most, part.amount.toFixed(3))));
  summary.append(node("b", item.title), node("span", ` ${item.score.toFixed(3)}`), node("span", item.reasons[0]?.text ?? "", "soft more"));
  details.open = at === 0;
  details.append(summary, bars);
  row.append(details);
  return row;
};

const person = (found) => {
  $("#person-name").textContent = `${found.user} (key ${found.key})`;
  $("#facts").replaceChildren(
    fact("Segments", found.segments.map((name) => SEGMENTS[name]).join(", ") || "none"),
    fact("Events kept", number(found.events)),
    fact("Known since", found.since === null ? "never seen" : clock(found.since)),
    fact("Items in this visit", number(found.here)),
    fact("Purchase intent", percent(found.intent)),
    fact("Searched for", found.query || "nothing in this visit"),
    fact("Interests", found.interests.slice(0, 5).map((one) => `${one.category} (${one.items})`).join(", ") || "none"),
    fact("Imported profile", Object.entries(found.profile.attributes).map(([name, value]) => `${name}: ${value}`).join(", ") || "none"),
    fact("Imported interests", found.profile.interests.join(", ") || "none"),
    fact("Trained profile", (found.trained_profile.interests ?? []).slice(0, 8).map((one) => `${one.term} (${percent(one.share)})`).join(", ") || "none"),
    fact("Bought", found.bought.slice(0, 8).join(", ") || "nothing"),
    fact("Wants no more of", found.dismissed.slice(0, 8).join(", ") || "nothing named"),
  );
  fill($("#recent"), found.recent.map((event) => node("li", `${clock(event.time)} · ${event.kind} · ${event.query ?? event.title}`)), "Nothing is kept.");
  fill($("#list"), found.items.map(reasoned), "No list.");
  $("#person").hidden = false;
  $("#person-name").focus();
};

/* -- what people do --------------------------------------------------------------------------------------------- */

$("#sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep($("#token").value.trim());
  $("#token").value = "";
  enter();
});
$("#leave").addEventListener("click", () => leave());
$("#pick-form").addEventListener("change", follow);
$("#pick-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  if (!(await attempt($("#pick-wrong"), () => ask("desk/pick", wanted(form))))) return;
  announce("It is on all screens.");
  form.reset();
  items.clear();
  follow();
  every(slow)();
});
$("#undo-cancel").addEventListener("click", () => $("#undo").close());
$("#undo-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!(await attempt($("#undo-wrong"), () => ask("desk/undo", { id: undoing.id, why: $("#undo-why").value })))) return;
  $("#undo").close();
  announce("Undone.");
  every(slow)();
});
$("#lookup-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const done = await attempt($("#lookup-wrong"), async () => person(await ask("desk/lookup", { user: form.user.value, why: form.why.value })));
  if (done) every(slow)();
});

takeLinked();
follow();
if (known()) enter();
else leave();
