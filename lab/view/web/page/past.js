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
    this.moves = [];
    this.story = [];
    this.beats = [];
    moments.forEach((moment) => this.add(moment));
  }

  add(raw) {
    this.moves.push(...(raw.moves ?? []));
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
      moves: this.moves.length,
      story: this.story.length,
      beats: this.beats.length,
    });
    if (this.moments.length > KEPT + 1000) this.moments.splice(0, 1000);
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
    return this.moves.slice(0, moment.moves).filter((move) => move.from === from && move.to === to);
  }
}
