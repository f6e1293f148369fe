// The demo shop: what the visitor does goes out, the list that comes back is shown.

import { Connection } from "./connection.js";
import { Cart, Detail, Why } from "./dialogs.js";
import { Guide, ms } from "./guide.js";
import { picture, Shelves } from "./products.js";
import { Rail } from "./rail.js";
import { lang, t, translate } from "./words.js";

translate();
document.documentElement.lang = lang === "zh" ? "zh-Hans" : "en";
document.title = t(document.title);

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
    toast(t("Thank you. The guide will not suggest these again."));
  },
});
const detail = new Detail({
  open: openProduct,
  add: addToCart,
  buy: (product) => {
    purchase(product);
    toast(t("Bought: {}", product.title));
  },
  favourite: (product, on) => on && line.send("favourite", { item: product.item }, product.title),
});
const shelves = new Shelves({
  open: openProduct,
  add: addToCart,
  browse: () => detail.close(),
  search: (query) => line.send("search", { query }, `“${query}”`),
  refresh: () => {
    detail.refresh(shelves.get(detail.product?.item));
    rail.refresh();
  },
});
const rail = new Rail($("#picks"), $("#pick-template"), $("#picks-empty"), {
  open: (item) => {
    line.send("click", { item: item.item }, item.title);
    openProduct(item);
  },
  why: async (item) => why.show(await line.why(item.item).catch(() => null), item),
  dismiss: notThis,
  saw: (item) => line.saw(item.item),
  known: (item) => ({ ...shelves.get(item.item), ...item }),
});

function openProduct(item) {
  const product = { ...item, ...shelves.get(item.item) };
  line.send("view", { item: product.item }, product.title);
  detail.show(product);
}

function addToCart(product) {
  cart.add(product);
  line.send("cart", { item: product.item, value: product.price }, product.title);
  toast(t("In your cart: {}", product.title));
}

function purchase(product) {
  line.send("purchase", { item: product.item, value: product.price }, product.title);
}

async function notThis(item) {
  const restore = rail.hide(item);
  if (await line.dismiss(item.item, item.title)) toast(t("Gone: {}", item.title));
  else {
    restore();
    toast(t("That did not reach the guide. Please try again."));
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
  $("#peek-text").textContent = t("New for you");
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
  $("#live-state").textContent = t(STATES[state]);
  $("#banner").hidden = state !== "reconnecting";
  $("#banner").textContent =
    state === "reconnecting" ? t("Connection lost, reconnecting. Your list stays, and what you do is kept until then.") : "";
});

line.addEventListener("visitor", ({ detail: visitor }) => {
  published.user = visitor.user;
  guide.visitor(visitor);
});

line.addEventListener("event", ({ detail: event }) => {
  guide.note(event);
  if (event.latency === null) return;
  published.lastLatencyMs = event.latency;
  $("#live-more").textContent = t("list #{}, {} after your click", line.held.seq[1], ms(event.latency));
  $("#rail-note").textContent = t("Changed {} after your click", ms(event.latency));
  detail.say(t("{}, {} after your click", change, ms(event.latency)));
});

line.addEventListener("list", ({ detail: { items, seq, first, cause } }) => {
  const fresh = rail.update(items, first);
  published.seq = seq;
  $("#live-more").textContent = t("list #{}", seq[1]);
  if (first) $("#rail-note").textContent = items.some((item) => item.reasons?.[0]?.because) ? t("Where you left off") : t("Popular now");
  if (!cause) return;
  pulse();
  peek(items);
  change = fresh === 0 ? t("Your list has a new order") : t("{} new in your list", fresh);
  detail.follow(items);
  $("#announcer").textContent = t("{}. First: {}.", change, items[0]?.title ?? "–");
});

$("#new-visitor").addEventListener("click", async () => {
  guide.clear();
  cart.clear();
  detail.close();
  detail.favourites.clear();
  rail.forget();
  await line.startOver();
  toast(t("You are somebody new."));
});

const other = lang === "zh" ? "en" : "zh";
Object.assign($("#language"), { textContent: { en: "English", zh: "中文" }[other], lang: other, hreflang: other, href: `?lang=${other}` });

line.start();
shelves.load().catch(() => {
  $("#products").replaceChildren();
  $("#found").textContent = t("The shelves could not be loaded. Please reload the page.");
});
