// The interface of sg.js, as window.sg. Nothing throws; what is no item or query is passed over.

/** An item's id, alone or with the money of this event. */
type Item = string | number | { item: string | number; value?: number };

interface ShopGuide {
  /** The visitor looks at an item. */
  view(item: Item): void;
  cart(item: Item): void;
  /** Out of the cart, or sent back: takes the newest cart or purchase event of the item back. */
  remove(item: Item): void;
  favourite(item: Item): void;
  /** One event an item; `value` is the order's, shared out evenly among items that have none of their own. */
  purchase(items: Item | Item[], value?: number): void;
  /** Half of a suggested item was to be seen for a second. Made by itself for elements with data-sg-item. */
  impression(item: Item): void;
  /** A suggested item was followed. Made by itself for elements with data-sg-item. */
  click(item: Item): void;
  search(query: string): void;
  /**
   * A page was opened: a view of the product that its markup names, and impressions begin anew. Made by itself when a
   * document is opened; a page that changes without being loaded calls it.
   */
  page(): void;
  /** The visitor has logged in: a token of the account, minted by the shop. Nothing: they have logged out. */
  identify(account?: string | null): void;
  /**
   * The visitor's answer, kept for all pages and tabs. No: what waits is thrown away, all that is kept here goes, and
   * the collector forgets the visitor. Resolves to its signed receipt, null where there was nothing to forget.
   */
  consent(granted: boolean): Promise<object | null>;
  /** "Forget me": the same, but for the answer about consent. Somebody new goes on. */
  forgetMe(): Promise<object | null>;
  /** Try to send now, whatever failed before. */
  flush(): void;
  /** `window.sg = window.sg || []; sg.push(["view", "p7"])` works before the script has come, too. */
  push(call: [string, ...unknown[]]): void;
  /** Who this browser is; null until the collector has said so. */
  readonly visitor: { user: string; token: string; expires: number } | null;
  /** Events thrown away: the oldest of more than 500 that waited, and what the collector could not read. */
  readonly lost: number;
}

interface Window {
  sg: ShopGuide;
}
