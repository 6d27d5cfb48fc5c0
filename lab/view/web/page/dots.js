// Packets: a dot runs along each link on which some were seen, hop after hop. It never runs where none was.
//
// Dots are painted on a canvas of its own above the drawing: a frame costs as much as there are dots, and the
// drawing below is neither laid out nor painted again.

import { walk } from "./lanes.js";

const HOP = 110; // ms from one hop's start to the next one's
const RUN = 220; // ms along one link
const MOST = 150; // dots under way, above which a moment's are left out: all of them, so that no link is favoured
const RADIUS = { solid: 4, double: 4, dashed: 3 }; // of the drawing's units
const EDGE = 1; // between a dot and the line it runs on
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");

export class Dots {
  constructor(canvas, drawing) {
    this.canvas = canvas;
    this.paper = canvas.getContext("2d");
    this.drawing = drawing;
    this.running = [];
    this.isBlank = true;
    this.depths = depths(drawing.wires);
    this.deepest = Math.max(...this.depths.values());
    this.walks = new Map(); // by what they follow: they are the same for each dot
    this.stamps = new Map(); // by their colour
    DARK.onchange = () => this.stamps.clear();
  }

  // `scale`: pixels of the page for a unit of the drawing.
  fit(width, height, scale) {
    this.scale = scale * devicePixelRatio; // to pixels of the screen
    this.canvas.width = Math.round(width * this.scale);
    this.canvas.height = Math.round(height * this.scale);
    Object.assign(this.canvas.style, { width: `${width * scale}px`, height: `${height * scale}px` });
    this.stamps.clear();
  }

  clear() {
    this.running = [];
  }

  send(moment, time) {
    if (STILL.matches || document.hidden || this.running.length > MOST) return;
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
    if (!this.walks.has(key)) {
      const found = points();
      this.walks.set(key, found ? walk(found) : null);
    }
    const follow = this.walks.get(key);
    if (follow) this.running.push({ follow, back, at, style, ink: inkOf(style, lane) });
  }

  move(time) {
    if (!this.isBlank) this.paper.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.isBlank = true;
    this.running = this.running.filter((dot) => time - dot.at < RUN);
    for (const { follow, back, at, style, ink } of this.running) {
      const share = (time - at) / RUN;
      if (share < 0) continue;
      const [x, y] = follow(back ? 1 - share : share);
      const stamp = this.stamp(style, ink);
      this.paper.drawImage(stamp, x * this.scale - stamp.width / 2, y * this.scale - stamp.height / 2);
      this.isBlank = false;
    }
  }

  // A dot, painted once for all of its colour.
  stamp(style, ink) {
    if (!this.stamps.has(ink)) this.stamps.set(ink, stamped(RADIUS[style], this.scale, ink));
    return this.stamps.get(ink);
  }
}

// The page's own colour for it: a custom property.
function inkOf(style, lane) {
  return lane === "peer-relay" && style === "solid" ? "--peer" : `--${style}`;
}

function stamped(radius, scale, ink) {
  const side = Math.ceil(2 * (radius + EDGE) * scale);
  const made = new OffscreenCanvas(side, side);
  const paper = made.getContext("2d");
  const colours = getComputedStyle(document.body);
  for (const [colour, size] of [["--card", radius + EDGE / 2], [ink, radius - EDGE / 2]]) {
    paper.fillStyle = colours.getPropertyValue(colour);
    paper.beginPath();
    paper.arc(side / 2, side / 2, size * scale, 0, 2 * Math.PI);
    paper.fill();
  }
  return made.transferToImageBitmap(); // a canvas would be copied for each dot
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
