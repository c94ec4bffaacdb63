// Geometry of the living figures: vectors, the four angles, chance, and the lines of a spine.
//
// Landmarks are [x, y], y down, in the order of lumbo.angles.LANDMARKS.  What is measured or drawn
// of a patient is in the patient frame [forward, up], so that one sign convention serves both sides.

// --- vectors in the patient frame, angles in degrees, forward towards up positive --------

export const UP = [0, 1], DOWN = [0, -1], FORWARD = [1, 0], BACKWARD = [-1, 0];
export const add = (a, b) => [a[0] + b[0], a[1] + b[1]];
export const sub = (a, b) => [a[0] - b[0], a[1] - b[1]];
export const mul = (a, k) => [a[0] * k, a[1] * k];
export const mix = (a, b, t) => add(mul(a, 1 - t), mul(b, t));
export const mid = (a, b) => mix(a, b, 0.5);
export const len = (a) => Math.hypot(a[0], a[1]);
export const unit = (a) => (len(a) ? mul(a, 1 / len(a)) : FORWARD);
export const left = (a) => [-a[1], a[0]]; // a quarter turn, forward towards up
export const right = (a) => [a[1], -a[0]];
export const along = (from, way, distance) => add(from, mul(unit(way), distance));
export const degrees = (radians) => (radians * 180) / Math.PI;
export const bearing = (a) => degrees(Math.atan2(a[1], a[0]));
export const direction = (deg) => [Math.cos((deg * Math.PI) / 180), Math.sin((deg * Math.PI) / 180)];
export const turn = (a, deg) => {
  const [c, s] = direction(deg);
  return [c * a[0] - s * a[1], s * a[0] + c * a[1]];
};
/** The angle that turns `a` onto `b`, in (-180, 180]; null where one of them has no length. */
export const between = (a, b) =>
  len(a) && len(b) ? degrees(Math.atan2(a[0] * b[1] - a[1] * b[0], a[0] * b[0] + a[1] * b[1])) : null;

/** Image to patient frame; its own inverse. */
export const flip = ([x, y], anterior) => [anterior === "right" ? x : -x, -y];

// --- what is measured --------------------------------------------------------------------

/** The lines behind the angles: plates, their middles, hip axis, leg from O to M, S1 normal. */
export function construct([s1Front, s1Back, l1Front, l1Back, near, far]) {
  const s1 = sub(s1Front, s1Back), M = mid(s1Front, s1Back), O = mid(near, far);
  return { s1, M, O, leg: sub(M, O), normal: right(s1), l1: sub(l1Front, l1Back), L: mid(l1Front, l1Back) };
}

/** SS, PT, PI, LL in (-180, 180].  Each is read off its own two lines; none is added up from the others. */
export function measure({ s1, leg, normal, l1 }) {
  return {
    SS: between(s1, FORWARD),
    PT: between(UP, leg),
    PI: between(normal, mul(leg, -1)),
    LL: between(s1, l1),
  };
}

/** The four angles of landmarks as an image shows them. */
export const anglesOf = (landmarks, anterior) => measure(construct(landmarks.map((p) => flip(p, anterior))));

/** How each angle turns with each point: ANGLES -> six vectors in the patient frame, radians for a unit of length. */
export function gradients(landmarks, anterior) {
  const { s1, leg, l1 } = construct(landmarks.map((p) => flip(p, anterior)));
  const per = (line) => mul(left(line), 1 / len(line) ** 2), minus = (a) => mul(a, -1), no = [0, 0];
  const s = per(s1), l = per(l1), h = mul(per(leg), 0.5); // M and O are each the middle of two points
  const SS = [minus(s), s, no, no, no, no], PT = [h, h, no, no, minus(h), minus(h)];
  return { SS, PT, PI: SS.map((g, i) => add(g, PT[i])), LL: [minus(s), s, l, minus(l), no, no] };
}

// --- chance: the same numbers everywhere for the same seed ---------------------------------

/** Uniform numbers in [0, 1) from a whole number (mulberry32). */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Normal numbers of mean 0 and SD 1 (Box and Muller). */
export function normal(seed) {
  const next = uniform(seed);
  return () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

// --- lines: [x, y] after [x, y], first point repeated if closed ----------------------------

/** Points given in units of `axis` (first number) and of its left normal (second). */
export const inFrame = (origin, axis, shape) =>
  shape.map(([a, b]) => add(origin, add(mul(axis, a), mul(left(axis), b))));

export const arc = (centre, radius, from, sweep) =>
  Array.from({ length: 33 }, (_, i) => add(centre, mul(direction(from + (sweep * i) / 32), radius)));

export const closed = (line) => [...line, line[0]];

/** A curve from p to q that leaves the chord to the left by `depth` of its length. */
export const bulge = (p, q, depth) =>
  Array.from({ length: 9 }, (_, i) => add(mix(p, q, i / 8), mul(left(sub(q, p)), (depth * i * (8 - i)) / 16)));

/** A curve through the points (Catmull-Rom). */
export function smooth(points) {
  const at = (i) => points[Math.min(Math.max(i, 0), points.length - 1)];
  const piece = (i, t) => [0, 1].map((k) => {
    const [p, q, r, s] = [at(i - 1)[k], at(i)[k], at(i + 1)[k], at(i + 2)[k]];
    return q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)));
  });
  return points.flatMap((_, i) => (i + 1 < points.length ? [0, 0.25, 0.5, 0.75].map((t) => piece(i, t)) : [at(i)]));
}

/** Plates of L5 to L1, {low, high}, [front, back] each, along a cubic from the S1 plate to the L1 plate. */
export function column({ s1, M, l1, L }) {
  const reach = len(sub(L, M)), go = mul(left(unit(s1)), 0.95 * reach), come = mul(left(unit(l1)), 1.1 * reach);
  const curve = Array.from({ length: 121 }, (_, i) => {
    const t = i / 120, blend = t * t * (3 - 2 * t);
    return add(mix(M, L, blend), add(mul(go, t * (1 - t) ** 2), mul(come, t * t * (t - 1))));
  });
  const run = [0];
  for (let i = 1; i < curve.length; i++) run.push(run[i - 1] + len(sub(curve[i], curve[i - 1])));
  const plate = (share) => {
    const goal = share * run[120], i = Math.max(1, run.findIndex((r) => r >= goal));
    const way = share === 1 ? left(l1) : sub(curve[i], curve[i - 1]);
    const middle = mix(curve[i - 1], curve[i], (goal - run[i - 1]) / (run[i] - run[i - 1] || 1));
    const half = (len(s1) * (1 - share) + len(l1) * share) / 2;
    return [along(middle, right(way), half), along(middle, right(way), -half)];
  };
  const disc = 0.25; // of a level's height
  return [0, 1, 2, 3, 4].map((i) => ({ low: plate((i + disc) / 5), high: plate((i + 1) / 5) }));
}

const SACRUM_SKETCH = [[-1, 0], [-1.45, -1.3], [-1.35, -2.7], [-0.6, -4.2], [0.6, -5.3], [0.75, -5], [0, -3.9], [-0.25, -2.5],
  [0.15, -1.3], [1, 0]]; // in halves of the S1 plate

/** L5 to L1 and the sacrum in few lines, for where the patient is drawn small: closed lines in the patient frame. */
export function sketch(lines) {
  return {
    bodies: column(lines).map(({ low, high }) => closed([...low, high[1], high[0]])),
    sacrum: [closed(smooth(inFrame(lines.M, mul(lines.s1, 0.5), SACRUM_SKETCH)))],
  };
}

/** The `d` of a path through lines that `place` takes to the page. */
export const path = (lines, place = (p) => p) =>
  lines.map((line) => `M${line.map((p) => place(p).map((v) => v.toFixed(2)).join(" ")).join("L")}`).join("");
