// The ErrorCloud figure: what a rater's slips and habit, and a stretched picture, do to four angles.  Taught in measuring.
//
// Everything the reader moves lies in the picture: [x, y] in millimetres, y down, where a stretched
// picture shows it.  The patient faces left, as in the chapter.

import { ANGLES, NAMES, arrows, button, drag, follow, hold, keep, node, shell, show, slider } from "./core.js";
import { BACKWARD, UP, add, along, anglesOf, arc, closed, construct, flip, gradients, len, mid, mul, normal,
  path, sketch, sub, turn } from "./geometry.js";

const DRAWS = 200, DEGREES = 180 / Math.PI; // in a radian
const SPOTS = [0, 1, 2, 2, 3, 3]; // which of the four slips strikes each landmark
const SLIPS = ["S1 front", "S1 back", "L1 corners", "Heads"];
const RATERS = { // slips in mm, habit in degrees: the chapter's two raters, and its two lop-sided ones
  "Sure hand": [[1, 1, 1, 2], 4],
  "Shaky hand": [[2, 2, 2, 4], 0],
  "Front of S1 only": [[1.4, 0, 0, 0], 0],
  "Back of S1 only": [[0, 1.4, 0, 0], 0],
};
const POINTS = ["S1 plate, front corner", "S1 plate, back corner", "L1 plate, front corner", "L1 plate, back corner",
  "Near femoral head", "Far femoral head"];
const CHANGES = ["SS", "SS", "LL", "LL", "PT", "PT"]; // the angle that a screen reader hears at each point

// --- measuring ---------------------------------------------------------------------------

const anglesAt = (points) => anglesOf(points, "left");
const stretched = (points, ratio) => points.map(([x, y]) => [x, y * ratio]);
const wrap = (deg) => deg - 360 * Math.round(deg / 360);
/** By how much angles differ from the true ones, the short way round. */
const errors = (points, truth) => {
  const read = anglesAt(points);
  return Object.fromEntries(ANGLES.map((name) => [name, read[name] === null ? NaN : wrap(read[name] - truth[name])]));
};

/** The points of a rater with a habit and no slips: S1 turned about its middle. */
function habitual(points, steeper) {
  const middle = mid(points[0], points[1]);
  return points.map((p, i) => (i < 2 ? add(middle, turn(sub(p, middle), -steeper)) : p));
}

/** Where the rater marks the points: DRAWS times six. */
function remeasure({ landmarks, slip_mm, steeper_deg, stretch, seed }) {
  const next = normal(seed), meant = habitual(stretched(landmarks, stretch), steeper_deg);
  return Array.from({ length: DRAWS }, () =>
    meant.map(([x, y], i) => [x + slip_mm[SPOTS[i]] * next(), y + slip_mm[SPOTS[i]] * next()]));
}

/** To first order: the SD of each angle in degrees, and the correlation of SS and PT, for slips at these points. */
function firstOrder(points, slip_mm) {
  const turns = gradients(points, "left"), slopes = Object.fromEntries(ANGLES.map((name) => [name, turns[name].map((g) => mul(g, DEGREES))]));
  const dot = (a, b) => a.reduce((sum, v, i) => sum + slip_mm[SPOTS[i]] ** 2 * (v[0] * b[i][0] + v[1] * b[i][1]), 0);
  const sd = Object.fromEntries(ANGLES.map((name) => [name, Math.sqrt(dot(slopes[name], slopes[name]))]));
  return { sd, r: dot(slopes.SS, slopes.PT) / (sd.SS * sd.PT) };
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
/** Sum of the products of what each pair differs from the means. */
function products(a, b = a) {
  const [p, q] = [mean(a), mean(b)];
  return a.reduce((sum, v, i) => sum + (v - p) * (b[i] - q), 0);
}
/** The SD of the rater, estimated from a sample of readings: over n - 1. */
const sampleSd = (values) => Math.sqrt(products(values) / (values.length - 1));
const correlation = (a, b) => products(a, b) / Math.sqrt(products(a) * products(b));

// --- the picture: the whole patient, and three places under a lens --------------------------

const WIDE = 330, HIGH = 376, SPINE = 116, GAP = 6; // in units of the picture
const LENSES = [ // which points, how high in the picture, and how far the corners may lie apart before it shrinks
  { name: "L1 plate", points: [2, 3], high: 96 },
  { name: "S1 plate", points: [0, 1], high: 150 },
  { name: "Femoral heads", points: [4, 5], high: 118 },
];
const LENS = WIDE - SPINE - GAP, PER_MM = 3; // width of a lens, and its units per millimetre
const PLATES = 25; // how many of the measured plates are drawn as lines
const HEADS = [25, 22.5]; // mm, as in posture.js
const REACH = 3; // mm from the edge of a lens that a mark keeps

/** What a lens shows of the picture: x, y, width, height in mm, around its two points. */
function lensAt(points, { points: [i, j], high }) {
  const [x, y] = mid(points[i], points[j]), apart = sub(points[i], points[j]).map(Math.abs);
  const mm = Math.max(1 / PER_MM, (apart[0] + 16) / LENS, (apart[1] + 16) / high);
  return { x: x - (LENS * mm) / 2, y: y - (high * mm) / 2, w: LENS * mm, h: high * mm, mm };
}

function buildPicture(root) {
  const film = node("svg", { class: "film", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group",
    "aria-label": "Lumbar spine and pelvis from the side, facing left, and three places under a lens" }, root);
  const whole = node("svg", { x: 0, y: 0, width: SPINE, height: HIGH, class: "whole" }, film);
  const paths = {};
  for (const [name, kind] of Object.entries({ heads: "head", sacrum: "bone", bodies: "bone", level: "reference",
    frames: "frames", lines: "plate" })) paths[name] = node("path", { class: kind }, whole);
  let top = 0;
  const lenses = LENSES.map(({ name, points, high }) => {
    const x = SPINE + GAP, y = top;
    top += high + GAP;
    node("rect", { x, y, width: LENS, height: high, rx: 5, class: "glass" }, film);
    const view = node("svg", { x, y, width: LENS, height: high }, film), inside = node("g", {}, view), lines = {};
    for (const kind of ["head", "again", "cloud", "true", "mark"]) lines[kind] = node("path", { class: kind }, inside);
    const knobs = points.map((i) => {
      const knob = node("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": POINTS[i],
        "aria-valuemin": -180, "aria-valuemax": 180 }, inside);
      node("circle", { class: "hit" }, knob);
      node("circle", { class: "dot" }, knob);
      return knob;
    });
    node("text", { x: x + 7, y: y + 11, class: "name" }, film, name);
    return { view, inside, lines, knobs };
  });
  return { film, whole, paths, lenses };
}

// --- the numbers ----------------------------------------------------------------------------

const ENDS = [2, 5, 10, 15, 20, 30, 45, 90, 180]; // degrees at the end of a strip
const STRIP = { wide: 150, high: 34 }, BINS = 30, SQUARE = 150;
const signed = (value) => (Number(value.toFixed(1)) > 0 ? "+" : "") + show(value); // a dash where there is none

function buildReadings(panel) {
  const box = node("div", { class: "readings" }, panel), cells = {};
  for (const name of ANGLES) {
    const cell = node("span", { class: "reading" }, box);
    const head = node("span", {}, cell);
    node("b", { class: name, title: NAMES[name] }, head, name);
    const value = node("strong", { "data-read": name }, head);
    cells[name] = { value, note: node("small", {}, cell) };
  }
  return cells;
}

function buildResults(root) {
  const box = node("div", { class: "results" }, root), table = node("table", {}, box);
  node("caption", {}, table, `Errors of ${DRAWS} readings by this rater`);
  const top = node("tr", {}, node("thead", {}, table)), body = node("tbody", {}, table), rows = {};
  for (let i = 0; i < 2; i++) node("td", {}, top);
  for (const words of ["mean", "SD", "SD, first order"]) node("th", { scope: "col" }, top, words);
  for (const name of ANGLES) {
    const row = node("tr", {}, body);
    node("th", { scope: "row", class: name }, row, name);
    const strip = node("svg", { viewBox: `0 0 ${STRIP.wide} ${STRIP.high}`, "aria-hidden": true, class: `strip ${name}` },
      node("td", {}, row));
    const lines = Object.fromEntries(["bars", "reference", "curve"].map((kind) => [kind, node("path", { class: kind }, strip)]));
    const values = ["mean", "sd", "first"].map((kind) => node("td", { [`data-${kind}`]: name }, row));
    rows[name] = { lines, values };
  }
  const foot = node("tr", { "aria-hidden": true }, node("tfoot", {}, table));
  node("td", {}, foot);
  const scale = node("div", { class: "scale" }, node("td", {}, foot));
  node("td", { colspan: 3 }, foot);
  const ends = [0, 1, 2].map(() => node("span", {}, scale));
  const side = node("div", { class: "together" }, box);
  const plot = node("svg", { viewBox: `0 0 ${SQUARE} ${SQUARE}`, role: "img" }, side), parts = {};
  for (const kind of ["reference", "dots"]) parts[kind] = node("path", { class: kind }, plot);
  node("text", { class: "angle SS", x: SQUARE - 4, y: SQUARE / 2 + 9, "text-anchor": "end" }, plot, "SS");
  node("text", { class: "angle PT", x: SQUARE / 2 + 5, y: 9 }, plot, "PT");
  const edge = node("text", { x: 4, y: SQUARE - 8 }, plot), says = node("p", {}, side);
  const text = node("output", { class: "says", "aria-live": "polite" }, box);
  const sum = node("p", {}, text), hand = node("p", {}, text);
  return { rows, ends, plot, parts, edge, says, text, sum, hand };
}

/** Bars of a histogram of errors from -end to end, and the first-order curve about `centre`. */
function strip(values, centre, sd, end) {
  const counts = Array(BINS).fill(0), cell = (2 * end) / BINS, x = (deg) => (STRIP.wide * (deg + end)) / (2 * end);
  for (const v of values) counts[Math.floor(hold((v + end) / cell, 0, BINS - 1e-9))]++;
  const peak = Math.max(...counts, sd > 0 ? (DRAWS * cell) / (sd * Math.sqrt(2 * Math.PI)) : 0);
  const y = (count) => STRIP.high - 1 - (count * (STRIP.high - 4)) / peak;
  const bars = counts.flatMap((count, i) => (count ? [closed([[x(i * cell - end), y(0)], [x(i * cell - end), y(count)],
    [x((i + 1) * cell - end), y(count)], [x((i + 1) * cell - end), y(0)]])] : []));
  const steps = Array.from({ length: 61 }, (_, i) => centre + ((i - 30) / 30) * 3.2 * sd);
  const share = (deg) => (DRAWS * cell * Math.exp(-(((deg - centre) / sd) ** 2) / 2)) / (sd * Math.sqrt(2 * Math.PI));
  return { bars, curve: sd > 0 ? [steps.map((deg) => [x(deg), y(share(deg))])] : [] };
}

// --- the controls ----------------------------------------------------------------------------

/** The patient with an S1 plate of this length; its middle and its slope stay. */
function resized([front, back, ...rest], mm) {
  const M = mid(front, back), half = sub(front, M);
  return [along(M, half, mm / 2), along(M, half, -mm / 2), ...rest];
}

/** The raters, the sliders and the buttons; each sets fields of the model. */
function buildControls(panel, model, first) {
  const raters = node("p", { class: "raters", role: "group", "aria-label": "The rater" }, panel);
  const chosen = Object.entries(RATERS).map(([words, [slip_mm, steeper_deg]]) =>
    button(raters, words, () => keep(model, { slip_mm, steeper_deg })));
  const grid = node("div", { class: "grid" }, panel);
  node("p", {}, grid, "Slips of the hand, SD");
  const made = SLIPS.map((label, i) => slider(grid, { label, min: 0, max: 4, step: 0.1, value: 0,
    format: (v) => show(v, 1, " mm"), act: (v) => keep(model, { slip_mm: model.get("slip_mm").with(i, v) }) }));
  node("p", {}, grid, "Habit, film and patient");
  const steeper = slider(grid, { label: "S1 steeper", min: -10, max: 10, step: 0.5, value: 0,
    format: (v) => signed(v), act: (v) => keep(model, { steeper_deg: v }) });
  const stretch = slider(grid, { label: "Picture height", min: 80, max: 125, step: 1, value: 100,
    format: (v) => show(v, 0, " %"), act: (v) => keep(model, { stretch: v / 100 }) });
  const plate = slider(grid, { label: "S1 length", min: 15, max: 55, step: 0.5, value: 36,
    format: (v) => show(v, 1, " mm"), act: (v) => keep(model, { landmarks: resized(model.get("landmarks"), v) }) });
  made.forEach(({ input }, i) => input.setAttribute("aria-label", `${SLIPS[i]}, SD of a slip`));
  const buttons = node("p", { class: "buttons" }, panel);
  button(buttons, "Read again", () => keep(model, { seed: (model.get("seed") + 1) % 2 ** 31 }));
  button(buttons, "Reset", () => keep(model, first));
  return { chosen, made, steeper, stretch, plate };
}

// --- what is drawn at each change --------------------------------------------------------------

/** Draw the whole patient, the lines of the marks, and frames about what the lenses show. */
function drawWhole(picture, landmarks, stretch, marks, view) {
  const bones = sketch(construct(landmarks.map((p) => flip(p, "left")))), drawn = construct(marks.map((p) => flip(p, "left")));
  const place = (p) => flip(p, "left"), stretchedTo = ([x, y]) => [x, y * stretch], bone = (p) => stretchedTo(place(p));
  const ys = landmarks.map((p) => p[1]), low = Math.min(...ys), high = Math.max(...ys);
  const mm = Math.max(1, (1.25 * (high - low) + 56) / HIGH), middle = mid(landmarks[0], landmarks[1])[0] + 4;
  picture.whole.setAttribute("viewBox",
    `${middle - (SPINE * mm) / 2} ${((low + high) * stretch - HIGH * mm) / 2} ${SPINE * mm} ${HIGH * mm}`);
  const set = (name, shapes, how) => picture.paths[name].setAttribute("d", path(shapes, how));
  set("heads", HEADS.map((radius, i) => arc(landmarks[4 + i], radius, 0, 360)), stretchedTo);
  set("sacrum", bones.sacrum, bone);
  set("bodies", bones.bodies, bone);
  set("level", [[drawn.M, along(drawn.M, BACKWARD, 60)], [drawn.O, along(drawn.O, UP, 110)]], place);
  set("frames", view.map(({ x, y, w, h }) => closed([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])));
  set("lines", [[marks[0], marks[1]], [marks[2], marks[3]], [place(drawn.O), place(drawn.M)]]);
}

/** Draw lens `k`: its landmarks, the rater's marks, and the reader's. */
function drawLens(k, { view: glass, lines, knobs }, { x, y, w, h, mm }, { stretch, moved_mm }, { seen, marks, cloud, read, truth }) {
  const { points } = LENSES[k];
  glass.setAttribute("viewBox", `${x} ${y} ${w} ${h}`);
  glass.style.setProperty("--mm", mm);
  const [i, j] = points, plate = i < 4;
  const set = (name, shapes) => lines[name].setAttribute("d", path(shapes));
  const egg = (at, radius) => arc([0, 0], radius, 0, 360).map(([dx, dy]) => add(at, [dx, dy * stretch]));
  set("head", plate ? [] : points.map((p, t) => egg(seen[p], HEADS[t])));
  set("again", plate ? cloud.slice(0, PLATES).map((six) => [six[i], six[j]]) : []);
  set("cloud", cloud.flatMap((six) => points.map((p) => [six[p], six[p]])));
  set("true", [...points.map((p) => arc(seen[p], 5.2 * mm, 0, 360)), ...(plate ? [[seen[i], seen[j]]] : [])]);
  set("mark", plate ? [[marks[i], marks[j]]] : []);
  knobs.forEach((knob, t) => {
    const p = points[t], [dx, dy] = moved_mm[p], name = CHANGES[p];
    knob.setAttribute("transform", `translate(${marks[p].map((v) => v.toFixed(3)).join(" ")})`);
    knob.children[0].setAttribute("r", Math.min(15, 0.48 * len(sub(marks[i], marks[j])) / mm + 4) * mm);
    knob.children[1].setAttribute("r", 3.6 * mm);
    const off = read[name] === null ? NaN : wrap(read[name] - truth[name]);
    knob.setAttribute("aria-valuenow", Math.round((off || 0) * 10) / 10);
    const across = `${show(Math.abs(dx), 1, " mm")} ${dx < 0 ? "left" : "right"}`;
    knob.setAttribute("aria-valuetext", `${name} ${show(read[name])}, error ${signed(off)}; moved ${across}, ` +
      `${show(Math.abs(dy), 1, " mm")} ${dy < 0 ? "up" : "down"}`);
  });
}

/** Write what the reader's marks measure; returns how many angles are wrong. */
function drawReadings(cells, read, truth) {
  let wrong = 0;
  for (const name of ANGLES) {
    cells[name].value.textContent = show(read[name]);
    const off = read[name] === null ? NaN : wrap(read[name] - truth[name]);
    if (!(Math.abs(off) < 0.05)) wrong++;
    cells[name].note.textContent = `true ${show(truth[name])},\nerror ${signed(off)}`;
  }
  return wrong;
}

/** What the sum of PT and SS says where angles are wrong. */
function sumWords(read, wrong, { stretch, moved_mm }) {
  const moved = moved_mm.some((p) => len(p) > 0), high = show(100 * stretch, 0, " %");
  const held = `PT + SS = ${show(read.PT)} + ${show(read.SS)}, and PI, read on its own lines, is ${show(read.PI)}.`;
  const why = [stretch === 1 ? "" : `the picture has ${high} of its height and 100 % of its width`,
    moved ? "your marks are off" : ""].filter((words) => words).join(", and ");
  const many = wrong === 4 ? "all four angles are" : wrong === 1 ? "one angle is" : `${wrong} of the four angles are`;
  return why
    ? `${why[0].toUpperCase()}${why.slice(1)}: ${many} wrong. Still ${held} So the sum does not prove that the angles are right.`
    : `Your marks lie on the landmarks. ${held}`;
}

/** The SD of SS as one works it out by hand. */
function handWords(slip_mm, length, sd) {
  const [front, back] = slip_mm.map((e) => show(e, 1, ""));
  return `SD of SS by hand: √(${front}² + ${back}²) mm / ${show(length, 1, "")} mm = ${show(sd / DEGREES, 3, "")} radians = ${show(sd)}.`;
}

/** Draw the errors of all readings, and what the formula of first order says of them. */
function drawErrors(results, all, bias, { sd, r }) {
  const columns = Object.fromEntries(ANGLES.map((name) => [name, all.map((error) => error[name])]));
  const widest = Math.max(...ANGLES.map((name) => Math.abs(mean(columns[name])))) +
    3.3 * Math.max(...ANGLES.map((name) => sampleSd(columns[name])));
  const end = ENDS.find((value) => widest <= value) ?? ENDS.at(-1);
  for (const name of ANGLES) {
    const { lines, values } = results.rows[name], shapes = strip(columns[name], bias[name], sd[name], end);
    lines.bars.setAttribute("d", path(shapes.bars));
    lines.curve.setAttribute("d", path(shapes.curve));
    lines.reference.setAttribute("d", `M${STRIP.wide / 2} 0V${STRIP.high}`);
    values[0].textContent = signed(mean(columns[name]));
    values[1].textContent = show(sampleSd(columns[name]));
    values[2].textContent = show(sd[name]);
  }
  [`−${end}°`, "0°", `+${end}°`].forEach((words, i) => { results.ends[i].textContent = words; });
  const at = (v) => SQUARE / 2 + (hold(v, -end, end) * SQUARE) / (2 * end) * 0.96, half = SQUARE / 2;
  results.parts.reference.setAttribute("d", `M0 ${half}H${SQUARE}M${half} 0V${SQUARE}`);
  results.parts.dots.setAttribute("d", path(columns.SS.map((v, i) => [[at(v), SQUARE - at(columns.PT[i])],
    [at(v), SQUARE - at(columns.PT[i])]])));
  const found = correlation(columns.SS, columns.PT);
  results.edge.textContent = `±${end}°`;
  const words = `Errors of SS and PT: correlation ${show(found, 2, "")}, first order ${show(r, 2, "")}.`;
  results.says.textContent = words;
  results.plot.setAttribute("aria-label", words);
}

function drawControls(sliders, { landmarks, slip_mm, steeper_deg, stretch }) {
  sliders.made.forEach(({ set }, i) => set(slip_mm[i]));
  sliders.steeper.set(steeper_deg);
  sliders.stretch.set(100 * stretch);
  sliders.plate.set(len(sub(landmarks[0], landmarks[1])));
  Object.values(RATERS).forEach(([slips, steeper], i) =>
    sliders.chosen[i].setAttribute("aria-pressed", steeper === steeper_deg && slips.every((v, k) => v === slip_mm[k])));
}

// --- the page ----------------------------------------------------------------------------------

const FIELDS = ["landmarks", "moved_mm", "slip_mm", "steeper_deg", "stretch", "seed"];

function render({ model, el }) {
  const state = () => Object.fromEntries(FIELDS.map((field) => [field, model.get(field)]));
  const first = state(), root = shell(el, "slips");
  const picture = buildPicture(root), panel = node("div", { class: "panel" }, root);
  const cells = buildReadings(panel), sliders = buildControls(panel, model, first), results = buildResults(root);
  node("p", { class: "help" }, root, "Drag a dark dot under a lens, or Tab to it and use the arrow keys (Shift: 5 mm): it is " +
    "your own mark. The rings are the landmarks; the small dots are the rater's. First order: what grows in proportion to the " +
    "slips, as √2 e/L for SS. Not for clinical use.");
  let view = []; // of each lens

  function draw() {
    const now = state(), { landmarks, moved_mm, slip_mm, steeper_deg, stretch } = now;
    const truth = anglesAt(landmarks), seen = stretched(landmarks, stretch);
    const marks = seen.map((p, i) => add(p, moved_mm[i])), read = anglesAt(marks);
    const cloud = remeasure(now), meant = habitual(seen, steeper_deg);
    view = LENSES.map((lens) => lensAt(seen, lens));
    drawWhole(picture, landmarks, stretch, marks, view);
    picture.lenses.forEach((lens, k) => drawLens(k, lens, view[k], now, { seen, marks, cloud, read, truth }));
    results.sum.textContent = sumWords(read, drawReadings(cells, read, truth), now);
    const formula = firstOrder(meant, slip_mm);
    drawErrors(results, cloud.map((points) => errors(points, truth)), errors(meant, truth), formula);
    results.hand.textContent = handWords(slip_mm, len(sub(seen[0], seen[1])), formula.sd.SS);
    drawControls(sliders, now);
  }

  /** Move mark `p` by `step` from where `base` has it, as far as lens `k` shows and the other points allow. */
  function shift(k, p, base, step) {
    const { x, y, w, h } = view[k], seen = stretched(model.get("landmarks"), model.get("stretch"));
    const at = add(seen[p], add(base[p], step));
    const kept = [hold(at[0], x + REACH, x + w - REACH), hold(at[1], y + REACH, y + h - REACH)];
    const moved = base.with(p, sub(kept, seen[p])), marks = seen.map((q, i) => add(q, moved[i]));
    const { s1, l1, leg } = construct(marks.map((q) => flip(q, "left")));
    if (len(s1) > 4 && len(l1) > 4 && len(leg) > 12) keep(model, { moved_mm: moved });
  }

  // A screen reader hears the result, not each step.
  const busy = () => results.text.setAttribute("aria-busy", "true"), rest = () => results.text.removeAttribute("aria-busy");
  panel.addEventListener("input", busy);
  panel.addEventListener("change", rest);
  picture.lenses.forEach(({ inside, knobs }, k) => knobs.forEach((knob, t) => {
    const p = LENSES[k].points[t];
    drag(inside, knob, {
      begin: () => {
        busy();
        return model.get("moved_mm");
      },
      move: (base, from, at) => shift(k, p, base, sub(at, from)),
      end: rest,
    });
    arrows(knob, (step) => shift(k, p, model.get("moved_mm"), mul(step, 0.5)));
  }));

  return follow(model, FIELDS, draw);
}

export { remeasure, firstOrder };
export default { render };
