// What visitors do, told to the collector. An event is an entry of localStorage (sg:q.…) till that has it on disk; its id is
// made here, so twice counts once. Without consent only sg:consent is stored. The interface: sg.d.ts; the rest: docs/protocol.md.
(() => {
  "use strict";
  if (window.sg?.collector) return; // named twice

  const MOST = 500; // events that wait; beyond it the oldest go
  const BATCH = 50;
  const IDLE = 30 * 60_000; // ms without an event
  const LONGEST_PAUSE = 60_000;
  const PATIENCE = 20_000; // ms that an answer may take
  const IN_VIEW = 1000; // ms that half of an item is to be seen
  const TILE = "[data-sg-item]:not(html, body, main)";
  const HERE = "[data-sg-view], html[data-sg-item], body[data-sg-item], main[data-sg-item]";

  const script = document.currentScript ?? document.querySelector("script[src*='sg.js']");
  const { key, consent: unasked = "ask", auto, to } = script.dataset;
  const base = to ? to.replace(/\/?$/, "/") : new URL(".", script.src).href.replace(/static\/$/, "");
  const widget = script.src.replace(/sg\.js(?=[^/]*$)/, "sg-widget.js");
  const at = (path) => `${base}v1/${path}${key ? `?key=${encodeURIComponent(key)}` : ""}`;

  // --- what is kept in the browser; where there is no room, in this page

  const room = (name) => {
    try {
      return window[name] ?? {};
    } catch {
      return {};
    }
  };
  const [disk, tab, spare] = [room("localStorage"), room("sessionStorage"), {}];
  const get = (name) => {
    try {
      return JSON.parse(spare[`sg:${name}`] ?? disk[`sg:${name}`] ?? null);
    } catch {
      return null;
    }
  };
  const put = (name, value) => {
    const text = JSON.stringify(value);
    try {
      disk[`sg:${name}`] = text;
      delete spare[`sg:${name}`];
    } catch {
      spare[`sg:${name}`] = text;
    }
  };
  const drop = (name) => [disk, spare].forEach((place) => delete place[`sg:${name}`]);
  const names = (prefix) =>
    [disk, spare].flatMap(Object.keys).filter((name) => name.startsWith(`sg:${prefix}`)).map((name) => name.slice(3)).sort();
  const queued = () => names("q.");

  const newId = () =>
    crypto.randomUUID?.() ??
    Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  // --- consent

  const consent = () => (navigator.globalPrivacyControl ? "denied" : get("consent") ?? unasked);
  const waiting = []; // for the answer
  let lost = 0;

  const decided = () => (document.prerendering ? "ask" : consent());

  const answered = () => {
    const answer = decided();
    if (answer === "granted") waiting.forEach(keep);
    if (answer === "granted" || answer === "denied") waiting.length = 0;
    flush();
    furnish();
    changed();
  };

  const note = (kind, fields) => {
    const event = { id: newId(), kind, ...fields, at: Date.now() };
    const answer = decided();
    if (answer === "granted") {
      keep(event);
      flush();
    } else if (answer !== "denied" && waiting.push(event) > MOST) {
      waiting.shift();
      lost++;
    }
  };

  const coming = () => {
    const from = document.referrer && new URL(document.referrer).host;
    const mailed = /^e?-?mail$/i.test(new URLSearchParams(location.search).get("utm_medium"));
    const small = Math.min(screen.width, screen.height) < 600 ? "phone" : "tablet";
    const said = {
      device: matchMedia("(pointer: coarse)").matches ? small : "desktop",
      region: (navigator.languages ?? []).map((language) => /-([A-Z]{2})$/.exec(language)?.[1]).find(Boolean),
      referrer: mailed ? "mail" : from && from !== location.host ? from : "direct",
      campaign: campaign(),
    };
    return Object.fromEntries(Object.entries(said).filter(([, word]) => word));
  };
  const campaign = () =>
    new URLSearchParams(location.search).get("utm_campaign")?.slice(0, 64).replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, "");

  let count = 0;
  const keep = (event) => {
    const last = get("session");
    const goesOn = last && event.at - last.at < IDLE;
    const session = goesOn ? last.id : newId();
    const context = goesOn && !campaign() ? last.context : coming();
    put("session", { id: session, at: event.at, context });
    const old = queued().slice(0, 1 - MOST);
    if (old.length) put("lost", (get("lost") ?? 0) + old.length);
    old.forEach(drop);
    put(`q.${event.at}.${String(count++ % 1e6).padStart(6, "0")}.${event.id}`, { ...event, ...context, session });
  };

  // --- sending: one request at a time from all tabs

  const alone = (work) => (disk.key && navigator.locks ? navigator.locks.request("sg", work) : work());
  let [busy, again, timer, failures] = [false, false, 0, 0];
  let underway = [];
  let beaconed;

  /** Read to the end: browsers let 64 KiB of requests with keepalive be unfinished. */
  const post = async (path, body) => {
    const answer = await fetch(at(path), {
      method: "POST",
      keepalive: true,
      signal: AbortSignal.timeout?.(PATIENCE), // all tabs wait for it
      credentials: "omit",
      headers: { "content-type": "text/plain" }, // needs no preflight
      body: JSON.stringify(body),
    });
    const said = await answer.json().catch(() => null);
    return { ok: answer.ok, status: answer.status, after: Number(answer.headers.get("retry-after")) || 0, said };
  };

  const known = (kept = get("visitor")) => (kept && Date.now() < (kept.got + 1000 * kept.expires) / 2 ? kept : null);

  const visitor = async (refused) => {
    const kept = get("visitor");
    if (kept?.token !== refused && known()) return kept;
    let answer = kept ? await post("visitor", { user: kept.user, token: kept.token }) : null;
    if (!answer || answer.status === 401) answer = await post("visitor", {});
    if (!answer.ok) throw answer;
    const made = { ...(answer.said.user === kept?.user && kept), ...answer.said, got: Date.now() };
    if (consent() !== "granted") throw answer; // withdrawn meanwhile
    put("visitor", made);
    changed();
    return made;
  };

  const envelope = (token, batch) => {
    const events = batch.map(get).filter(Boolean).map(({ at: when, token: _, ...event }) => ({
      ...event,
      age_ms: Math.max(0, Date.now() - when),
    }));
    return { token, consent: true, webdriver: navigator.webdriver, events };
  };

  /** The oldest events of one token: who sat here before (see identify) has their own. */
  const next = () => {
    const all = queued().slice(0, BATCH);
    const token = get(all[0])?.token;
    return { token, batch: all.filter((name) => get(name)?.token === token) };
  };

  const send = async () => {
    while (consent() === "granted") {
      const { token, batch } = next();
      if (!batch.length) break;
      underway = batch;
      const answer = await post("events", envelope(token ?? (await visitor()).token, batch));
      if (answer.status === 401 && !token) {
        drop("visitor");
        throw answer;
      }
      if (!answer.ok && ![400, 401, 413].includes(answer.status)) throw answer;
      if (!answer.ok) put("lost", (get("lost") ?? 0) + batch.length);
      batch.forEach(drop);
      failures = 0;
    }
    if (consent() === "granted") await join();
  };

  // --- who has logged in: events go by the visitor's token, lists by the account's

  const userOf = (token) => token.slice(7, 18); // the same in all tokens of a user, by whatever key
  let [account, pending, spent] = [tab["sg:account"] ?? null, null, null]; // tokens: in use, to be joined, refused

  const hold = (token) => {
    account = token;
    try {
      if (token) tab["sg:account"] = token;
      else delete tab["sg:account"];
    } catch {}
  };
  /** The account's token, if it is of who sits here. */
  const member = () => (account && userOf(account) === get("visitor")?.joined ? account : null);
  const leftOver = () => member() || hold(null);
  leftOver();

  const expire = () => {
    spent = account;
    hold(null);
    changed({ expired: true });
  };
  const join = async () => {
    if (!pending) return;
    changed({ joining: true });
    try {
      for (let tried; pending; ) tried = await joined(tried);
    } finally {
      if (get("visitor")) changed(); // not forgotten meanwhile
    }
  };
  /** Returns the visitor's token where that may be the refused one; another try renews it. */
  const joined = async (tried) => {
    const [asked, { token }] = [pending, await visitor(tried)];
    const answer = await post("identify", { token, account: asked });
    if (!answer.ok && answer.status !== 401) throw answer;
    const here = get("visitor");
    if (pending !== asked || here?.token !== token) return; // somebody else by now
    if (!answer.ok && !tried) return token;
    pending = null;
    if (answer.ok) put("visitor", { ...here, joined: userOf(asked) });
    if (answer.ok) hold(asked);
    else spent = asked;
  };
  const newcomer = () => {
    const before = get("visitor")?.token;
    for (const name of queued()) put(name, { token: before, ...get(name) });
    ["visitor", "session"].forEach(drop);
    hold(null);
    changed();
  };

  const flush = () => {
    again = true;
    if (busy || timer || !navigator.onLine || consent() !== "granted") return;
    [busy, again] = [true, false];
    alone(send).then(
      () => done(again),
      (failed) => {
        const pause = Math.max(1000 * (failed.after ?? 0), Math.min(LONGEST_PAUSE, 500 * 2 ** failures++));
        timer = setTimeout(comeBack, pause * (1 + Math.random() / 2));
        done(false);
      },
    );
  };
  const done = (more) => {
    [busy, underway] = [false, []];
    if (more) flush();
  };
  const comeBack = () => {
    clearTimeout(timer);
    timer = 0;
    flush();
  };

  /** What goes by beacon stays in the queue until the collector has said yes. */
  const leave = () => {
    const token = get("visitor")?.token;
    const batch = queued().filter((name) => !underway.includes(name) && !get(name)?.token).slice(0, BATCH);
    if (consent() !== "granted" || !token || !batch.length || batch.at(-1) === beaconed) return;
    beaconed = batch.at(-1);
    navigator.sendBeacon?.(at("events"), JSON.stringify(envelope(token, batch)));
  };

  const forget = async () => {
    const kept = get("visitor");
    names("").filter((name) => name !== "consent").forEach(drop);
    [waiting.length, pending] = [0, null];
    hold(null);
    changed({ forgetting: true });
    const receipt = await forgotten(kept);
    changed({ receipt });
    return receipt;
  };
  const forgotten = async (kept) => {
    for (let tries = 0; kept && tries < 8; tries++) {
      const answer = await alone(() => post("forget", { token: kept.token })).catch(() => null);
      if (answer?.ok) return answer.said;
      if (answer?.status === 401) return null;
      await new Promise((wake) => setTimeout(wake, 500 * 2 ** tries));
    }
    return null;
  };

  // --- the interface

  const itemOf = (item) => String((item instanceof Object ? item.item : item) ?? "").trim().slice(0, 512);
  const say = (kind, item, id) => {
    if (itemOf(item)) note(kind, { item: itemOf(item), value: item.value, list: item.list, ...id });
  };
  const about = (kind) => (item) => say(kind, item);

  const sg = {
    view: about("view"),
    cart: about("cart"),
    remove: about("remove"),
    favourite: about("favourite"),
    dismiss: about("dismiss"),
    impression: about("impression"),
    click: about("click"),
    purchase(items, value, order) {
      const all = [items].flat();
      const each = value && value / all.length;
      all.forEach((item, k) => {
        say("purchase", { item: itemOf(item), value: item?.value ?? each }, order && { id: `order ${order} ${k}` });
      });
    },
    search(query) {
      const words = String(query ?? "").trim().slice(0, 512);
      if (words) note("search", { query: words });
    },
    page() {
      if (location.href !== address) begins();
      look(true);
    },
    identify(token) {
      const asked = String(token || "");
      const here = get("visitor")?.joined ?? (pending && userOf(pending));
      if (here && here !== userOf(asked)) newcomer();
      const held = member();
      pending = held || asked === spent ? null : asked;
      if (held && held !== asked) {
        hold(asked);
        changed();
      }
      flush();
    },
    consent(granted) {
      put("consent", granted ? "granted" : "denied");
      const receipt = granted ? Promise.resolve(null) : forget();
      if (granted) answered();
      else put("consent", "denied"); // there is room for it by now
      return receipt;
    },
    forgetMe: forget,
    async token(refused) {
      if (consent() !== "granted") return null;
      if (!refused && !pending && known()) return member() ?? known().token;
      return alone(async () => {
        if (refused && refused === account) expire();
        return member() ?? (await visitor(refused)).token;
      });
    },
    watch(tile) {
      if (auto === "off") return;
      watched.set(tile, tile.dataset.sgItem);
      watcher.unobserve(tile);
      watcher.observe(tile);
    },
    flush: comeBack,
    collector: base,
    get consented() {
      return consent() === "granted";
    },
    push: ([name, ...given]) => sg[name]?.(...given),
    get visitor() {
      return get("visitor");
    },
    get context() {
      return (!campaign() && get("session")?.context) || coming();
    },
    get lost() {
      return lost + (get("lost") ?? 0);
    },
  };

  const changed = (detail = {}) => dispatchEvent(new CustomEvent("sg:visitor", { detail }));

  // --- what the page shows

  /** By schema.org's markup. */
  const product = () => {
    const found = [...document.querySelectorAll("script[type='application/ld+json']")].flatMap((block) => {
      try {
        const read = JSON.parse(block.textContent);
        return [read["@graph"] ?? read].flat().filter((node) => [node["@type"]].flat().includes("Product"));
      } catch {
        return [];
      }
    });
    return found.length === 1 ? found[0].sku ?? found[0].productID : undefined;
  };

  let [address, subject] = []; // of the page, and its item
  const shown = new Set(); // since then: items of the shop's own tiles, and of lists
  const watched = new WeakMap();
  const inView = new Map(); // tiles, and their timers
  const begins = () => {
    address = location.href;
    shown.clear();
    for (const tile of inView.keys()) wait(tile);
  };
  const wait = (tile) => {
    clearTimeout(inView.get(tile));
    inView.set(tile, setTimeout(seen, IN_VIEW, tile));
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, intersectionRatio } of entries) {
        if (intersectionRatio >= 0.5) wait(target);
        else {
          clearTimeout(inView.get(target));
          inView.delete(target);
        }
      }
    },
    { threshold: 0.5 },
  );
  const told = ({ dataset: { sgItem: item, sgList: list = "" } }) => ({ item, list });
  const seen = (tile) => {
    const { item, list } = told(tile);
    const once = `${list && "+"}${item}`;
    if (document.hidden || shown.has(once)) return;
    shown.add(once);
    sg.impression({ item, list });
  };
  const look = (asked) => {
    const here = document.querySelector(HERE)?.dataset;
    const item = itemOf(here?.sgView ?? here?.sgItem ?? product());
    if (item !== subject && (item || asked || location.href !== address)) {
      subject = item;
      begins();
      sg.view(item);
    }
    for (const tile of document.querySelectorAll(TILE)) {
      if (watched.get(tile) !== tile.dataset.sgItem) sg.watch(tile);
    }
    furnish();
  };
  const clicked = (event) => {
    const tile = event.button < 2 && event.composedPath().find((node) => node.matches?.(TILE)); // 2 opens a menu
    if (!tile) return;
    seen(tile);
    sg.click(told(tile));
  };

  let furnished = false;
  const furnish = () => {
    if (furnished || consent() !== "granted" || !document.querySelector("shop-guide")) return;
    furnished = true;
    import(widget).catch(() => {
      furnished = false;
      setTimeout(furnish, 5000);
    });
  };
  const follow = () => {
    sg.page();
    let due = 0;
    const soon = () => {
      due ||= setTimeout(() => {
        due = 0;
        look();
      }, 100);
    };
    const attributeFilter = ["data-sg-item", "data-sg-view"];
    new MutationObserver(soon).observe(document, { subtree: true, childList: true, attributeFilter });
    addEventListener("click", clicked, true);
    addEventListener("auxclick", clicked, true);
    addEventListener("pageshow", ({ persisted }) => {
      if (!persisted) return;
      [address, subject] = [];
      sg.page();
    });
  };

  addEventListener("pagehide", leave);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return leave();
    for (const tile of inView.keys()) wait(tile);
    flush();
  });
  document.addEventListener("prerenderingchange", answered);
  addEventListener("online", () => {
    failures = 0;
    comeBack();
  });
  addEventListener("storage", (event) => {
    if (event.key === "sg:consent") answered();
    if (event.key !== "sg:visitor") return;
    leftOver();
    changed();
  });

  const early = window.sg;
  window.sg = sg;
  if (Array.isArray(early)) early.forEach(sg.push);
  const begin = auto === "off" ? furnish : follow;
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin);
  else begin();
  flush();
})();
