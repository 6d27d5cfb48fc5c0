// The network: the server's own drawing, and on it what moves: a line for each lane of each link in use.

import { Dots } from "./dots.js";
import * as lanes from "./lanes.js";

const STRENGTH = ["dashed", "solid", "double"];
const WIDE_ENOUGH = 0.85; // below this scale the tall drawing is easier to read
const LARGEST = 1.4; // times its own size
const HIGHEST = 0.6; // of the window, when it is larger than its own size
const SVG = "http://www.w3.org/2000/svg";

export class Drawing {
  constructor(place, cursor) {
    this.place = place;
    this.cursor = cursor;
    this.sketch = this.flows = this.broken = null;
    this.width = place.clientWidth;
    new ResizeObserver(() => {
      this.width = place.clientWidth;
      if (this.dots && this.width) this.fit();
      if (this.sketch && this.choice(this.sketch) !== this.text) this.sketch = null;
    }).observe(place);
  }

  reset() {
    this.dots?.clear();
  }

  show({ moment, passed, time }) {
    if (!moment.drawing || !this.width) return;
    if (moment.drawing !== this.sketch) this.put(moment.drawing);
    if (moment.flows !== this.flows || moment.across !== this.acrossShown) this.putLanes(moment);
    if (moment.broken !== this.broken) this.putBroken(moment.broken);
    for (const each of passed) this.dots.send(each, time);
    this.dots.move(time);
  }

  choice(sketch) {
    const size = (text) => Number(/width="([\d.]+)"/.exec(text)[1]);
    const scale = (text) => Math.min(1, this.width / size(text));
    if (scale(sketch.wide) >= WIDE_ENOUGH) return sketch.wide;
    return scale(sketch.tall) > scale(sketch.wide) ? sketch.tall : sketch.wide;
  }

  // As large as there is room for, but not so large that a small network looks coarse.
  fit() {
    const [width, height] = ["width", "height"].map((key) => Number(this.svg.getAttribute(key)));
    const scale = Math.min(LARGEST, Math.max(1, (HIGHEST * innerHeight) / height), this.width / width);
    this.svg.style.width = `${scale * width}px`;
    this.dots.fit(width, height, scale);
  }

  put(sketch) {
    this.sketch = sketch;
    this.text = this.choice(sketch);
    this.tall = this.text === sketch.tall;
    const svg = new DOMParser().parseFromString(this.text, "image/svg+xml").documentElement;
    this.svg = document.adoptNode(svg);
    this.wires = new Map();
    for (const line of svg.querySelectorAll("[data-wire]")) {
      const points = line.getAttribute("points").split(" ").map((pair) => pair.split(",").map(Number));
      this.wires.set(line.dataset.wire, { points, lower: line.dataset.lower, upper: line.dataset.upper });
    }
    const box = svg.querySelector('[data-machine="internet"] .box');
    this.band = Object.fromEntries(["x", "y", "width", "height"].map((key) => [key, Number(box.getAttribute(key))]));
    this.machines = new Map([...svg.querySelectorAll("[data-machine]")].map((each) => [each.dataset.machine, each]));
    this.layer = layer("lanes");
    svg.querySelector(".wires").after(this.layer);
    this.inBand = layer("lanes across");
    this.machines.get("internet").after(this.inBand);
    const canvas = document.createElement("canvas");
    canvas.className = "dots";
    canvas.ariaHidden = "true";
    this.place.replaceChildren(svg, canvas);
    this.dots = new Dots(canvas, this);
    this.fit();
    this.flows = this.broken = null;
    this.lanes = new Map(); // by where they are: {style, made: the elements}
  }

  wireAt(name, lane) {
    const found = this.wires.get(name);
    return found && lanes.wire(found.points, lane, this.tall);
  }

  acrossAt(from, to, lane) {
    const [a, b] = [this.wires.get(from), this.wires.get(to)];
    if (!a || !b) return null;
    const slot = [from, to].sort().join(" ").split("").reduce((sum, char) => sum + char.charCodeAt(0), 0);
    return lanes.across(a.points, b.points, lane, this.band, this.tall, slot);
  }

  // Only what changed is touched: with nine homes all talking there are some seventy lanes.
  putLanes({ flows, across }) {
    this.flows = flows;
    this.acrossShown = across;
    const wanted = strongest(flows, across);
    for (const [key, { made }] of this.lanes) {
      if (wanted.has(key)) continue;
      made.forEach((each) => each.remove());
      this.lanes.delete(key);
    }
    for (const [key, lane] of wanted) {
      const known = this.lanes.get(key);
      if (known?.style === lane.style) continue;
      known?.made.forEach((each) => each.remove());
      const points = lane.to ? this.acrossAt(lane.from, lane.to, lane.lane) : this.wireAt(lane.from, lane.lane);
      const made = points ? lines(lane, lanes.d(points), key) : [];
      (lane.to ? this.inBand : this.layer).append(...made);
      this.lanes.set(key, { style: lane.style, made });
    }
  }

  putBroken(broken) {
    this.broken = broken;
    for (const [name, group] of this.machines) {
      group.classList.toggle("is-unplugged", broken.unplugged.includes(name));
      group.classList.toggle("is-down", ["exited", "frozen"].includes(broken.daemons[name]));
    }
    const told = [
      ...broken.cuts.map((pair) => `the direct way between ${pair.join(" and ")} is cut`),
      ...broken.unplugged.map((name) => `${name} is unplugged`),
      ...Object.entries(broken.daemons)
        .filter(([, state]) => ["exited", "frozen"].includes(state))
        .map(([name, state]) => `the daemon of ${name} is ${state === "exited" ? "down" : state}`),
    ];
    const place = document.getElementById("broken");
    place.hidden = !told.length;
    place.textContent = `Broken now: ${told.join(" · ")}`;
  }
}

// What is to be drawn, by where it is: of all that shares a lane, both ways, the strongest style.
function strongest(flows, across) {
  const found = new Map();
  const note = (key, style, where) => {
    if (STRENGTH.indexOf(style) > STRENGTH.indexOf(found.get(key)?.style)) found.set(key, { style, ...where });
  };
  for (const [from, , lane, style] of flows) note(`${from} ${lane}`, style, { from, lane });
  for (const [from, to, lane, style] of across) {
    note(`${[from, to].sort().join(" ")} ${lane}`, style, { from, to, lane });
  }
  return found;
}

// A double line is a broad one with the paper showing through its middle.
function lines({ style, lane }, d, name) {
  const made = [path(`lane ${style}${lane === "peer-relay" ? " by-peer" : ""}`, d)];
  made[0].dataset.lane = name;
  if (style === "double") made.push(path("lane core", d));
  return made;
}

function path(className, d) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", className);
  made.setAttribute("d", d);
  return made;
}

function layer(className) {
  const made = document.createElementNS(SVG, "g");
  made.setAttribute("class", className);
  made.setAttribute("aria-hidden", "true");
  return made;
}
