// Packets: a dot runs along each link on which some were seen, hop after hop. It never runs where none was.

import { walk } from "./lanes.js";

const HOP = 110; // ms from one hop's start to the next one's
const RUN = 220; // ms along one link
const MOST = 300; // dots at once; more would tell nothing more
const SVG = "http://www.w3.org/2000/svg";
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Dots {
  constructor(layer, drawing) {
    this.layer = layer;
    this.drawing = drawing;
    this.running = [];
    this.idle = [];
    this.depths = depths(drawing.wires);
    this.deepest = Math.max(...this.depths.values());
    this.walks = new Map(); // by what they follow: they are the same for each dot
  }

  clear() {
    for (const dot of this.running) dot.circle.remove();
    this.running = [];
  }

  send(moment, time) {
    if (STILL.matches || document.hidden) return;
    const seen = new Set();
    for (const [wire, way, lane, style] of moment.seen) {
      seen.add(`${wire} ${way} ${lane} ${style}`);
      const depth = this.depths.get(wire) ?? 1;
      const hop = way === "up" ? this.deepest - depth : this.deepest + depth;
      this.start(`${wire} ${lane}`, () => this.drawing.wireAt(wire, lane), way === "down", lane, style, time + hop * HOP);
    }
    for (const [from, to, lane, style] of moment.across) {
      if (!seen.has(`${from} up ${lane} ${style}`) || !seen.has(`${to} down ${lane} ${style}`)) continue;
      const points = () => this.drawing.acrossAt(from, to, lane);
      this.start(`${from} ${to} ${lane}`, points, false, lane, style, time + this.deepest * HOP);
    }
  }

  start(key, points, back, lane, style, at) {
    if (this.running.length >= MOST) return;
    if (!this.walks.has(key)) {
      const found = points();
      this.walks.set(key, found ? walk(found) : null);
    }
    const follow = this.walks.get(key);
    if (!follow) return;
    const circle = this.idle.pop() ?? document.createElementNS(SVG, "circle");
    circle.setAttribute("r", style === "dashed" ? 3 : 4);
    circle.setAttribute("class", `dot ${style}${lane === "peer-relay" ? " by-peer" : ""}`);
    this.running.push({ circle, follow, back, at, isShown: false });
  }

  move(time) {
    let kept = 0;
    for (const dot of this.running) {
      const share = (time - dot.at) / RUN;
      if (share >= 1) {
        dot.circle.remove();
        this.idle.push(dot.circle);
        continue;
      }
      this.running[kept++] = dot;
      if (share < 0) continue;
      const [x, y] = dot.follow(dot.back ? 1 - share : share);
      dot.circle.cx.baseVal.value = x;
      dot.circle.cy.baseVal.value = y;
      if (!dot.isShown) {
        dot.isShown = true;
        this.layer.append(dot.circle);
      }
    }
    this.running.length = kept;
  }
}

// How many links a link is away from the internet: 1 is right at it.
function depths(wires) {
  const byLower = new Map([...wires].map(([name, wire]) => [wire.lower, name]));
  const depth = (name) => {
    const above = byLower.get(wires.get(name).upper);
    return above ? depth(above) + 1 : 1;
  };
  return new Map([...wires.keys()].map((name) => [name, depth(name)]));
}
