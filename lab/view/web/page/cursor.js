// The moment that is looked at: now, or one of the past, standing or running on.

export class Cursor {
  constructor(past) {
    this.past = past;
    this.offset = null; // the server's clock (s) less the page's own (ms / 1000)
    this.isLive = true;
    this.isRunning = true;
    this.at = 0;
    this.count = 0;
    this.last = null;
  }

  // What the server's clock said, some moments ago: the least late that we have heard is the best we know.
  hear(at) {
    this.offset = Math.max(this.offset ?? -Infinity, at - performance.now() / 1000);
  }

  restart() {
    this.count = this.past.moments.length; // what has passed is not played again
  }

  serverNow() {
    return this.offset === null ? 0 : performance.now() / 1000 + this.offset;
  }

  live() {
    this.isLive = this.isRunning = true;
    this.count = this.past.moments.length;
  }

  pause() {
    if (this.isLive) this.at = this.serverNow();
    this.isLive = this.isRunning = false;
  }

  run() {
    this.isRunning = true;
  }

  go(at) {
    this.isLive = this.isRunning = false;
    this.at = Math.min(Math.max(at, this.past.start), this.serverNow());
    this.count = this.past.count(this.at);
  }

  // One frame: the time shown, the moment that holds, and the moments that passed since the last frame.
  step(time) {
    const now = this.serverNow();
    const elapsed = this.last === null ? 0 : (time - this.last) / 1000;
    this.last = time;
    if (this.isLive) this.at = now;
    else if (this.isRunning) this.at = Math.min(this.at + elapsed, now);
    // Live shows what has come, even if its clock is a little ahead of ours.
    const count = this.isLive ? this.past.moments.length : this.past.count(this.at);
    const passed = count > this.count ? this.past.moments.slice(this.count, count) : [];
    this.count = count;
    return { now: this.at, moment: this.past.moments[count - 1] ?? null, passed };
  }
}
