// Round trips of the last half minute: a line that drops where the path moves, and a mark for each that was lost.

const SPAN = 30; // seconds
const EVERY = 100; // ms between two drawings: round trips come no faster
const HEIGHT = 150;
const [LEFT, RIGHT, TOP, BOTTOM] = [46, 10, 10, 22];
const SVG = "http://www.w3.org/2000/svg";

export class Chart {
  constructor(place, path) {
    this.path = path;
    this.svg = svg("svg", { class: "chart", height: HEIGHT, role: "img" });
    this.behind = svg("g", {});
    this.grid = svg("g", {});
    this.line = svg("path", { class: "trip" });
    this.gone = svg("path", { class: "lost" });
    this.svg.append(this.behind, this.grid, this.line, this.gone);
    place.append(this.svg);
    this.figures = document.getElementById("figures");
    this.drawn = 0;
    this.width = place.clientWidth;
    new ResizeObserver(() => (this.width = place.clientWidth)).observe(place);
  }

  show({ now, past, moment, time }) {
    if (time - this.drawn < EVERY) return;
    this.drawn = time;
    const beats = this.recent(past, moment, now);
    const most = ceiling(Math.max(1, ...beats.map((beat) => beat[2] ?? 0)));
    const x = (at) => LEFT + ((at - now + SPAN) / SPAN) * (this.width - LEFT - RIGHT);
    const y = (ms) => TOP + (1 - ms / most) * (HEIGHT - TOP - BOTTOM);
    this.putGrid(most, y);
    this.putBands(past, moment, now, x);
    this.line.setAttribute("d", trips(beats, x, y));
    this.gone.setAttribute("d", losses(beats, x));
    this.tell(beats, moment.counts);
  }

  // Its words and lines stand still: they are made anew for another scale or width alone.
  putGrid(most, y) {
    const key = `${most} ${this.width}`;
    if (key === this.gridShown) return;
    this.gridShown = key;
    this.svg.setAttribute("width", this.width);
    this.grid.replaceChildren(...axes(most, y, this.width));
  }

  // The paper behind the line has the colour of the path.
  putBands(past, moment, now, x) {
    const moves = past.movesOf(...this.path.pair, moment);
    const bands = moves
      .map((move, n) => [Math.max(move.at, now - SPAN), Math.min(moves[n + 1]?.at ?? now, now), move.kind])
      .filter(([from, to]) => to > from);
    while (this.behind.childElementCount > bands.length) this.behind.lastChild.remove();
    while (this.behind.childElementCount < bands.length) {
      this.behind.append(svg("rect", { y: TOP, height: HEIGHT - TOP - BOTTOM }));
    }
    bands.forEach(([from, to, kind], n) => {
      set(this.behind.children[n], { class: `band ${kind}`, x: x(from).toFixed(1), width: (x(to) - x(from)).toFixed(1) });
    });
  }

  recent(past, moment, now) {
    const known = [];
    for (let n = moment.beats - 1; n >= 0 && past.beats[n][1] > now - SPAN - 5; n--) known.push(past.beats[n]);
    const bySeq = new Map(known.reverse().map((beat) => [beat[0], beat])); // a late one came after all
    return [...bySeq.values()].filter((beat) => beat[1] > now - SPAN && beat[1] <= now).sort((a, b) => a[1] - b[1]);
  }

  tell(beats, [answered, missing]) {
    const last = beats.findLast((beat) => beat[2] !== null);
    const text = `${last ? `${last[2].toFixed(1)} ms now. ` : ""}${missing} lost of ${answered + missing}.`;
    if (text === this.told) return;
    this.told = this.figures.textContent = text;
    this.svg.setAttribute("aria-label", `Round trips of the last ${SPAN} seconds: ${text}`);
  }
}

// A line through those that came back, broken where one did not.
function trips(beats, x, y) {
  let pen = "M";
  return beats
    .map(([, sent, ms]) => {
      if (ms === null) {
        pen = "M";
        return "";
      }
      const step = `${pen}${x(sent).toFixed(1)} ${y(ms).toFixed(1)}`;
      pen = "L";
      return step;
    })
    .join("");
}

function losses(beats, x) {
  const missing = beats.filter((beat) => beat[2] === null);
  return missing.map(([, sent]) => `M${x(sent).toFixed(1)} ${HEIGHT - BOTTOM}v-14`).join("");
}

function* axes(most, y, width) {
  for (const share of [0, 0.5, 1]) {
    yield svg("path", { class: "grid", d: `M${LEFT} ${y(most * share)}H${width - RIGHT}` });
    yield text(LEFT - 6, y(most * share) + 4, `${+(most * share).toPrecision(3)} ms`, "end");
  }
  for (const back of [SPAN, SPAN / 2, 0]) {
    const anchor = back === SPAN ? "start" : back ? "middle" : "end";
    yield text(LEFT + (1 - back / SPAN) * (width - LEFT - RIGHT), HEIGHT - 6, back ? `${back} s ago` : "now", anchor);
  }
}

// A round number that is no less.
function ceiling(ms) {
  const power = 10 ** Math.floor(Math.log10(ms));
  return [1, 1.5, 2, 3, 5, 7, 10].map((step) => step * power).find((step) => step >= ms);
}

function text(x, y, words, anchor) {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}

function svg(name, attributes) {
  return set(document.createElementNS(SVG, name), attributes);
}

// Touches only what differs: what is set anew is drawn anew.
function set(element, attributes) {
  for (const [key, value] of Object.entries(attributes)) {
    if (element.getAttribute(key) !== String(value)) element.setAttribute(key, value);
  }
  return element;
}
