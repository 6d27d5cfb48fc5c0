// Geometry of the drawing: polylines with square corners, moved aside for each lane, and points along them.

const ASIDE = { relay: -6, "peer-relay": 0, direct: 6, other: 11 };
const DEEP = { relay: -9, "peer-relay": 0, direct: 9, other: 4 };
const SLOTS = 3; // pairs that share the internet are drawn a little apart

export function aside(points, lane) {
  return points.map(([x, y]) => [x + ASIDE[lane], y + ASIDE[lane]]);
}

// From one uplink through the internet to another; `band` is its box.
export function across(from, to, lane, band, tall, slot) {
  const deep = (slot % SLOTS) * 3 - 3 + DEEP[lane];
  const [start] = aside([from.at(-1)], lane);
  const [end] = aside([to.at(-1)], lane);
  if (tall) {
    const x = band.x + band.width / 2 + deep;
    return [[from.at(-1)[0], start[1]], [x, start[1]], [x, end[1]], [to.at(-1)[0], end[1]]];
  }
  const y = band.y + band.height / 2 + deep;
  return [[start[0], from.at(-1)[1]], [start[0], y], [end[0], y], [end[0], to.at(-1)[1]]];
}

// Its ends stay on the edges of the machines, however far the lane is moved aside.
export function wire(points, lane, tall) {
  const moved = aside(points, lane);
  const along = tall ? 0 : 1;
  for (const end of [0, points.length - 1]) moved[end][along] = points[end][along];
  return moved;
}

export function d(points) {
  return `M${points.map(([x, y]) => `${x} ${y}`).join("L")}`;
}

// A way to walk: where one is after a share of it.
export function walk(points) {
  const lengths = [0];
  for (let n = 1; n < points.length; n++) {
    const [[ax, ay], [bx, by]] = [points[n - 1], points[n]];
    lengths.push(lengths[n - 1] + Math.hypot(bx - ax, by - ay));
  }
  const whole = lengths.at(-1) || 1;
  return (share) => {
    const far = share * whole;
    let n = 1;
    while (n < points.length - 1 && lengths[n] < far) n++;
    const leg = lengths[n] - lengths[n - 1] || 1;
    const part = Math.min(Math.max((far - lengths[n - 1]) / leg, 0), 1);
    const [[ax, ay], [bx, by]] = [points[n - 1], points[n]];
    return [ax + (bx - ax) * part, ay + (by - ay) * part];
  };
}
