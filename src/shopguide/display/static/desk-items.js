/** The field that finds an item: an ARIA combobox over the products of the shop. */

import { ask } from "/static/desk-api.js";

const PAUSE = 120; // ms after the last key until it asks

export class Items {
  constructor(input, list) {
    Object.assign(this, { input, list, chosen: null, at: -1, asked: 0, timer: 0 });
    input.addEventListener("input", () => this.#later());
    input.addEventListener("focus", () => this.#later());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
    list.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const option = event.target.closest("[role=option]");
      if (option) this.#choose(option);
    });
  }

  /** The id chosen, or what was typed. */
  get value() {
    return this.chosen?.label === this.input.value ? this.chosen.item : this.input.value.trim();
  }

  clear() {
    this.chosen = null;
    this.input.value = "";
    this.#close();
  }

  #later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#search(), PAUSE);
  }

  async #search() {
    const number = ++this.asked;
    const text = this.chosen?.label === this.input.value ? "" : this.input.value;
    const found = await ask(`desk/products?q=${encodeURIComponent(text)}`).catch(() => ({ items: [] }));
    if (number !== this.asked || document.activeElement !== this.input) return;
    const shown = [...this.list.children].map((option) => option.dataset.item);
    const same = !this.list.hidden && shown.join("\n") === found.items.map((product) => product.item).join("\n");
    if (same) return; // what is marked stays marked
    this.at = -1;
    this.list.replaceChildren(...found.items.map((product, at) => this.#option(product, at)));
    this.list.hidden = found.items.length === 0;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.input.removeAttribute("aria-activedescendant");
  }

  #option(product, at) {
    const option = document.createElement("li");
    const [title, more] = [document.createElement("b"), document.createElement("span")];
    title.textContent = product.title ?? product.item;
    more.textContent = [product.item, product.category].filter(Boolean).join(" · ");
    option.append(title, more);
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", "false");
    option.id = `found-${at}`;
    option.dataset.item = product.item;
    option.dataset.label = `${product.title ?? product.item} (${product.item})`;
    return option;
  }

  #key(event) {
    const options = [...this.list.children];
    if (event.key === "Escape") return this.#close();
    if (event.key === "Enter" && this.at >= 0 && !this.list.hidden) {
      event.preventDefault();
      return this.#choose(options[this.at]);
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || this.list.hidden) return undefined;
    event.preventDefault();
    this.at = (this.at + step + options.length + (this.at < 0 && step < 0)) % options.length;
    options.forEach((option, at) => option.setAttribute("aria-selected", String(at === this.at)));
    options[this.at].scrollIntoView({ block: "nearest" });
    return this.input.setAttribute("aria-activedescendant", options[this.at].id);
  }

  #choose(option) {
    this.chosen = { item: option.dataset.item, label: option.dataset.label };
    this.input.value = option.dataset.label;
    this.#close();
  }

  #close() {
    clearTimeout(this.timer);
    this.asked += 1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}
