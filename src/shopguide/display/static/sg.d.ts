// The interface of sg.js, as window.sg, and of the widget. Nothing throws; what is no item or query is passed over.

/** An item's id, alone or with the money of this event, and the list that the item stood in ("EPOCH-N"). */
type ShopGuideItem = string | number | { item: string | number; value?: number; list?: string };

interface ShopGuide {
  /** The visitor looks at an item. */
  view(item: ShopGuideItem): void;
  cart(item: ShopGuideItem): void;
  /** Out of the cart, or sent back: takes the newest cart or purchase event of the item back, or else its favourite. */
  remove(item: ShopGuideItem): void;
  favourite(item: ShopGuideItem): void;
  /** "Not this": the visitor wants no more of the item. */
  dismiss(item: ShopGuideItem): void;
  /**
   * One event an item; `value` is the order's, shared out evenly among items that have none of their own. With `order`, the
   * order's number, it counts once for the visitor, however often its page is loaded.
   */
  purchase(items: ShopGuideItem | ShopGuideItem[], value?: number, order?: string | number): void;
  /** Half of a suggested item was to be seen for a second, or it is clicked. Made by itself for elements with data-sg-item. */
  impression(item: ShopGuideItem): void;
  /** A suggested item was followed. Made by itself for elements with data-sg-item. */
  click(item: ShopGuideItem): void;
  search(query: string): void;
  /**
   * Another page was opened: impressions begin anew, and the product that its markup names was viewed, if it is another one
   * than before; so to call it twice counts once. Made by itself when a document is opened and when its markup names another
   * product; a router calls it for the pages between, which are about none.
   */
  page(): void;
  /**
   * The visitor has logged in: a token of the account, minted by the shop; their list is the account's from then on, in this
   * tab, until the token ends. A later token of the same account goes on from there. Nothing: they have logged out.
   */
  identify(account?: string | null): void;
  /**
   * The visitor's answer, kept for all pages and tabs. No: what waits is thrown away, all that is kept here goes, and
   * the collector forgets the visitor. Resolves to its signed receipt, null where there was nothing to forget.
   */
  consent(granted: boolean): Promise<object | null>;
  /** "Forget me": the same, but for the answer about consent. Somebody new goes on. Who has logged in goes with their account. */
  forgetMe(): Promise<object | null>;
  /** Try to send now, whatever failed before. */
  flush(): void;
  /**
   * The token that lists are asked for with: the account's, else the visitor's, who is made where nobody is known yet; null
   * without consent. `refused`: the token before, which the collector does not take any more. Rejects where the collector
   * cannot be reached.
   */
  token(refused?: string): Promise<string | null>;
  /** Impressions of an element with data-sg-item, if not data-auto="off". Made by itself, but inside of shadow roots. */
  watch(tile: HTMLElement): void;
  /** Where the collector is, ending in a slash. */
  readonly collector: string;
  /** Whether the visitor has said yes. */
  readonly consented: boolean;
  /** `window.sg = window.sg || []; sg.push(["view", "p7"])` works before the script has come, too. */
  push(call: [string, ...unknown[]]): void;
  /** Who this browser is; null until the collector has said so. */
  readonly visitor: { user: string; token: string; expires: number } | null;
  /** On what, from where and by whose word this visit is: device, region, referrer, campaign, as far as known. */
  readonly context: Record<string, string>;
  /** Events thrown away: the oldest of more than 500 that waited, and what the collector could not read. */
  readonly lost: number;
}

/** An item of a list, as docs/protocol.md describes it. */
interface Suggestion {
  item: string;
  title: string;
  score: number;
  /** A new item is tried in this place: the `list` of its impression ends in "+new". */
  explored?: true;
  reasons: { text: string; because: string; share: number }[];
  price?: number;
  category?: string;
  brand?: string;
  image?: string;
  url?: string;
}

/**
 * `<shop-guide>`. Its attributes (place, n, url, layout, heading, lang, currency, scheme), parts and custom properties are in
 * docs/protocol.md.
 */
interface ShopGuideElement extends HTMLElement {
  /** A suggestion is followed. A page that shows products without being loaded anew prevents the default. */
  addEventListener(type: "sg-open", listener: (event: CustomEvent<Suggestion>) => void): void;
  /** A new list is on the page. */
  addEventListener(type: "sg-list", listener: (event: CustomEvent<{ items: Suggestion[]; list: string }>) => void): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
}

/** The attributes of `<shop-guide>`, for JSX. */
interface ShopGuideAttributes {
  url?: string;
  n?: number | string;
  layout?: "row" | "grid" | "list";
  place?: string;
  heading?: string;
  lang?: string;
  currency?: string;
  scheme?: "dark" | "light" | "auto";
}

interface HTMLElementTagNameMap {
  "shop-guide": ShopGuideElement;
}

interface WindowEventMap {
  /**
   * Who the visitor is has changed. `receipt`: they were forgotten; null: and nothing was held. `joining`: they are being
   * joined to their account. `expired`: the account's token has ended; `sg.identify` takes the next one.
   */
  "sg:visitor": CustomEvent<{ receipt?: object | null; forgetting?: boolean; joining?: boolean; expired?: boolean }>;
}

/** Until the script has come, an array of the calls to make then. */
declare var sg: ShopGuide;

interface Window {
  sg: ShopGuide;
}
