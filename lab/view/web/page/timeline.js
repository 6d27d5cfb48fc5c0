// The way back: a slider over all that was seen, in the colours of the path, and the buttons beside it.

const EVERY = 250; // ms between two drawings of the strip
const SVG = "http://www.w3.org/2000/svg";

export class Timeline {
  constructor(cursor, path) {
    this.cursor = cursor;
    this.path = path;
    this.slider = document.getElementById("moment");
    this.strip = document.getElementById("strip");
    this.playButton = document.getElementById("play");
    this.liveButton = document.getElementById("live");
    this.drawn = 0;
    this.slider.addEventListener("input", () => cursor.go(cursor.serverNow() + Number(this.slider.value)));
    this.playButton.addEventListener("click", () => (cursor.isRunning ? cursor.pause() : cursor.run()));
    this.liveButton.addEventListener("click", () => cursor.live());
  }

  show({ now, past, moment, time }) {
    this.putButtons(this.cursor);
    if (time - this.drawn < EVERY) return;
    this.drawn = time;
    const { isLive } = this.cursor;
    const end = this.cursor.serverNow();
    const back = Math.max(end - past.start, 0.1);
    this.slider.min = String(-back);
    this.slider.value = String(isLive ? 0 : now - end);
    set(this.slider, "aria-valuetext", isLive ? "now" : `${(end - now).toFixed(1)} seconds ago`);
    this.putStrip(past, moment, past.start, end);
  }

  putButtons({ isLive, isRunning }) {
    const state = `${isLive} ${isRunning}`;
    if (state === this.stateShown) return;
    this.stateShown = state;
    this.liveButton.setAttribute("aria-pressed", String(isLive));
    this.playButton.setAttribute("aria-label", isRunning ? "Pause" : "Play from here");
    this.playButton.textContent = isRunning ? "❚❚" : "▶";
    document.body.classList.toggle("is-past", !isLive);
  }

  putStrip(past, moment, start, end) {
    const last = past.moments.at(-1) ?? moment;
    const moves = past.movesOf(...this.path.pair, last);
    const share = (at) => (100 * (Math.max(at, start) - start)) / (end - start);
    const parts = moves.map((move, n) => {
      const part = document.createElementNS(SVG, "rect");
      part.setAttribute("class", `band ${move.kind}`);
      part.setAttribute("x", `${share(move.at)}%`);
      part.setAttribute("width", `${Math.max(share(moves[n + 1]?.at ?? end) - share(move.at), 0)}%`);
      part.setAttribute("height", 10);
      return part;
    });
    this.strip.replaceChildren(...parts);
  }
}

function set(element, key, value) {
  if (element.getAttribute(key) !== value) element.setAttribute(key, value);
}
