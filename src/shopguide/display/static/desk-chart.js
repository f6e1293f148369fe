/** Two small figures in SVG and lists: lines over time, and bars. */

const WIDTH = 480;
const HEIGHT = 220;
const LEFT = 44;
const TOP = 10;
const BOTTOM = 194;
const NAMESPACE = "http://www.w3.org/2000/svg";

const draw = (name, attributes, text = "") => {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
};

/** The smallest of 1, 2 and 5 times a power of ten that is no smaller. */
const round = (value) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= value);
};

export class Lines {
  /** `kept` values of each of `classes` (a line's class each); `say` puts the newest into words. */
  constructor(svg, kept, classes, say) {
    Object.assign(this, { svg, kept, classes, say });
    this.values = [];
  }

  /** One value a line, null where there is none. */
  add(...values) {
    this.values = [...this.values, values].slice(-this.kept);
    const end = round(Math.max(...this.values.flat().filter((value) => value !== null), 0));
    const x = (at) => LEFT + ((WIDTH - LEFT - 4) * (at + this.kept - this.values.length)) / (this.kept - 1);
    const y = (value) => BOTTOM - ((BOTTOM - TOP) * value) / end;
    const marks = [0, end / 2, end].flatMap((value) => [
      draw("line", { class: "mark", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value.toLocaleString("en")),
    ]);
    const lines = this.classes.map((name, line) => {
      let pen = "M";
      const path = this.values.map((row, at) => {
        if (row[line] === null) { pen = "M"; return ""; }
        const step = `${pen}${x(at).toFixed(1)},${y(row[line]).toFixed(1)}`;
        pen = "L";
        return step;
      });
      return draw("path", { class: name, d: path.join("") || "M0,0" });
    });
    const ends = [draw("text", { x: LEFT, y: HEIGHT - 4 }, "2 min ago"), draw("text", { x: WIDTH, y: HEIGHT - 4, "text-anchor": "end" }, "now")];
    this.svg.replaceChildren(...marks, ...lines, ...ends);
    this.svg.setAttribute("aria-label", this.say(values));
  }
}

/** A list item with a bar as long as `share` (0 to 1), a name before it and a value after. */
export const bar = (name, share, value) => {
  const row = document.createElement("li");
  const [label, track, fill, amount] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
  label.className = "bar-name";
  track.className = "bar-track";
  amount.className = "bar-value";
  fill.style.width = `${(100 * Math.max(0, Math.min(1, share))).toFixed(1)}%`;
  label.textContent = name;
  amount.textContent = value;
  track.setAttribute("aria-hidden", "true");
  track.append(fill);
  row.append(label, track, amount);
  return row;
};
