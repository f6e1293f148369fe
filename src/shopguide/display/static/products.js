// The shop's shelves: catalogue, search, categories, and how a product looks wherever it appears.

import { lang, scene, t } from "./words.js";

const PAGE = 24;
const PATIENCE = 3000; // ms between looks at what has changed in the shop
const euros = new Intl.NumberFormat(lang, { style: "currency", currency: "EUR" });
const ago = new Intl.RelativeTimeFormat(lang, { style: "short" });
const ORDER = {
  shop: () => 0,
  news: (a, b) => b.since - a.since,
  live: (a, b) => b.stock - a.stock || b.viewers - a.viewers,
};

export const money = (price) => (price > 0 ? euros.format(price) : "");

function age(since) {
  const minutes = (Date.now() / 1000 - since) / 60;
  if (minutes < 1) return t("just now");
  return minutes < 60 ? ago.format(-Math.floor(minutes), "minute") : ago.format(-Math.floor(minutes / 60), "hour");
}

/** What counts of a product: its price, its age, who is watching; and whether it can be had. */
export function facts({ price, since, viewers, stock }) {
  if (stock === 0) return t("Sold out");
  if (scene === "news") return since ? age(since) : "";
  if (scene === "live") return viewers === undefined ? "" : t("On air, {} watching", viewers);
  return money(price);
}

/** Set a product's picture; decorative, since its title always stands beside it. */
export function picture(image, product) {
  const source = product.image || "/static/icon.svg";
  if (image.getAttribute("src") !== source) image.src = source;
}

/** A small tile: picture, title, price. */
export function tile(product, open) {
  const row = document.createElement("li");
  const button = document.createElement("button");
  const image = document.createElement("img");
  const title = document.createElement("span");
  const price = document.createElement("span");
  button.type = "button";
  button.className = "tile";
  image.alt = "";
  picture(image, product);
  title.className = "tile-title";
  title.textContent = product.title;
  price.className = "tile-price";
  price.textContent = facts(product);
  button.append(image, title, price);
  button.addEventListener("click", () => open(product));
  row.append(button);
  return row;
}

export class Shelves {
  products = [];
  #byItem = new Map();
  #category = "";
  #query = "";
  #limit = PAGE;
  #unseen = 0; // came or went since the shelves were drawn

  /** `on` has open(product), add(product), browse() when the visitor turns to the shelves, search(query), and
   * refresh() when the shop has changed. */
  constructor(on) {
    this.on = on;
    this.grid = document.querySelector("#products");
    this.template = document.querySelector("#card-template");
    this.more = document.querySelector("#more");
    this.input = document.querySelector("#search");
    this.grid.append(...Array.from({ length: 9 }, skeleton));
    this.more.addEventListener("click", () => this.#showMore());
    this.fresh = document.querySelector("#fresh");
    this.fresh.addEventListener("click", () => this.#draw());
    document.querySelector("#search-clear").addEventListener("click", () => this.#clear());
    this.#listen();
  }

  async load() {
    await this.#fetch();
    this.#chips();
    this.#draw();
    setInterval(() => document.hidden || this.#refresh(), PATIENCE);
  }

  async #fetch() {
    const answer = await fetch("/v1/products");
    if (!answer.ok) throw new Error(`no products: ${answer.status}`);
    this.products = await answer.json();
    this.#byItem = new Map(this.products.map((product) => [product.item, product]));
    this.input.placeholder = t("Search {} products", this.products.length);
  }

  /** What stands on the page says what is now; what came or went waits for a click, so that nothing jumps. */
  async #refresh() {
    const before = this.#byItem;
    if (await this.#fetch().catch(() => true)) return;
    for (const card of this.grid.children) this.#say(card, this.#byItem.get(card.dataset.item));
    const changed = (product) => !before.has(product.item) || (scene === "live" && before.get(product.item).stock !== product.stock);
    this.#unseen += this.products.filter(changed).length;
    this.fresh.hidden = this.#unseen === 0 || scene === "shop";
    this.fresh.textContent = t("{} new products", this.#unseen);
    this.on.refresh();
  }

  get(item) {
    return this.#byItem.get(item);
  }

  /** The grid follows each key; the guide hears of a query once the typing rests. */
  #listen() {
    let rest = 0;
    let told = "";
    const tell = () => {
      clearTimeout(rest);
      const query = this.input.value.trim();
      if (query.length > 1 && query !== told) this.on.search(query);
      told = query;
    };
    this.input.addEventListener("input", () => {
      this.on.browse();
      this.#query = this.input.value.trim().toLowerCase();
      this.#limit = PAGE;
      this.#draw();
      clearTimeout(rest);
      rest = setTimeout(tell, 700);
    });
    this.input.form.addEventListener("submit", (event) => {
      event.preventDefault();
      tell();
    });
  }

  #chips() {
    const counts = new Map();
    for (const { category } of this.products) if (category) counts.set(category, (counts.get(category) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a.localeCompare(b));
    const chips = ["", ...names].map((name) => {
      const chip = document.createElement("button");
      chip.type = "button";
      chip.className = "chip";
      chip.dataset.testid = "chip";
      chip.dataset.category = name;
      chip.textContent = t(name || "All");
      chip.setAttribute("aria-pressed", String(name === this.#category));
      chip.addEventListener("click", () => this.#choose(name));
      return chip;
    });
    document.querySelector("#chips").replaceChildren(...chips);
  }

  #choose(category) {
    this.#category = category;
    this.#limit = PAGE;
    for (const chip of document.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.category === category));
    }
    this.#draw();
  }

  #clear() {
    this.input.value = this.#query = "";
    this.#choose("");
    this.input.focus();
  }

  #showMore() {
    const next = this.#limit;
    this.#limit += PAGE;
    this.#draw();
    this.grid.children[next]?.querySelector("button").focus({ preventScroll: true });
  }

  #matching() {
    const words = this.#query.split(/\s+/).filter(Boolean);
    const found = this.products.filter((product) => {
      const text = `${product.title} ${product.category} ${product.brand}`.toLowerCase();
      return (!this.#category || product.category === this.#category) && words.every((word) => text.includes(word));
    });
    return found.sort(ORDER[scene]);
  }

  #draw() {
    const matching = this.#matching();
    this.#unseen = 0;
    this.fresh.hidden = true;
    this.grid.replaceChildren(...matching.slice(0, this.#limit).map((product) => this.#card(product)));
    this.grid.setAttribute("aria-busy", "false");
    this.more.hidden = matching.length <= this.#limit;
    document.querySelector("#products-empty").hidden = matching.length > 0;
    document.querySelector("#found").textContent =
      this.#query || this.#category ? t("{} of {} products", matching.length, this.products.length) : "";
  }

  #card(product) {
    const row = this.template.content.firstElementChild.cloneNode(true);
    const [open, add] = row.querySelectorAll("button");
    row.dataset.item = product.item;
    picture(row.querySelector("img"), product);
    row.querySelector(".kicker").textContent = product.brand || product.category;
    row.querySelector(".card-title").textContent = product.title;
    this.#say(row, product);
    add.setAttribute("aria-label", t("Add {} to the cart", product.title));
    open.addEventListener("click", () => this.on.open(product));
    add.addEventListener("click", () => this.on.add(product));
    return row;
  }

  #say(card, product) {
    if (!product) return;
    card.classList.toggle("gone", product.stock === 0);
    card.querySelector(".price").textContent = facts(product);
    card.querySelector(".add").disabled = product.stock === 0;
  }
}

function skeleton() {
  const row = document.createElement("li");
  row.className = "card skeleton";
  row.setAttribute("aria-hidden", "true");
  return row;
}
