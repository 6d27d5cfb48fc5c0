// One pair's path: what it is at the moment shown, and how it came to that.

const KINDS = { relay: "through the relay", direct: "direct", "peer-relay": "through a peer", none: "no path" };

export class PathPanel {
  constructor() {
    this.select = document.getElementById("pair");
    this.now = document.getElementById("now");
    this.list = document.getElementById("moves");
    this.shown = "";
    this.pair = ["", ""];
    this.select.addEventListener("change", () => this.choose());
  }

  reset() {
    this.shown = "";
  }

  choose() {
    this.pair = this.select.value.split(" ");
  }

  // Who can reach whom, and the pair to begin with.
  offer(nodes, pinged) {
    const pairs = nodes.flatMap((from) => nodes.filter((to) => to !== from).map((to) => `${from} ${to}`));
    if (pairs.join() === [...this.select.options].map((option) => option.value).join()) return;
    const before = this.select.value || pinged?.join(" ");
    this.select.replaceChildren(...pairs.map((pair) => new Option(pair.replace(" ", " → "), pair)));
    if (pairs.includes(before)) this.select.value = before;
    this.choose();
  }

  show({ past, moment }) {
    const [from, to] = this.pair;
    const moves = past.movesOf(from, to, moment);
    const key = `${from} ${to} ${moves.length} ${moves.at(-1)?.at}`;
    if (key === this.shown) return;
    this.shown = key;
    const path = moves.at(-1) ?? { kind: "none" };
    this.now.dataset.kind = path.kind;
    this.now.textContent = told(path);
    this.list.replaceChildren(...moves.map((move, n) => item(move, moves[n - 1], moves[0].at)).reverse());
  }
}

function told(path) {
  const via = path.via ? ` via ${path.via}` : "";
  const rtt = path.rtt_ms ? `, ${path.rtt_ms.toFixed(1)} ms` : "";
  return `${KINDS[path.kind] ?? path.kind}${via}${rtt}`;
}

function item(move, before, first) {
  const made = document.createElement("li");
  made.dataset.kind = move.kind;
  const at = document.createElement("time");
  at.textContent = `+${(move.at - first).toFixed(2)} s`;
  const why = move.why && before ? ` (${move.why})` : "";
  made.append(at, ` ${told(move)}${why}`);
  return made;
}
