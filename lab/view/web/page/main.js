// The page: moments come in, and one clock says which of them is shown.
//
//   source -> past <- cursor      what came, and the moment that is looked at
//   drawing path chart timeline story      each shows one thing of that moment
//   controls                      the only part that asks the server for anything

import { Chart } from "./chart.js";
import { Controls } from "./controls.js";
import { Cursor } from "./cursor.js";
import { Drawing } from "./drawing.js";
import { Pace } from "./pace.js";
import { Past } from "./past.js";
import { PathPanel } from "./path.js";
import { listen } from "./source.js";
import { Story } from "./story.js";
import { Timeline } from "./timeline.js";

const state = document.getElementById("state");
const past = new Past();
const cursor = new Cursor(past);
const pace = new Pace();
const path = new PathPanel();
const controls = new Controls();
const drawing = new Drawing(document.getElementById("drawing"), cursor);
const chart = new Chart(document.getElementById("chart"), path);
const timeline = new Timeline(cursor, path);
const story = new Story();
const views = [drawing, path, chart, timeline, story];

listen({
  clock: ({ now }) => cursor.hear(now),
  all(moments) {
    past.reset(moments);
    cursor.restart();
    views.forEach((view) => view.reset?.());
  },
  moment(moment) {
    past.add(moment);
    cursor.hear(moment.at);
    pace.arrived(moment, cursor.serverNow());
  },
  state(word) {
    state.textContent = word;
    state.dataset.state = word;
  },
});

let shown = null; // the sketch that names and controls are filled from
function frame(time) {
  requestAnimationFrame(frame); // first: whatever goes wrong in this one, there is a next
  const { now, moment, passed } = cursor.step(time);
  pace.frame(time);
  if (moment) {
    if (moment.drawing && moment.drawing !== shown) {
      shown = moment.drawing;
      document.getElementById("lab").textContent = shown.lab;
      document.getElementById("title").textContent = shown.title;
      document.title = `${shown.lab} · punchlab`;
      document.getElementById("pinged").textContent = shown.pinged ? `from ${shown.pinged.join(" to ")}` : "";
      document.getElementById("by-peer").hidden = !shown.peers.length;
      path.offer(shown.nodes, shown.pinged);
      if (cursor.isLive) controls.offer(shown);
    }
    views.forEach((view) => view.show({ now, moment, past, passed, time }));
    pace.drawn();
  }
}
requestAnimationFrame(frame);
