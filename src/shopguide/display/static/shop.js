// The demo shop: what the visitor does goes out, the list that comes back is shown.

import { Connection } from "./connection.js";
import { Cart, Detail, Why } from "./dialogs.js";
import { Guide, ms } from "./guide.js";
import { picture, Shelves } from "./products.js";
import { Rail } from "./rail.js";

const $ = (selector) => document.querySelector(selector);
const line = new Connection();
const guide = new Guide(toast);
const why = new Why();
const still = matchMedia("(prefers-reduced-motion: reduce)");
let change = "";
let railInView = true;
const published = (window.shopguide = { lastLatencyMs: null, seq: null, user: null });

const cart = new Cart({
  remove: (product) => line.send("remove", { item: product.item, value: product.price }, product.title),
  checkout: (products) => {
    for (const product of products) purchase(product);
    toast("Thank you. The guide will not suggest these again.");
  },
});
const detail = new Detail({
  open: openProduct,
  add: addToCart,
  buy: (product) => {
    purchase(product);
    toast(`Bought: ${product.title}`);
  },
  favourite: (product, on) => on && line.send("favourite", { item: product.item }, product.title),
});
const shelves = new Shelves({
  open: openProduct,
  add: addToCart,
  browse: () => detail.close(),
  search: (query) => line.send("search", { query }, `“${query}”`),
});
const rail = new Rail($("#picks"), $("#pick-template"), $("#picks-empty"), {
  open: (item) => {
    line.send("click", { item: item.item }, item.title);
    openProduct(item);
  },
  why: async (item) => why.show(await line.why(item.item).catch(() => null), item),
  dismiss: notThis,
});

function openProduct(item) {
  const product = { ...item, ...shelves.get(item.item) };
  line.send("view", { item: product.item }, product.title);
  detail.show(product);
}

function addToCart(product) {
  cart.add(product);
  line.send("cart", { item: product.item, value: product.price }, product.title);
  toast(`In your cart: ${product.title}`);
}

function purchase(product) {
  line.send("purchase", { item: product.item, value: product.price }, product.title);
}

async function notThis(item) {
  const restore = rail.hide(item);
  if (await line.dismiss(item.item, item.title)) toast(`Gone: ${item.title}`);
  else {
    restore();
    toast("That did not reach the guide. Please try again.");
  }
}

/** Where the list is out of sight, a pill says that it changed, and leads there. */
function peek(items) {
  if (railInView) return;
  const pictures = items.slice(0, 3).map((item) => {
    const image = document.createElement("img");
    image.alt = "";
    picture(image, item);
    return image;
  });
  $("#peek-pictures").replaceChildren(...pictures);
  $("#peek-text").textContent = "New for you";
  $("#peek").hidden = false;
}

new IntersectionObserver(([rail]) => {
  railInView = rail.isIntersecting;
  if (railInView) $("#peek").hidden = true;
}).observe($(".rail"));

$("#peek").addEventListener("click", () => {
  $(".rail").scrollIntoView({ behavior: still.matches ? "auto" : "smooth", block: "start" });
  $("#picks").scrollTo(0, 0);
  $("#picks").focus({ preventScroll: true });
});

function pulse() {
  if (still.matches) return;
  const ring = [{ opacity: 0.7, transform: "none" }, { opacity: 0, transform: "scale(3)" }];
  $("#live .dot").animate(ring, { duration: 700, easing: "ease-out", pseudoElement: "::after" });
}

function toast(text) {
  const note = document.createElement("p");
  note.textContent = text;
  const toasts = $("#toasts");
  toasts.hidePopover();
  toasts.replaceChildren(note);
  toasts.showPopover(); // again, so that it lies above a dialog opened since
  setTimeout(() => note.remove(), 3200);
}

const STATES = { connecting: "Connecting", live: "Live", reconnecting: "Reconnecting" };

line.addEventListener("state", ({ detail: state }) => {
  $("#live").dataset.state = state;
  $("#live-state").textContent = STATES[state];
  $("#banner").hidden = state !== "reconnecting";
  $("#banner").textContent =
    state === "reconnecting" ? "Connection lost, reconnecting. Your list stays, and what you do is kept until then." : "";
});

line.addEventListener("visitor", ({ detail: visitor }) => {
  published.user = visitor.user;
  guide.visitor(visitor);
});

line.addEventListener("event", ({ detail: event }) => {
  guide.note(event);
  if (event.latency === null) return;
  published.lastLatencyMs = event.latency;
  $("#live-more").textContent = `list #${line.held.seq[1]}, ${ms(event.latency)} after your click`;
  $("#rail-note").textContent = `Changed ${ms(event.latency)} after your click`;
  detail.say(`${change}, ${ms(event.latency)} after your click`);
});

line.addEventListener("list", ({ detail: { items, seq, first, cause } }) => {
  const fresh = rail.update(items, first);
  published.seq = seq;
  $("#live-more").textContent = `list #${seq[1]}`;
  if (first) $("#rail-note").textContent = items.some((item) => item.reasons?.[0]?.because) ? "Where you left off" : "Popular now";
  if (!cause) return;
  pulse();
  peek(items);
  change = fresh === 0 ? "Your list has a new order" : `${fresh} new in your list`;
  detail.follow(items);
  $("#announcer").textContent = `${change}. First: ${items[0]?.title ?? "nothing"}.`;
});

$("#new-visitor").addEventListener("click", async () => {
  guide.clear();
  cart.clear();
  detail.close();
  detail.favourites.clear();
  await line.startOver();
  toast("You are somebody new.");
});

line.start();
shelves.load().catch(() => {
  $("#products").replaceChildren();
  $("#found").textContent = "The shelves could not be loaded. Please reload the page.";
});
