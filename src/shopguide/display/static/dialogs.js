// What opens over the shop: a product, the sum behind a suggestion, the cart.

import { facts, money, picture, tile } from "./products.js";
import { sentence, t } from "./words.js";

const $ = (selector) => document.querySelector(selector);
const desktop = matchMedia("(min-width: 1040px)");

/** Close buttons, Escape, a click beside a modal. The browser gives the focus back to where it came from. */
function closable(dialog, close = () => dialog.close()) {
  dialog.addEventListener("click", (event) => {
    const beside = event.target === dialog && dialog.matches(":modal");
    if (beside || event.target.closest("[data-close]")) close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  });
}

/** One product. Beside the list on a wide screen, so that one sees it follow; a sheet on a phone. */
export class Detail {
  product = null;

  /** `on` has open(product), add(product), buy(product), favourite(product, on). */
  constructor(on) {
    this.on = on;
    this.dialog = $("#detail");
    this.favourites = new Set();
    this.covered = document.querySelectorAll(".hero, .shop, .guide");
    closable(this.dialog, () => this.close());
    desktop.addEventListener("change", () => this.close());
    $("#detail-cart").addEventListener("click", () => on.add(this.product));
    $("#detail-buy").addEventListener("click", () => on.buy(this.product));
    $("#detail-favourite").addEventListener("click", () => this.#favour());
  }

  show(product) {
    this.product = product;
    $("#detail-kicker").textContent = [product.brand, product.category].filter(Boolean).join(" · ");
    $("#detail-title").textContent = product.title;
    this.refresh(product);
    $("#detail-effect").textContent = "";
    picture($("#detail-image"), product);
    $("#detail-favourite").setAttribute("aria-pressed", String(this.favourites.has(product.item)));
    if (!this.dialog.open && desktop.matches) this.dialog.show();
    else if (!this.dialog.open) this.dialog.showModal();
    this.#cover(true);
    this.dialog.scrollTop = 0;
    $("#detail-title").focus({ preventScroll: true });
    this.#similar(product);
  }

  /** What the shop now says of it. */
  refresh(product) {
    if (!product || product.item !== this.product.item) return;
    $("#detail-price").textContent = facts(product);
    $("#detail-cart").disabled = $("#detail-buy").disabled = product.stock === 0;
  }

  close() {
    this.#cover(false);
    this.dialog.close();
  }

  #cover(covered) {
    for (const part of this.covered) part.inert = covered;
  }

  /** Say what the guide made of it. */
  say(text) {
    $("#detail-effect").textContent = text;
  }

  /** Show the head of the new list, where the rail is out of sight. */
  follow(items) {
    if (!this.dialog.open || desktop.matches) return;
    $("#now-tiles").replaceChildren(...items.slice(0, 8).map((item) => tile(item, this.on.open)));
  }

  #favour() {
    const { product, favourites } = this;
    const now = !favourites.has(product.item);
    if (now) favourites.add(product.item);
    else favourites.delete(product.item);
    $("#detail-favourite").setAttribute("aria-pressed", String(now));
    this.on.favourite(product, now);
  }

  async #similar(product) {
    const strip = $("#similar-strip");
    const answer = await fetch(`/v1/similar?${new URLSearchParams({ item: product.item, n: 8 })}`).catch(() => null);
    const items = answer?.ok ? (await answer.json()).items : [];
    if (product !== this.product) return;
    strip.hidden = items.length === 0;
    $("#similar-tiles").replaceChildren(...items.map((item) => tile(item, this.on.open)));
  }
}

/** The whole sum behind one suggestion, a bar a part. */
export class Why {
  constructor() {
    this.dialog = $("#why");
    closable(this.dialog);
  }

  show(sum, item) {
    $("#why-title").textContent = item.title;
    $("#why-lead").textContent = sum
      ? t("Everything that speaks for it, as the guide added it up.")
      : t("Your list has moved on, and this is no longer in it.");
    const parts = (sum?.parts ?? []).filter((part) => part.amount).sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
    const largest = Math.max(...parts.map((part) => Math.abs(part.amount)), 1e-12);
    $("#why-parts").replaceChildren(...parts.map((part) => bar(part, largest)));
    $("#why-sum").hidden = !sum;
    $("#why-score").textContent = sum ? sum.score.toFixed(3) : "";
    this.dialog.showModal();
  }
}

function bar(part, largest) {
  const row = document.createElement("li");
  const text = document.createElement("span");
  const amount = document.createElement("span");
  const track = document.createElement("span");
  const fill = document.createElement("span");
  row.dataset.testid = "why-part";
  text.className = "bar-text";
  text.textContent = sentence(part.text);
  amount.className = "bar-amount";
  amount.textContent = `${part.amount < 0 ? "−" : "+"}${Math.abs(part.amount).toFixed(3)}`;
  track.className = "bar-track";
  fill.className = part.amount < 0 ? "bar-fill minus" : "bar-fill";
  fill.style.width = `${(100 * Math.abs(part.amount)) / largest}%`;
  track.append(fill);
  row.append(text, amount, track);
  return row;
}

/** What the visitor means to buy. */
export class Cart {
  products = [];

  /** `on` has remove(product) and checkout(products). */
  constructor(on) {
    this.on = on;
    this.dialog = $("#cart");
    closable(this.dialog);
    $("#cart-open").addEventListener("click", () => this.dialog.showModal());
    $("#checkout").addEventListener("click", () => this.#checkout());
    this.#draw();
  }

  add(product) {
    this.products.push(product);
    this.#draw();
    const scale = [{ transform: "scale(1)" }, { transform: "scale(1.35)" }, { transform: "scale(1)" }];
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) $("#cart-count").animate(scale, 260);
  }

  clear() {
    this.products = [];
    this.#draw();
  }

  #checkout() {
    const bought = this.products;
    this.clear();
    this.dialog.close();
    this.on.checkout(bought);
  }

  #remove(index) {
    const [product] = this.products.splice(index, 1);
    this.#draw();
    (this.dialog.querySelector(".cart-rows button") ?? this.dialog.querySelector("[data-close]")).focus();
    this.on.remove(product);
  }

  #draw() {
    const count = this.products.length;
    $("#cart-count").textContent = count;
    $("#cart-open").setAttribute("aria-label", t("Cart, {}", count));
    $("#cart-empty").hidden = count > 0;
    $("#cart-sum").hidden = $("#checkout").hidden = count === 0;
    $("#cart-total").textContent = money(this.products.reduce((sum, product) => sum + product.price, 0));
    $("#cart-rows").replaceChildren(...this.products.map((product, index) => this.#row(product, index)));
  }

  #row(product, index) {
    const row = document.createElement("li");
    const image = document.createElement("img");
    const title = document.createElement("span");
    const price = document.createElement("span");
    const remove = document.createElement("button");
    image.alt = "";
    picture(image, product);
    title.textContent = product.title;
    price.className = "soft";
    price.textContent = money(product.price);
    remove.type = "button";
    remove.className = "link";
    remove.textContent = t("Remove");
    remove.setAttribute("aria-label", t("Remove {}", product.title));
    remove.addEventListener("click", () => this.#remove(index));
    row.append(image, title, price, remove);
    return row;
  }
}
