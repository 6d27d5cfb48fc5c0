// All moments that came, each with what was known then. What lasts is shared between moments that had
// the same; of what is added each remembers how much there was.

const KEPT = 12000; // moments: ten minutes of a busy lab
const NOTHING = { flows: [], across: [], broken: { unplugged: [], cuts: [], daemons: {} }, counts: [0, 0], drawing: null };

export class Past {
  constructor() {
    this.reset([]);
  }

  reset(moments) {
    this.moments = [];
    this.moves = new Map(); // of each pair, with the moment's number of moves at which it was known
    this.moved = 0;
    this.story = [];
    this.beats = [];
    moments.forEach((moment) => this.add(moment));
  }

  add(raw) {
    for (const move of raw.moves ?? []) this.addMove(move);
    this.story.push(...(raw.story ?? []));
    this.beats.push(...(raw.beats ?? []));
    const before = this.moments.at(-1) ?? NOTHING;
    this.moments.push({
      at: raw.at,
      flows: raw.flows ?? before.flows,
      across: raw.across ?? before.across,
      broken: raw.broken ?? before.broken,
      counts: raw.counts ?? before.counts,
      drawing: raw.drawing ?? before.drawing,
      seen: raw.seen ?? [],
      moves: this.moved,
      story: this.story.length,
      beats: this.beats.length,
    });
    if (this.moments.length > KEPT + 1000) this.moments.splice(0, 1000);
  }

  addMove(move) {
    const pair = `${move.from} ${move.to}`;
    if (!this.moves.has(pair)) this.moves.set(pair, []);
    this.moves.get(pair).push({ ...move, count: ++this.moved });
  }

  // The first moment is the sum of what was before, and may be far older.
  get start() {
    return (this.moments[1] ?? this.moments[0])?.at ?? 0;
  }

  // How many moments there were by then.
  count(at) {
    let low = 0;
    let high = this.moments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.moments[middle].at <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // Each change of the path between two, up to a moment, oldest first.
  movesOf(from, to, moment) {
    const moves = this.moves.get(`${from} ${to}`) ?? [];
    return moves.at(-1)?.count > moment.moves ? moves.filter((move) => move.count <= moment.moves) : moves;
  }
}
