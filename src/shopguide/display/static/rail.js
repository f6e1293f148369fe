// "For you": the newest list. Rows are kept by item and moved, never rebuilt, so that the eye can follow.

import { facts, picture } from "./products.js";
import { sentence, t } from "./words.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const EASE = "cubic-bezier(.2, .8, .2, 1)";
const IN_VIEW = 1000; // ms that half of a row is in view before its item counts as seen

export class Rail {
  #rows = new Map();
  #shown = [];
  #moves = [];
  #dismissed = new Set();
  #seen = new Set();
  #timers = new WeakMap();

  /**
   * `on` has open(item), why(item), dismiss(item), saw(item), once since the page was opened, and known(item): all that
   * the shop says of it.
   */
  constructor(list, template, empty, on) {
    this.list = list;
    this.template = template;
    this.empty = empty;
    this.on = on;
    list.append(...Array.from({ length: 7 }, skeleton));
    this.inView = new IntersectionObserver((entries) => this.#look(entries), { threshold: 0.5 });
  }

  #look(entries) {
    for (const { target: row, intersectionRatio } of entries) {
      clearTimeout(this.#timers.get(row));
      if (intersectionRatio >= 0.5) this.#timers.set(row, setTimeout(() => this.#see(row), IN_VIEW));
    }
  }

  #see(row) {
    const id = row.dataset.item;
    if (document.hidden || this.#seen.has(id) || this.#rows.get(id) !== row) return;
    this.#seen.add(id);
    this.on.saw(row.item);
  }

  /** Show the items, in order. Returns how many came that were not there. */
  update(items, first) {
    const wanted = new Set(items.map((item) => item.item));
    for (const id of this.#dismissed) if (!wanted.has(id)) this.#dismissed.delete(id);
    return this.#show(items.filter((item) => !this.#dismissed.has(item.item)), first);
  }

  /** Take one away at once; the guide's next list will agree. Returns a way back. */
  hide(item) {
    this.#dismissed.add(item.item);
    const before = this.#shown;
    this.#show(before.filter((other) => other.item !== item.item), false);
    return () => {
      this.#dismissed.delete(item.item);
      if (!this.#rows.has(item.item)) this.#show(before, false);
    };
  }

  /** Somebody new looks. */
  forget() {
    this.#seen.clear();
    this.inView.disconnect();
    for (const row of this.#rows.values()) this.inView.observe(row);
  }

  /** Prices, ages and viewers as they are now. */
  refresh() {
    for (const row of this.#rows.values()) row.querySelector(".pick-price").textContent = facts(this.on.known(row.item));
  }

  // All places are read before anything is written: one layout for the old list and one for the new.
  #show(items, first) {
    const view = this.#view();
    const places = new Map([...this.#rows].map(([id, row]) => [id, row.getBoundingClientRect()]));
    const ranks = new Map(this.#shown.map((item, rank) => [item.item, rank]));
    const focus = this.#rememberFocus();
    for (const old of this.list.querySelectorAll(".skeleton")) old.remove();
    const wanted = new Set(items.map((item) => item.item));
    for (const [id, row] of this.#rows) if (!wanted.has(id)) this.#leave(id, row, places.get(id), view);
    items.forEach((item, rank) => {
      const row = this.#rows.get(item.item) ?? this.#enter(item.item);
      this.#fill(row, item);
      mark(row, first ? null : ranks.get(item.item), rank);
      if (this.list.children[rank] !== row) this.list.insertBefore(row, this.list.children[rank]);
    });
    this.#shown = items;
    this.#move(places, view);
    focus();
    this.list.setAttribute("aria-busy", "false");
    this.empty.hidden = items.length > 0;
    return items.filter((item) => !ranks.has(item.item)).length;
  }

  #enter(id) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const [open, why, dismiss] = row.querySelectorAll("button");
    open.addEventListener("click", () => this.on.open(row.item));
    why.addEventListener("click", () => this.on.why(row.item));
    dismiss.addEventListener("click", () => this.on.dismiss(row.item));
    this.#rows.set(id, row);
    this.inView.observe(row);
    return row;
  }

  #fill(row, item) {
    row.item = item;
    row.dataset.item = item.item;
    picture(row.querySelector("img"), item);
    row.querySelector(".pick-title").textContent = item.title;
    row.querySelector(".pick-reason").textContent = sentence(item.reasons?.[0]?.text ?? "");
    row.querySelector(".pick-price").textContent = facts(this.on.known(item));
    row.querySelector('[data-testid="why"]').setAttribute("aria-label", t("Why {}?", item.title));
    row.querySelector('[data-testid="not-this"]').setAttribute("aria-label", t("Not this: {}", item.title));
  }

  #leave(id, row, place, view) {
    this.#rows.delete(id);
    if (still.matches || !within(place, view)) return row.remove();
    Object.assign(row.style, {
      position: "absolute",
      top: `${place.top - view.top + view.scrollTop}px`,
      left: `${place.left - view.left + view.scrollLeft}px`,
      width: `${place.width}px`,
      height: `${place.height}px`,
      zIndex: 0,
    });
    row.inert = true;
    delete row.dataset.testid;
    this.list.append(row);
    const gone = row.animate([{ opacity: 1 }, { opacity: 0, transform: "scale(.94)" }], { duration: 120, fill: "forwards" });
    gone.finished.finally(() => row.remove());
  }

  #view() {
    const { left, top, right, bottom } = this.list.getBoundingClientRect();
    const { scrollLeft, scrollTop } = this.list;
    return { left, top, right, bottom, scrollLeft, scrollTop };
  }

  #move(places, view) {
    if (still.matches) return;
    for (const move of this.#moves) move.cancel();
    this.#moves = [];
    const steps = [...this.#rows].map(([id, row]) => [row, places.get(id), row.getBoundingClientRect()]);
    for (const [row, from, to] of steps) {
      if (!within(to, view) && !(from && within(from, view))) continue;
      if (!from) {
        this.#moves.push(row.animate([{ opacity: 0, transform: "translateY(10px)" }, { opacity: 1, transform: "none" }],
          { duration: 280, delay: 80, easing: EASE, fill: "backwards" }));
      } else if (from.left !== to.left || from.top !== to.top) {
        const shift = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
        this.#moves.push(row.animate([{ transform: shift }, { transform: "none" }], { duration: 360, easing: EASE }));
      }
    }
  }

  /** Moving a row loses the keyboard's place; a removed row hands it to the one that follows. */
  #rememberFocus() {
    const held = document.activeElement;
    const row = held?.closest?.(".pick");
    if (!row || !this.list.contains(row)) return () => {};
    const rank = [...this.list.children].indexOf(row);
    return () => {
      if (document.activeElement === held) return;
      const next = this.#rows.has(row.dataset.item) ? row : this.list.children[Math.min(rank, this.#rows.size - 1)];
      const same = next?.querySelector(`[data-testid="${held.dataset.testid}"]`);
      (same ?? this.list).focus({ preventScroll: true });
    };
  }
}

const within = (place, view) =>
  place.left < view.right && place.right > view.left && place.top < view.bottom && place.bottom > view.top;

/** Say how the row got here: new, or up by so many. */
function mark(row, was, rank) {
  const badge = row.querySelector(".moved");
  const text = was === null ? "" : was === undefined ? "new" : was > rank ? `↑${was - rank}` : "";
  badge.textContent = text;
  row.classList.toggle("fresh", text === "new");
  if (text && !still.matches) {
    badge.animate([{ opacity: 1 }, { opacity: 1, offset: 0.8 }, { opacity: 0 }], 3500);
  }
}

function skeleton() {
  const row = document.createElement("li");
  row.className = "pick skeleton";
  row.setAttribute("aria-hidden", "true");
  return row;
}
