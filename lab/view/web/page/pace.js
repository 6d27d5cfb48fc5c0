// How well the page keeps up: frames a second, and how long after its event a change was drawn.

const WINDOW = 1000; // ms
const MOST = 1000; // delays remembered

export class Pace {
  constructor() {
    this.place = document.getElementById("pace");
    this.frames = 0;
    this.since = performance.now();
    this.waiting = []; // events that came, not drawn yet: [happened, clock at arrival]
    this.delays = []; // ms from an event to its drawing
    this.rates = []; // frames in each second
    window.punchlab = this; // for measurements
  }

  // `now` is the server's clock at arrival.
  arrived(moment, now) {
    const at = performance.now();
    for (const event of [...(moment.story ?? []), ...(moment.moves ?? [])]) {
      this.waiting.push({ late: (now - event.at) * 1000, at });
    }
  }

  drawn() {
    if (!this.waiting.length) return;
    for (const { late, at } of this.waiting) this.delays.push(late + performance.now() - at);
    this.waiting = [];
    this.delays.splice(0, this.delays.length - MOST);
  }

  frame(time) {
    this.frames++;
    if (time - this.since < WINDOW) return;
    this.rates.push(Math.round((this.frames * 1000) / (time - this.since)));
    this.frames = 0;
    this.since = time;
    const late = this.delays.length ? ` Drawn ${Math.round(median(this.delays.slice(-50)))} ms after its event.` : "";
    this.place.textContent = `${this.rates.at(-1)} frames a second.${late}`;
  }
}

function median(values) {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
