// The line to the guide: who the visitor is, what they did (out), and their newest list (in).

const STORE = "shopguide.visitor";
const LONGEST_PAUSE = 10_000;
const LONGEST_TIMER = 2 ** 31 - 1; // a longer one would fire at once

const post = (path, body) =>
  fetch(path, {
    method: "POST",
    keepalive: true,
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

const eventId = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, "0")).join("");

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE));
  } catch {
    return null;
  }
}

/** Where the browser keeps nothing, the visitor is this page's. */
function remember(visitor) {
  try {
    if (visitor) localStorage.setItem(STORE, JSON.stringify(visitor));
    else localStorage.removeItem(STORE);
  } catch {}
}

/** What a wire message makes of the list held: {seq, items}, or null where it does not fit and a snapshot is due. */
export function apply(held, message) {
  const [epoch, n] = message.seq;
  if (message.type === "snapshot") return { seq: message.seq, items: message.items };
  if (!held || held.seq[0] !== epoch) return null;
  if (message.type === "heartbeat") return held.seq[1] === n ? held : null;
  if (message.base !== held.seq[1]) return null;
  const old = new Map(held.items.map((item) => [item.item, item]));
  const items = message.order.map((id) => message.put[id] ?? old.get(id));
  return items.includes(undefined) ? null : { seq: message.seq, items };
}

/**
 * An event sent is {row, label, at, latency, inGuide}: ms until the list it caused was on screen, and ms of that from
 * the guide's first sight of the event to its push (NaN where the message does not say).
 *
 * Fires `state` (connecting | live | reconnecting), `visitor`, `event` (one was noted or its state changed) and
 * `list` ({items, seq, first}). A listener of `list` has the new list on screen when it returns.
 */
export class Connection extends EventTarget {
  visitor = null;
  held = null;
  #source = null;
  #outbox = [];
  #underway = [];
  #flushing = false;
  #pause = 500;
  #retry = 0;
  #renewal = 0;

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  async start() {
    try {
      await this.#identify();
      this.#open();
    } catch {
      this.#comeBack();
    }
  }

  /** Forget who this is and begin as somebody new. */
  async startOver() {
    remember(null);
    this.#source?.close();
    this.visitor = this.held = null;
    this.#outbox = [];
    this.#underway = [];
    this.#tell("state", "connecting");
    await this.start();
  }

  /** Note what the visitor did, and send it now. */
  send(kind, fields, label) {
    const event = { row: { kind, event: eventId(), ...fields }, label, at: performance.now(), latency: null };
    this.#outbox.push(event);
    this.#tell("event", event);
    this.#flush();
  }

  /** Note that an item of the list was seen; no list answers that. */
  saw(item) {
    const list = this.held?.seq.join("-");
    this.#outbox.push({ row: { kind: "impression", event: eventId(), item, list }, quiet: true });
    this.#flush();
  }

  /** Never this item again; resolves to whether the guide has it. */
  async dismiss(item, title) {
    const event = { row: { kind: "dismiss", item }, label: title, at: performance.now(), latency: null };
    this.#underway.push(event);
    this.#tell("event", event);
    try {
      return (await post("/v1/dismiss", { token: this.visitor.token, item })).ok;
    } catch {
      return false;
    }
  }

  /** The whole sum behind one suggestion; null where it is not in the newest list. */
  async why(item) {
    const asked = new URLSearchParams({ token: this.visitor.token, item });
    const answer = await fetch(`/v1/why?${asked}`);
    return answer.ok ? answer.json() : null;
  }

  async #identify(renew = false) {
    const kept = this.visitor ?? remembered();
    const left = kept ? kept.expires - Date.now() / 1000 : 0;
    if (left > 30 && !renew) this.visitor = kept;
    else {
      let answer = left > 0 ? await post("/v1/visitor", { user: kept.user, token: kept.token }) : null;
      if (!answer || answer.status === 401) answer = await post("/v1/visitor", {});
      if (!answer.ok) throw new Error(`no visitor: ${answer.status}`);
      this.visitor = await answer.json();
      remember(this.visitor);
    }
    clearTimeout(this.#renewal);
    const soon = 800 * (this.visitor.expires - Date.now() / 1000); // ms: at 80 % of its life
    this.#renewal = setTimeout(() => this.#renew(), Math.min(soon, LONGEST_TIMER));
    this.#tell("visitor", this.visitor);
  }

  async #renew() {
    try {
      await this.#identify(true);
      this.#open();
    } catch {
      this.#comeBack();
    }
  }

  #open() {
    this.#source?.close();
    const source = new EventSource(`/v1/stream?token=${encodeURIComponent(this.visitor.token)}`);
    this.#source = source;
    source.addEventListener("open", () => {
      this.#tell("state", "live");
      this.#flush();
    });
    source.addEventListener("list", (message) => this.#take(JSON.parse(message.data)));
    source.addEventListener("error", () => {
      this.#tell("state", "reconnecting");
      if (source.readyState === EventSource.CLOSED && source === this.#source) this.#comeBack();
    });
  }

  /** The browser has given up on the stream (refused, or the token's end): ask who we are, then open another. */
  #comeBack() {
    this.#source?.close();
    this.#tell("state", "reconnecting");
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#renew(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }

  #take(message) {
    if (message.type === "heartbeat" && !this.held) return; // no list yet
    const next = apply(this.held, message);
    if (next === null) {
      this.held = null;
      this.#open(); // a stream begins with a snapshot
      return;
    }
    this.#pause = 500;
    if (next === this.held) return;
    const first = this.held === null;
    this.held = next;
    const answered = this.#underway.splice(0);
    this.#tell("list", { ...next, first, cause: answered.at(-1) ?? null });
    const { event: happened, pushed } = message.times ?? {};
    const measure = () => {
      for (const event of answered) {
        event.inGuide = 1000 * (pushed - happened);
        event.latency = performance.now() - event.at;
        this.#tell("event", event);
      }
    };
    if (document.hidden) measure();
    else requestAnimationFrame(measure);
  }

  async #flush() {
    if (this.#flushing || !this.#outbox.length || !this.visitor) return;
    this.#flushing = true;
    const batch = this.#outbox.splice(0, 50);
    this.#underway.push(...batch.filter((event) => !event.quiet));
    let sent = false;
    try {
      const answer = await post("/v1/events", { token: this.visitor.token, events: batch.map((e) => e.row) });
      sent = answer.ok || (answer.status < 500 && answer.status !== 401);
    } catch {
      sent = false;
    }
    this.#flushing = false;
    if (sent) this.#flush();
    else {
      this.#underway = this.#underway.filter((event) => !batch.includes(event));
      this.#outbox.unshift(...batch);
      setTimeout(() => this.#flush(), 1000);
    }
  }
}
