// "What the guide sees": this visitor's events with the measured time to the screen, and how the line is doing.

const $ = (selector) => document.querySelector(selector);
const SHOWN = 6;
const WORDS = {
  view: "Looked at", search: "Searched", cart: "Into the cart", favourite: "Likes", purchase: "Bought",
  remove: "Took back", click: "Followed", dismiss: "Not this",
};

const numbers = new Intl.NumberFormat("en");
const plural = (count, noun) => `${numbers.format(count)} ${noun}${count === 1 ? "" : "s"}`;
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
    $("#guide-total").textContent = "No events yet";
  }

  visitor({ user }) {
    $("#watch").textContent = `shopguide watch --user ${user}`;
  }

  #row(event) {
    const row = document.createElement("li");
    const kind = document.createElement("span");
    const label = document.createElement("span");
    const chip = document.createElement("span");
    row.dataset.testid = "seen-event";
    row.dataset.kind = event.row.kind;
    kind.className = "seen-kind";
    kind.textContent = WORDS[event.row.kind];
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
    const typical = screen === undefined ? "" : `, ${ms(screen)} typical`;
    const part = inGuide === undefined ? "" : `, ${ms(inGuide)} of it in the guide`;
    $("#guide-total").textContent = plural(this.#events.length, "event") + typical + part;
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText($("#watch").textContent);
      this.say("Copied. Run it in a terminal beside this window.");
    } catch {
      getSelection().selectAllChildren($("#watch"));
      this.say("Selected, ready to copy.");
    }
  }

  async #everyone() {
    if (document.hidden) return;
    const answer = await fetch("/healthz").catch(() => null);
    if (!answer?.ok) return;
    const { events, events_per_second: rate } = await answer.json();
    const pace = rate >= 1 ? `, ${numbers.format(Math.round(rate))} a second` : "";
    $("#everyone").textContent = `${plural(events, "event")} learned from everyone${pace}`;
  }
}
