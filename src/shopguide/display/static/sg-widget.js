// <shop-guide>: the visitor's own list on a shop's page, new after everything they do; docs/protocol.md has it. sg.js fetches
// this file where a page has the tag. Who the visitor is, their consent and all that is sent are its business.

const PATIENCE = 5000; // ms without a list until one is asked for
const LONGEST_PAUSE = 30_000;
const QUIET = 10_000; // ms between two announcements
const REST = 1500; // ms without a change before one
const EASE = "cubic-bezier(.2, .8, .2, 1)";
const still = matchMedia("(prefers-reduced-motion: reduce)");

const ENGLISH = {
  lang: "en",
  heading: "For you",
  empty: "Nothing to suggest yet.",
  why: "Why?",
  added: "Everything that speaks for it, as the guide added it up.",
  movedOn: "Your list has moved on, and this is no longer in it.",
  sum: "Score, the sum of these",
  like: "Like",
  notThis: "Not this",
  close: "Close",
  forget: "Forget me",
  forgetLead: "All that is held of you here goes: what you looked at, liked, put aside and bought. It cannot be undone.",
  keep: "Keep it",
  forgotten: "You are forgotten",
  receipt: "Receipt",
  nothing: "Nothing was held of you.",
  anew: "Begin anew",
  kinds: {
    view: "looked at", search: "searched", cart: "into the cart", favourite: "liked", purchase: "bought",
    remove: "taken back", impression: "shown", click: "followed", dismiss: "not this",
  },
  of: (label, title) => `${label}: ${title}`,
  changed: (count, first) => `${count} new suggestion${count > 1 ? "s" : ""}. First: ${first}.`,
  reason: (text) => text.charAt(0).toUpperCase() + text.slice(1),
};
const wordsOf = async (lang) => (/^zh\b/i.test(lang) ? (await import("./sg-zh.js")).CHINESE : ENGLISH);

/** What a message makes of the list held: {seq, items}; null where it does not fit and a snapshot is due. */
function apply(held, { type, seq, items, base, order, put }) {
  const known = held && held.seq[0] === seq[0];
  if (known && seq[1] <= held.seq[1]) return held;
  if (type === "snapshot") return { seq, items };
  if (!known || base !== held.seq[1]) return null;
  const old = new Map(held.items.map((item) => [item.item, item]));
  const next = order.map((id) => put[id] ?? old.get(id));
  return next.includes(undefined) ? null : { seq, items: next };
}

const rank = ([epoch, n]) => epoch * 2 ** 22 + n; // of a seq
const answers = new Set(); // ranks of lists asked for here: no news
let asking = Promise.resolve(); // one question at a time, the others' answers known
let acted = 0; // when the visitor did something here
for (const act of ["click", "keydown"]) addEventListener(act, () => (acted = Date.now()), true);

/**
 * The visitor's lists: pushed, or asked for where nothing comes. They are pushed for the place of the last question; another
 * one's list says that something has happened, and ours is asked for.
 */
class Lists {
  #held = null;
  #newest = 0; // rank of what is shown
  #stands; // the place of the list held
  #begins; // the stream, with wherever lists have stood
  #heard = 0; // rank of the last of another place
  #due = 0;
  #asked = 0;
  #pause = 500; // ms between questions: another window may ask in turn
  #token = null;
  #source = null;
  #timer = 0;
  #beat = 0; // seconds between the stream's heartbeats
  #silence = 0;
  #failures = 0;
  #turn = 0; // grows when what is under way is not wanted any more

  constructor(place, show) {
    this.place = place;
    this.show = show;
  }

  /** `refused`: a token that opens nothing any more. */
  async open(refused) {
    this.close();
    if (document.hidden) return;
    const turn = this.#turn;
    const token = await sg.token(refused).catch(() => undefined);
    if (turn !== this.#turn || token === null) return;
    if (token === undefined) return this.#later(() => this.open(refused));
    if (token !== this.#token) [this.#token, this.#held] = [token, null];
    const source = (this.#source = new EventSource(this.#at("stream", { slot: this.place, ...sg.context })));
    source.addEventListener("open", () => (this.#begins = true));
    source.addEventListener("heartbeat", ({ data }) => this.#expect(Number(data)));
    source.addEventListener("list", ({ data }) => {
      this.#expect(this.#beat);
      const message = JSON.parse(data);
      if (message.slot === this.place) {
        clearTimeout(this.#timer);
        this.#failures = 0;
      } else if (!this.#begins || message.type !== "snapshot") this.#follow(message.seq);
      this.#begins = false;
      this.#take(message);
    });
    source.addEventListener("error", () => source.readyState === EventSource.CLOSED && this.#pull());
    this.#timer = setTimeout(() => this.#pull(), PATIENCE);
  }

  close() {
    this.#turn++;
    clearTimeout(this.#timer);
    clearTimeout(this.#silence);
    clearTimeout(this.#due);
    this.#source?.close();
  }

  /** A stream that says nothing any more has ended unheard: the machine slept, a network between forgot it. */
  #expect(beat) {
    this.#beat = beat;
    clearTimeout(this.#silence);
    if (beat) this.#silence = setTimeout(() => this.open(), 3000 * beat);
  }

  /** The whole sum behind one suggestion; null where it is not in the newest list, which may be of another place. */
  async why(item) {
    for (const again of [this.#stands !== this.place, false]) {
      const answer = await fetch(this.#at("why", { item })).catch(() => null);
      if (answer?.ok) return answer.json();
      if (!again) return null;
      await this.#question(true);
    }
  }

  #follow(seq) {
    clearTimeout(this.#due);
    this.#heard = rank(seq);
    const wait = acted > this.#asked ? 0 : this.#asked + this.#pause - Date.now();
    this.#due = setTimeout(() => this.#question(), wait);
  }

  #question(needed) {
    const turn = this.#turn;
    const act = async () => {
      let news = this.#heard;
      while (answers.has(news)) news--; // one of ours may have been jumped over
      if (turn !== this.#turn || !(needed || news > this.#newest)) return;
      this.#pause = acted > this.#asked ? 1000 : Math.min(LONGEST_PAUSE, 2 * this.#pause);
      this.#asked = Date.now();
      const { message } = await this.#ask();
      if (!message) return;
      answers.add(rank(message.seq));
      if (turn === this.#turn) this.#take(message);
    };
    return (asking = asking.then(act, act));
  }

  async #ask() {
    const waits = { signal: AbortSignal.timeout?.(LONGEST_PAUSE) };
    const answer = await fetch(this.#at("recommend", { slot: this.place, ...sg.context }), waits).catch(() => null);
    return { status: answer?.status, message: answer?.ok && (await answer.json().catch(() => null)) };
  }

  #at(path, asked) {
    return `${sg.collector}v1/${path}?${new URLSearchParams({ token: this.#token, ...asked })}`;
  }

  /** Ask for the list: the answer also says whether the token is at fault. Then try the stream again, if it has ended. */
  async #pull() {
    clearTimeout(this.#timer);
    const turn = this.#turn;
    const { status, message } = await this.#ask();
    if (turn !== this.#turn) return;
    if (message) this.#take(message);
    if (turn !== this.#turn) return;
    const refused = status === 401 ? this.#token : undefined;
    const ended = refused || this.#source.readyState === EventSource.CLOSED;
    this.#later(() => (ended ? this.open(refused) : this.#pull()));
  }

  #later(act) {
    const pause = Math.min(LONGEST_PAUSE, 500 * 2 ** this.#failures++);
    this.#timer = setTimeout(act, pause * (1 + Math.random() / 2));
  }

  #take(message) {
    const next = apply(this.#held, message);
    if (next && next === this.#held) return;
    this.#held = next;
    if (!next) return this.open(); // a stream begins with a snapshot
    this.#stands = message.slot;
    if (message.slot !== this.place) return;
    this.#newest = rank(next.seq);
    this.show(next.items, next.seq.join("-"));
  }
}

/** An element with attributes and children; texts stay texts. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const button = (part, content, onclick) => make("button", { type: "button", part, onclick }, content);

function icon(path) {
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}
const HEART = "M12 20s-7-4.4-7-9.6A4 4 0 0 1 12 8a4 4 0 0 1 7 2.4C19 15.6 12 20 12 20Z";
const CROSS = "M6 6l12 12M18 6 6 18";

class ShopGuide extends HTMLElement {
  static observedAttributes = ["place", "n", "lang", "heading", "url", "currency"];
  #root = this.attachShadow({ mode: "open" });
  #rows = new Map(); // of item ids, in order
  #newest = [];
  #list = "";
  #away = new Set(); // "not this", until the guide agrees
  #liked = new Set();
  #said = 0;
  #told = new Set(); // what stood in the list then
  #saying = 0;
  #user;
  #words = ENGLISH;
  #lists = null;
  #receipt;
  #asked = false; // for the receipt, here: the focus goes to it
  #ending = null;

  connectedCallback() {
    this.#root.adoptedStyleSheets = [SHEET];
    this.#ending = new AbortController();
    const { signal } = this.#ending;
    addEventListener("sg:visitor", ({ detail }) => this.#meet(detail), { signal });
    addEventListener("pagehide", () => this.#lists?.close(), { signal });
    addEventListener("pageshow", ({ persisted }) => persisted && this.#meet({}), { signal });
    const open = () => this.#receipt === undefined && this.#lists?.open();
    addEventListener("online", open, { signal });
    document.addEventListener("visibilitychange", open, { signal });
    this.#begin();
  }

  disconnectedCallback() {
    this.#ending.abort();
    clearTimeout(this.#saying);
    this.#lists?.close();
    this.#lists = null;
  }

  attributeChangedCallback() {
    if (this.#lists) this.#begin();
  }

  async #begin() {
    this.#lists?.close();
    const lists = (this.#lists = new Lists(this.getAttribute("place") ?? "home", (items, list) => this.#show(items, list)));
    const lang = this.getAttribute("lang") ?? this.parentElement?.closest("[lang]")?.lang ?? "";
    this.#words = await wordsOf(lang).catch(() => ENGLISH);
    if (lists !== this.#lists) return;
    this.#draw();
    if (this.#newest.length) this.#show(this.#newest, this.#list);
    this.#meet({});
  }

  #draw() {
    const words = this.#words;
    this.#rows.clear();
    this.list = make("ol", { part: "list", "aria-busy": "true", tabindex: "-1" });
    this.list.addEventListener("mouseleave", () => this.#settle());
    this.list.addEventListener("focusout", ({ relatedTarget }) => this.list.contains(relatedTarget) || setTimeout(() => this.#settle()));
    for (let n = this.#n(); n; n--) this.list.append(make("li", { class: "awaited", "aria-hidden": "true" }));
    this.empty = make("p", { part: "empty", class: "soft", hidden: "" }, words.empty);
    this.body = make("div", {}, this.list, this.empty, button("forget", words.forget, () => this.#askToForget()));
    this.status = make("p", { class: "unseen", role: "status" });
    this.dialog = make("dialog", { part: "dialog", "aria-labelledby": "title" });
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close());
    const said = this.getAttribute("heading");
    const heading = make("h2", { id: "heading", part: "heading", hidden: said === "" ? "" : null }, said || words.heading);
    this.section = make("section", { lang: words.lang, "aria-labelledby": "heading" }, heading, this.body, this.status, this.dialog);
    this.#root.replaceChildren(this.section);
  }

  /** Who sits here may have changed. `receipt`: they were forgotten; null: and nothing was held of them. */
  #meet({ receipt, forgetting, joining }) {
    const user = sg.visitor?.user;
    if (receipt !== undefined) this.#receipt = receipt;
    if (!this.section) return; // its words are on their way
    if (this.#user && user !== this.#user) {
      [this.#newest, this.#list] = [[], ""];
      this.#liked.clear();
      this.#away.clear();
      this.#draw();
    }
    this.#user = user;
    if (forgetting || joining) return this.#lists.close();
    this.section.hidden = !sg.consented && this.#receipt === undefined;
    const box = this.body.querySelector("[part=receipt]");
    if (this.#receipt === undefined) this.#lists.open();
    else if (receipt !== undefined || !box) this.#showReceipt();
    else if (sg.consented && !box.querySelector("[part=anew]")) this.#anew(); // a no that is a yes again
  }

  #n() {
    return Math.max(1, Math.min(100, Number.parseInt(this.getAttribute("n")) || 6));
  }

  // --- the list

  #show(items, list) {
    const wanted = new Set(items.map(({ item }) => item));
    for (const id of this.#away) if (!wanted.has(id)) this.#away.delete(id);
    const first = !this.#rows.size;
    [this.#newest, this.#list] = [items, list];
    this.#settle();
    clearTimeout(this.#saying);
    if (first) this.#told = new Set(this.#rows.keys());
    else this.#saying = setTimeout(() => this.#say(), Math.max(REST, this.#said + QUIET - Date.now()));
    this.dispatchEvent(new CustomEvent("sg-list", { bubbles: true, composed: true, detail: { items, list } }));
  }

  /** What stands in the list by now and did not when it was last said; a new order is not worth a word. */
  #say() {
    const fresh = [...this.#rows.keys()].filter((item) => !this.#told.has(item)).length;
    if (!fresh) return;
    [this.#said, this.#told] = [Date.now(), new Set(this.#rows.keys())];
    const [first] = this.#rows.values();
    this.status.textContent = this.#words.changed(fresh, first.item.title);
  }

  /** Bring the rows in line with the newest list. One that is pointed at or has the focus stays where it is. */
  #settle() {
    const items = this.#newest.filter(({ item }) => !this.#away.has(item)).slice(0, this.#n());
    const order = [...this.#rows.keys()];
    const pointed = matchMedia("(hover: hover)").matches ? "li:hover, :focus-within" : ":focus-within";
    for (const held of order.filter((id) => this.#rows.get(id).matches(pointed) && !this.#away.has(id))) {
      const at = items.findIndex(({ item }) => item === held);
      const [kept] = at < 0 ? [this.#rows.get(held).item] : items.splice(at, 1);
      items.splice(order.indexOf(held), 0, kept);
    }
    this.#place(items.slice(0, this.#n()));
  }

  /** All places are read before anything is written: one layout for the old list, one for the new. */
  #place(items) {
    const places = new Map([...this.#rows].map(([id, row]) => [id, row.getBoundingClientRect()]));
    const { scrollLeft } = this.list;
    const rows = new Map(items.map((item) => [item.item, this.#rows.get(item.item) ?? this.#row(item)]));
    const focus = this.#root.activeElement;
    for (const item of items) this.#fill(rows.get(item.item), item);
    for (const child of [...this.list.children]) if (rows.get(child.item?.item) !== child) child.remove();
    let next = this.list.firstChild;
    for (const row of rows.values()) {
      if (row.contains(focus)) while (next !== row) next = behind(next); // a row that is moved loses the focus
      if (row === next) next = next.nextSibling;
      else this.list.insertBefore(row, next);
    }
    this.#rows = rows;
    this.list.classList.toggle("plain", !items.some(({ image }) => image));
    this.list.setAttribute("aria-busy", "false");
    this.empty.hidden = items.length > 0;
    this.list.scrollLeft = scrollLeft; // else it would follow what stood first
    if (!still.matches) for (const [id, row] of rows) move(row, places.get(id));
  }

  #row(item) {
    const words = this.#words;
    const row = make(
      "li",
      { part: "item" },
      make(
        "a",
        { part: "link", onclick: (event) => this.#open(event, row.item), onkeydown: follow },
        make("span", { part: "frame" }, make("img", { part: "image", alt: "", loading: "lazy", onerror: hide })),
        make("span", { part: "title" }),
        make("span", { part: "price" }),
        make("span", { part: "reason" }),
      ),
      make(
        "div",
        { part: "actions" },
        button("why", words.why, () => this.#why(row.item)),
        button("like", icon(HEART), () => this.#like(row)),
        button("not-this", icon(CROSS), () => this.#notThis(row)),
      ),
    );
    row.item = item;
    return row;
  }

  #fill(row, item) {
    const words = this.#words;
    const [link] = row.children;
    const [frame, title, price, reason] = link.children;
    const [why, like, notThis] = row.lastChild.children;
    const image = frame.firstChild;
    row.item = item;
    const href = this.getAttribute("url")?.replaceAll("{item}", encodeURIComponent(item.item)) ?? item.url;
    if (href && !/^\s*(javascript|data|vbscript):/i.test(href)) link.href = href;
    else for (const [name, value] of [["role", "link"], ["tabindex", "0"]]) link.setAttribute(name, value);
    link.dataset.sgList = item.explored ? `${this.#list}+new` : this.#list;
    if (link.dataset.sgItem !== item.item) {
      link.dataset.sgItem = item.item;
      sg.watch(link);
    }
    if (!item.image) image.hidden = true;
    else if (image.getAttribute("src") !== item.image) [image.src, image.hidden] = [item.image, false];
    title.textContent = item.title;
    price.textContent = this.#money(item.price);
    reason.textContent = words.reason(item.reasons[0]?.text ?? "");
    why.setAttribute("aria-label", words.of(words.why, item.title));
    like.setAttribute("aria-label", words.of(words.like, item.title));
    like.setAttribute("aria-pressed", String(this.#liked.has(item.item)));
    notThis.setAttribute("aria-label", words.of(words.notThis, item.title));
    like.title = words.like;
    notThis.title = words.notThis;
  }

  #money(price) {
    if (!(price > 0)) return "";
    const currency = /^[a-z]{3}$/i.exec(this.getAttribute("currency"))?.[0];
    const form = currency ? { style: "currency", currency } : { minimumFractionDigits: 2, maximumFractionDigits: 2 };
    return new Intl.NumberFormat(this.#words.lang, form).format(price);
  }

  // --- what the visitor can do

  /**
   * A page that shows products without being loaded anew listens to sg-open and prevents the default. What is to be opened
   * beside it, in another tab say, is the browser's business.
   */
  #open(event, item) {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const asked = new CustomEvent("sg-open", { bubbles: true, composed: true, cancelable: true, detail: item });
    if (!this.dispatchEvent(asked)) event.preventDefault();
  }

  #like(row) {
    const { item } = row.item;
    if (!this.#liked.has(item)) sg.favourite({ item, list: this.#list });
    this.#liked.add(item);
    this.#fill(row, row.item);
  }

  #notThis(row) {
    const after = row.nextElementSibling ?? row.previousElementSibling;
    this.#away.add(row.item.item);
    sg.dismiss({ item: row.item.item, list: this.#list });
    (after?.querySelector("[part=not-this]") ?? this.list).focus({ preventScroll: true });
    this.#settle();
  }

  async #why(item) {
    const words = this.#words;
    const sum = await this.#lists.why(item.item);
    const parts = (sum?.parts ?? []).filter((part) => part.amount).sort((a, b) => Math.abs(b.amount) - Math.abs(a.amount));
    const most = Math.abs(parts[0]?.amount ?? 1);
    this.#ask(
      item.title,
      make("p", { class: "soft" }, sum ? words.added : words.movedOn),
      make("ol", { part: "parts" }, ...parts.map((part) => bar(words.reason(part.text), part.amount, most))),
      ...(sum ? [make("p", { part: "sum" }, words.sum, make("b", {}, sum.score.toFixed(3)))] : []),
    );
  }

  #askToForget() {
    const words = this.#words;
    const forget = () => {
      this.dialog.close();
      this.#asked = true;
      sg.forgetMe();
    };
    this.#ask(
      words.forget,
      make("p", {}, words.forgetLead),
      make("div", { class: "answers" }, button("confirm", words.forget, forget), button("cancel", words.keep, () => this.dialog.close())),
    );
  }

  #ask(title, ...content) {
    const close = button("close", icon(CROSS), () => this.dialog.close());
    close.setAttribute("aria-label", this.#words.close);
    this.dialog.replaceChildren(close, make("h3", { id: "title" }, title), ...content);
    this.dialog.showModal();
  }

  #showReceipt() {
    const words = this.#words;
    const receipt = this.#receipt;
    this.#lists.close();
    const kinds = Object.entries(receipt?.kinds ?? {}).filter(([kind]) => words.kinds[kind]);
    const whole = make("pre", { tabindex: "0" }, JSON.stringify(receipt, null, 1));
    const box = make(
      "div",
      { part: "receipt", tabindex: "-1", role: "status" },
      make("b", {}, words.forgotten),
      make("p", { class: "soft" }, kinds.map(([kind, n]) => `${words.kinds[kind]} ${n}`).join(" · ") || words.nothing),
      ...(receipt ? [make("details", {}, make("summary", {}, words.receipt), whole)] : []),
      ...(sg.consented ? [button("anew", words.anew, () => this.#anew().focus({ preventScroll: true }))] : []),
    );
    this.body.replaceChildren(box);
    if (this.#asked) box.focus({ preventScroll: true });
    this.#asked = false;
  }

  #anew() {
    this.#receipt = undefined;
    this.#draw();
    this.#lists.open();
    return this.list;
  }
}

const hide = ({ target }) => (target.hidden = true);

/** A link without an address takes Enter, too. */
const follow = ({ key, currentTarget }) => key === "Enter" && !currentTarget.href && currentTarget.click();

/** Put a row behind the others; the one that followed it. */
function behind(row) {
  const next = row.nextSibling;
  row.parentNode.append(row);
  return next;
}

/** Let a row glide from where it was; a new one fades in. */
function move(row, from) {
  const to = row.getBoundingClientRect();
  const timing = { duration: from ? 360 : 280, easing: EASE };
  if (!from) row.animate([{ opacity: 0, transform: "translateY(8px)" }, {}], timing);
  else if (from.left !== to.left || from.top !== to.top) {
    row.animate([{ transform: `translate(${from.left - to.left}px, ${from.top - to.top}px)` }, { transform: "none" }], timing);
  }
}

function bar(text, amount, most) {
  const fill = make("i", amount < 0 ? { class: "minus" } : {});
  fill.style.width = `${(100 * Math.abs(amount)) / most}%`;
  return make("li", {}, make("span", {}, text), make("b", {}, `${amount < 0 ? "−" : "+"}${Math.abs(amount).toFixed(3)}`), fill);
}

const SHEET = new CSSStyleSheet();
SHEET.replaceSync(`
:host { display: block; inline-size: 100%; inline-size: -moz-available; inline-size: -webkit-fill-available; inline-size: stretch; min-inline-size: 0; container-type: inline-size; color: var(--sg-ink, light-dark(#1a1d1a, #ebeee9)); font: var(--sg-font, inherit); line-height: 1.4; }
:host([hidden]), [hidden] { display: none !important; }
:host([scheme=auto]) { color-scheme: light dark; }
:host([scheme=light]) { color-scheme: light; }
:host([scheme=dark]) { color-scheme: dark; }
:host, dialog {
  --soft: var(--sg-soft, light-dark(#5c625b, #a7aea6));
  --card: var(--sg-card, light-dark(#fff, #1d211e));
  --line: var(--sg-line, light-dark(#e0ddd4, #343b36));
  --tint: var(--sg-tint, light-dark(#f0eee8, #2a302c));
  --accent: var(--sg-accent, light-dark(#0e6b52, #5fd0a8));
  --on-accent: var(--sg-on-accent, light-dark(#fff, #06251b));
  --warm: var(--sg-warm, light-dark(#b8481f, #ffa27c));
  --radius: var(--sg-radius, 14px);
  --gap: var(--sg-gap, 12px);
}
*, ::before, ::after { box-sizing: border-box; }
h2, h3, p, ol { margin: 0; padding: 0; }
section { text-align: -webkit-match-parent; text-align: match-parent; }
[part=title], [part=reason], h2, h3, p, button, li > span { unicode-bidi: plaintext; overflow-wrap: anywhere; }
ol { list-style: none; }
h2 { margin-bottom: var(--gap); font-size: 1.25em; line-height: 1.2; }
button, summary { font: inherit; color: inherit; cursor: pointer; touch-action: manipulation; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
[part=list]:focus-visible, [part=receipt]:focus-visible { outline: none; }
svg { display: block; width: 18px; height: 18px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
.soft, [part=reason] { color: var(--soft); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

[part=list] { display: flex; gap: var(--gap); margin: -3px; padding: 3px 3px 8px; overflow-x: auto; overscroll-behavior-x: contain; scroll-padding: 3px; scroll-snap-type: x proximity; scrollbar-width: thin; scrollbar-color: var(--line) transparent; }
[part=list][aria-busy=true] { overflow: hidden; }
[part=list] > li { flex: none; display: flex; flex-direction: column; width: var(--sg-item-width, 184px); height: var(--sg-item-height, calc(188px + 6.25em)); border: 1px solid var(--line); border-radius: var(--radius); background: var(--card); overflow: clip; scroll-snap-align: start; }
.plain > li { height: var(--sg-item-height, calc(84px + 6.25em)); }
.awaited { background: var(--tint); opacity: .6; }
[part=link] { flex: 1; display: grid; grid-template: auto auto 1fr auto / minmax(0, 1fr); min-height: 0; color: inherit; text-decoration: none; border-radius: inherit; }
[part=link]:focus-visible { outline-offset: -3px; }
[part=link] > span { margin: 0 12px; }
[part=link] > [part=frame] { height: 128px; margin: 0 0 10px; background: var(--tint); overflow: hidden; }
.plain [part=frame] { display: none; }
.plain [part=link] { padding-top: 12px; }
[part=image] { display: block; width: 100%; height: 100%; object-fit: cover; }
[part=title], [part=reason] { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden; align-self: start; }
[part=title] { font-weight: 600; line-height: 1.3; }
[part=link][href]:hover [part=title] { text-decoration: underline; text-underline-offset: 3px; }
[part=reason] { grid-row: 3; margin-top: 3px !important; font-size: .82em; line-height: 1.3; }
[part=price] { grid-row: 4; font-weight: 600; font-variant-numeric: tabular-nums; }
[part=actions] { flex: none; display: flex; align-items: center; gap: 2px; padding: 2px 6px 6px; }
[part=actions] button { display: grid; place-items: center; min-width: 34px; height: 34px; padding: 0 6px; border: 0; border-radius: 9px; background: none; color: var(--soft); font-size: .82em; }
[part=actions] button:hover { background: var(--tint); color: inherit; }
[part=why] { margin-inline-end: auto; text-decoration: underline; text-underline-offset: 3px; }
[part=like][aria-pressed=true] { color: var(--warm) !important; }
[part=like][aria-pressed=true] svg { fill: currentColor; }
[part=forget] { display: block; min-height: 32px; margin-block-start: 4px; margin-inline-start: auto; padding: 0; border: 0; background: none; color: var(--soft); font-size: .82em; text-decoration: underline; text-underline-offset: 3px; }

:host([layout=grid]) [part=list] { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--sg-item-width, 184px)), 1fr)); overflow: visible; }
:host([layout=grid]) [part=list] > li { width: auto; }
:host([layout=list]) [part=list] { flex-direction: column; overflow: visible; }
:host([layout=list]) [part=list] > li { flex-direction: row; width: auto; height: var(--sg-item-height, calc(36px + 3.5em)); }
:host([layout=list]) [part=link] { grid-template: auto auto / auto minmax(0, 1fr) auto; align-content: center; }
:host([layout=list]) [part=frame] { grid-row: 1 / 3; width: 70px; height: 70px; margin: 0; margin-inline-start: 10px; border-radius: 8px; }
:host([layout=list]) [part=title] { -webkit-line-clamp: 1; }
:host([layout=list]) [part=reason] { grid-area: 2 / 2 / 3 / 4; }
:host([layout=list]) [part=price] { grid-area: 1 / 3; margin-inline-start: 0; }
:host([layout=list]) [part=actions] { padding: 0; padding-inline-end: 8px; }
@container (max-width: 480px) {
  :host([layout=grid]) [part=list] { grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--sg-item-width, 148px)), 1fr)); }
  :host([layout=list]) [part=list] > li { flex-direction: column; height: var(--sg-item-height, calc(76px + 3.5em)); }
  :host([layout=list]) [part=actions] { padding: 0 8px 4px; }
}

[part=receipt] { display: grid; justify-items: start; gap: 8px; padding: 18px; border: 1px solid var(--line); border-radius: var(--radius); background: var(--card); }
pre { max-width: 100%; margin: 8px 0 0; padding: 10px; border-radius: 8px; background: var(--tint); overflow: auto; font-size: .8em; }
details { max-width: 100%; }
[part=anew], [part=confirm], [part=cancel] { min-height: 42px; padding: 0 18px; border: 1px solid var(--line); border-radius: 999px; background: none; font-weight: 600; }
[part=confirm] { border-color: transparent; background: var(--accent); color: var(--on-accent); }
dialog { width: min(480px, calc(100vw - 32px)); max-height: min(640px, calc(100dvh - 48px)); padding: 24px; border: 0; border-radius: 18px; background: var(--card); color: inherit; overflow-y: auto; box-shadow: 0 24px 80px -12px rgb(0 0 0 / .4); }
dialog::backdrop { background: rgb(16 18 16 / .5); }
dialog h3 { margin-block: 4px 8px; margin-inline-end: 44px; font-size: 1.25em; line-height: 1.2; }
.answers { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 20px; }
[part=close] { position: absolute; inset-inline-end: 14px; top: 14px; display: grid; place-items: center; width: 40px; height: 40px; padding: 0; border: 0; border-radius: 50%; background: var(--tint); }
[part=parts] { margin-top: 14px; }
[part=parts] li { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 5px 14px; padding: 8px 0; font-size: .92em; }
[part=parts] b { color: var(--soft); font-weight: 400; font-variant-numeric: tabular-nums; }
[part=parts] i { grid-column: 1 / 3; height: 7px; min-width: 3px; border-radius: 4px; background: var(--accent); }
[part=parts] .minus { background: var(--warm); }
[part=sum] { display: flex; justify-content: space-between; gap: 14px; margin-top: 8px; padding-top: 12px; border-top: 1px solid var(--line); font-variant-numeric: tabular-nums; }
@media (prefers-reduced-motion: no-preference) { [part=link] [part=title], button { transition: background .15s, color .15s; } }
`);

customElements.define("shop-guide", ShopGuide);
