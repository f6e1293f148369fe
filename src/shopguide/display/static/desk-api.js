/** The desk's routes, with the admin's token of this tab. */

const KEY = "shopguide:desk";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The token outlives a reload of this tab where the browser keeps anything. */
let token = null;
const kept = (act) => {
  try {
    return act(sessionStorage);
  } catch {
    return null;
  }
};
export const keep = (one) => {
  token = one;
  kept((tab) => tab.setItem(KEY, one));
};
export const drop = () => {
  token = null;
  kept((tab) => tab.removeItem(KEY));
};
const current = () => token ?? kept((tab) => tab.getItem(KEY));
export const known = () => current() !== null;

/** A token from a link (#token=…), which leaves the address bar at once. */
export const takeLinked = () => {
  const linked = new URLSearchParams(location.hash.slice(1)).get("token");
  if (linked) {
    history.replaceState(null, "", location.pathname);
    keep(linked);
  }
};

/** What a route answers. Throws Refused with its words, TypeError where it cannot be reached. */
export const ask = async (path, body) => {
  const headers = { authorization: `Bearer ${encodeURIComponent(current() ?? "")}` };
  const request = body === undefined ? { headers } : { headers, method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`/v1/${path}`, request);
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said.error);
  return said;
};
