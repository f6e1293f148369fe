/** The desk's routes, with the admin's token of this tab. */

const KEY = "shopguide:desk";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** A token from a link (#token=…), which leaves the address bar at once. */
export const takeLinked = () => {
  const linked = new URLSearchParams(location.hash.slice(1)).get("token");
  if (linked) {
    history.replaceState(null, "", location.pathname);
    sessionStorage.setItem(KEY, linked);
  }
};

export const keep = (token) => sessionStorage.setItem(KEY, token);
export const drop = () => sessionStorage.removeItem(KEY);
export const known = () => sessionStorage.getItem(KEY) !== null;

/** What a route answers. Throws Refused with its words, TypeError where it cannot be reached. */
export const ask = async (path, body) => {
  const headers = { authorization: `Bearer ${encodeURIComponent(sessionStorage.getItem(KEY) ?? "")}` };
  const request = body === undefined ? { headers } : { headers, method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(`/v1/${path}`, request);
  const said = await answer.json();
  if (!answer.ok) throw new Refused(answer.status, said.error);
  return said;
};
