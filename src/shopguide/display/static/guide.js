// "What the guide sees": this visitor's events with the measured time to the screen, and how the line is doing.

import { lang, scene, t } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const SHOWN = 6;
const WORDS = {
  view: "Looked at", search: "Searched", cart: "Into the cart", favourite: "Likes", purchase: "Bought",
  remove: "Took back", click: "Followed", dismiss: "Not this",
};

const STATE = scene === "shop" ? "" : ` --state .shopguide-${scene}`; // as `shopguide demo` has it

const numbers = new Intl.NumberFormat(lang);
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
export const ms = (latency) => `${latency < 10 ? latency.toFixed(1) : Math.round(latency)} ms`;

export class Guide {
  #events = [];
  #rows = new Map();

  /** `say` shows a short notice. */
  constructor(say) {
    this.say = say;
    $("#watch-copy").addEventListener("click", () => this.#copy());
    setInterval(() => this.#everyone(), 3000);
    this.#everyone();
  }

  /** An event was noted, or its latency is known. */
  note(event) {
    if (!this.#rows.has(event)) {
      this.#events.push(event);
      this.#rows.set(event, this.#row(event));
      $("#seen").prepend(this.#rows.get(event));
      while ($("#seen").children.length > SHOWN) $("#seen").lastElementChild.remove();
      $("#seen-empty").hidden = true;
    }
    const chip = this.#rows.get(event).lastElementChild;
    chip.textContent = event.latency === null ? "…" : ms(event.latency);
    chip.classList.toggle("known", event.latency !== null);
    this.#total();
  }

  clear() {
    this.#events = [];
    this.#rows.clear();
    $("#seen").replaceChildren();
    $("#seen-empty").hidden = false;
    $("#guide-total").textContent = t("No events yet");
  }

  visitor({ user }) {
    $("#watch").textContent = `shopguide watch --user ${user}${STATE}`;
  }

  #row(event) {
    const row = document.createElement("li");
    const kind = document.createElement("span");
    const label = document.createElement("span");
    const chip = document.createElement("span");
    row.dataset.testid = "seen-event";
    row.dataset.kind = event.row.kind;
    kind.className = "seen-kind";
    kind.textContent = t(WORDS[event.row.kind]);
    label.className = "seen-label";
    label.textContent = event.label;
    chip.className = "chip-ms";
    chip.dataset.testid = "seen-latency";
    row.append(kind, label, chip);
    return row;
  }

  #total() {
    const known = this.#events.filter((event) => event.latency !== null);
    const screen = median(known.map((event) => event.latency));
    const inGuide = median(known.map((event) => event.inGuide).filter((time) => time >= 0));
    const typical = screen === undefined ? "" : t(", {} typical", ms(screen));
    const part = inGuide === undefined ? "" : t(", {} of it in the guide", ms(inGuide));
    const count = this.#events.length;
    $("#guide-total").textContent = count === 1 ? t("1 event{}{}", typical, part) : t("{} events{}{}", numbers.format(count), typical, part);
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText($("#watch").textContent);
      this.say(t("Copied. Run it in a terminal beside this window."));
    } catch {
      getSelection().selectAllChildren($("#watch"));
      this.say(t("Selected, ready to copy."));
    }
  }

  async #everyone() {
    if (document.hidden) return;
    const answer = await fetch("/healthz").catch(() => null);
    if (!answer?.ok) return;
    const { events, events_per_second: rate } = await answer.json();
    const pace = rate >= 1 ? t(", {} a second", numbers.format(Math.round(rate))) : "";
    $("#everyone").textContent = t("{} events learned from everyone{}", numbers.format(events), pace);
  }
}
