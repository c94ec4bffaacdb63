// The Pelvis figure: drag six landmarks, turn the pelvis, read four angles.  Taught in four_angles.
//
// One ES module for two homes: anywidget calls `render` with a live model, a static page
// with a plain one.  Landmarks are [x, y] in millimetres, y down, in the order of
// lumbo.angles.LANDMARKS.  Everything is measured and drawn in the patient frame
// [forward, up], so that one sign convention serves both viewing sides.

import { ANGLES, NAMES, arrows, button, drag, follow, hold, judge, keep, load, node, shell, show, slider } from "./core.js";
import { BACKWARD, DOWN, FORWARD, UP, add, along, anglesOf, arc, bearing, between, bulge, closed, column, construct,
  direction, flip, inFrame, left, len, measure, mid, mul, path, right, smooth, sub, turn, unit } from "./geometry.js";
import { ROUSSOULY_GROUPS, roussouly, roussoulyShares, untyped } from "./indices.js";

const LEVELS = ["L5", "L4", "L3", "L2", "L1"];
const HANDLES = [ // which landmarks move together, the angle that a screen reader hears, and the shape
  { name: "S1 plate, front corner", moves: [0], angle: "SS", shape: "square" },
  { name: "S1 plate, back corner", moves: [1], angle: "SS", shape: "square" },
  { name: "S1 plate, both corners", moves: [0, 1], angle: "PT", shape: "diamond" },
  { name: "Hip axis with both femoral heads", moves: [4, 5], angle: "PT", shape: "diamond" },
  { name: "Near femoral head", moves: [4], angle: "PT", shape: "square" },
  { name: "Far femoral head", moves: [5], angle: "PT", shape: "square" },
  { name: "L1 plate, front corner", moves: [2], angle: "LL", shape: "square" },
  { name: "L1 plate, back corner", moves: [3], angle: "LL", shape: "square" },
  { name: "L1 plate, both corners", moves: [2, 3], angle: "LL", shape: "diamond" },
  { name: "Turn the pelvis", moves: [], angle: "PT", shape: "ring" },
];
const SHAPES = { // of a handle: square ones change the anatomy, the round one the posture
  square: "M-3.4 -3.4H3.4V3.4H-3.4Z",
  diamond: "M0 -4.4L4.4 0L0 4.4L-4.4 0Z",
  ring: "M-5.2 -3A6 6 0 1 1 -5.2 3M-8.2 -3.4L-5 -3.2L-4.6 -6.6",
};
const RING_AT = [-0.62, -2.35]; // on the sacrum, in halves of the S1 plate
const PT_RANGE = [-40, 60]; // degrees that the slider and the sacrum can reach

// --- poses -------------------------------------------------------------------------------

/** Turn the S1 plate about the hip axis until PT is `pt`; the heads stay.
 *
 * L1 turns with it or, with the trunk upright, keeps its tilt and its way from S1: either way the column keeps its length. */
function tiltPelvis(points, pt, upright) {
  const { O, M, leg } = construct(points), by = pt - between(UP, leg), turned = (p) => add(O, turn(sub(p, O), by));
  const step = sub(turned(M), M), l1 = upright ? (p) => add(p, step) : turned;
  return points.map((p, i) => (i < 2 ? turned(p) : i < 4 ? l1(p) : p));
}

/** Whether the points that must differ do: a drag stops before two of them meet. */
function sound(points) {
  const { s1, leg, l1 } = construct(points);
  return len(s1) > 4 && len(l1) > 4 && len(leg) > 12;
}

const mirrored = (landmarks, width) => landmarks.map(([x, y]) => [width - x, y]);
const other = (anterior) => (anterior === "left" ? "right" : "left");
const wrapped = (deg) => ((deg + 540) % 360) - 180;
const changes = (angles, before) => Object.fromEntries(ANGLES.map((name) =>
  [name, angles[name] === null || before[name] === null ? null : wrapped(angles[name] - before[name])]));
const alike = (angles, others, within) =>
  Object.values(changes(angles, others)).every((by) => by !== null && Math.abs(by) < within);

// --- what is said of a pose -----------------------------------------------------------------

const READER_SD = 2.9; // degrees of SS when one reader reads again: Kyrölä 2018, upper end of three readers

function derivedWords({ SS, PT, PI, LL }) {
  if ([SS, PT, PI, LL].includes(null)) return "PI − LL: –";
  const gap = wrapped(PI - LL), none = untyped(PT, gap), said = `PI − LL = ${show(gap)}.`;
  if (none) return `${said} ${none}`;
  const { group, away } = roussouly(SS), share = roussoulyShares(SS, READER_SD)[group];
  return `${said} By SS, Roussouly type ${ROUSSOULY_GROUPS[group]}, ${show(away)} from the nearest border. If a rater’s error has ` +
    `an SD of ${show(READER_SD)} (Kyrölä 2018), ${Math.round(100 * share)} of 100 readings give this type.`;
}

// --- what is drawn: name -> polylines in the patient frame, first point repeated if closed -

// Units: half an S1 plate (sacrum); 112ths of O-M at PT 12 (hip bone); mm (femur); half a body, down (arch).
const SACRUM = [[-1, 0], [-1.4, -0.5], [-1.35, -1.1], [-1.6, -1.6], [-1.4, -2.2], [-1.45, -2.8], [-1.1, -3.5],
  [-0.6, -4.3], [0.15, -5.0], [0.75, -5.4], [0.9, -5.2], [0.45, -4.7], [0.05, -4.1], [-0.2, -3.3], [-0.2, -2.5],
  [0, -1.7], [0.4, -0.9], [1, 0]];
const SACRUM_SEAMS = [[[0.3, -1.05], [-0.85, -1.2]], [[-0.08, -2], [-0.95, -2.1]], [[-0.2, -2.9], [-0.9, -2.9]]];
const HIP_BONE = [[50, 88], [40, 118], [14, 144], [-20, 153], [-56, 142], [-84, 118], [-97, 94], [-86, 73], [-58, 61],
  [-40, 48], [-33, 30], [-41, 12], [-49, 2], [-39, -14], [-43, -40], [-40, -65], [-24, -79], [-6, -75], [14, -60],
  [34, -48], [50, -43], [60, -29], [56, -14], [41, -5], [32, 10], [35, 36], [31, 50], [39, 63], [51, 76], [50, 88]];
const OBTURATOR = [[-20, -36], [-16, -54], [-2, -58], [16, -46], [33, -32], [26, -22], [6, -25], [-10, -26],
  [-20, -36]];
const FEMUR = [[9, -24], [15, -44], [15, -70], [13, -110], [-14, -110], [-14, -74], [-19, -60], [-25, -52], [-24, -42], [-30, -30],
  [-39, -14], [-40, 4], [-32, 13], [-23, 9], [-19, -4], [-5, -16], [9, -24]]; // trochanters behind, the neck under the heads
const ARCH = [[0, -0.35], [0.6, -0.5], [1, -0.25], [1.6, -0.05], [2.4, 0.25], [2.6, 0.55], [2.25, 0.85],
  [1.5, 0.75], [1.05, 0.85], [0.75, 0.55], [0.5, 0.1], [0, 0.1]];
const HEAD = { near: 25, far: 22.5 }; // mm; a film shows the head nearer to the tube larger

function bones(points, { s1, M, O, leg }, levels, knees) {
  const plates = [points.slice(0, 2), ...levels.flatMap(({ low, high }) => [low, high])];
  const half = mul(s1, 0.5);
  const cross = (at) => [UP, FORWARD].map((way) => [along(at, way, 3), along(at, way, -3)]);
  const head = (centre, radius) => [arc(centre, radius, 0, 360), ...cross(centre)];
  return {
    hip: [HIP_BONE, OBTURATOR].map((line) => smooth(inFrame(O, turn(mul(right(leg), 1 / 112), -12), line))),
    femur: [smooth(inFrame(O, direction(knees), FEMUR))],
    arches: levels.map(({ low, high }) =>
      closed(smooth(inFrame(mid(high[1], low[1]), mul(sub(high[1], high[0]), 0.5), ARCH)))),
    discs: levels.map(({ low }, i) => {
      const below = plates[2 * i];
      return closed([...bulge(below[0], low[0], -0.15), ...bulge(low[1], below[1], -0.15)]);
    }),
    sacrum: [closed(smooth(inFrame(M, half, SACRUM)))],
    seams: SACRUM_SEAMS.map((seam) => inFrame(M, half, seam)),
    bodies: levels.map(({ low, high }) =>
      closed([[high[0], high[1]], [high[1], low[1]], [low[1], low[0]], [low[0], high[0]]]
        .flatMap(([p, q], i) => bulge(p, q, i % 2 ? 0.075 : 0.04)))),
    far: head(points[5], HEAD.far),
    near: head(points[4], HEAD.near),
  };
}

/** How the figure started: both plates, the line from O to M, both heads. */
function outline([s1Front, s1Back, l1Front, l1Back, near, far]) {
  const heads = [arc(near, HEAD.near, 0, 360), arc(far, HEAD.far, 0, 360)];
  return [[s1Front, s1Back], [l1Front, l1Back], [mid(near, far), mid(s1Front, s1Back)], ...heads];
}

/** Arcs: centre, radius, first bearing and sweep; the sweep is the measured angle itself. */
function arcs({ s1, M, O, normal, L }, angles) {
  const back = bearing(mul(s1, -1));
  return {
    SS: [M, 62, back, angles.SS ?? 0],
    PT: [O, 76, 90, angles.PT ?? 0],
    PI: [M, 58, bearing(normal), angles.PI ?? 0],
    LL: [L, 56, back, angles.LL ?? 0],
  };
}

const NEEDED = { // construction line -> whether these angles need it
  partSS: (on) => on.SS && on.PI,
  partPT: (on) => on.PT && on.PI,
  plumb: (on) => on.PI && (on.SS || on.PT),
  horizontal: (on) => on.SS,
  vertical: (on) => on.PT,
  square: (on) => on.PI,
  parallel: (on) => on.LL,
  s1Line: (on) => on.SS || on.PI || on.LL,
  l1Line: (on) => on.LL,
  leg: (on) => on.PT || on.PI,
  M: (on) => on.PT || on.PI,
  O: (on) => on.PT || on.PI,
  ...Object.fromEntries(ANGLES.map((name) => [name, (on) => on[name]])),
};

function construction({ s1, M, O, normal, l1, L }, angles, sweeps) {
  const stretch = (from, way, a, b) => [along(from, way, a), along(from, way, b)];
  const wedge = (from, sweep) => closed([M, ...arc(M, 42, from, sweep ?? 0)]);
  const lines = {
    partSS: wedge(bearing(normal), angles.SS),
    partPT: wedge(-90, angles.PT),
    plumb: stretch(M, DOWN, 0, 54),
    horizontal: stretch(M, BACKWARD, 0, 78),
    vertical: stretch(O, UP, 0, 100),
    square: stretch(M, normal, 0, 78),
    parallel: stretch(L, s1, -72, 0),
    s1Line: stretch(M, s1, -78, len(s1) / 2 + 20),
    l1Line: stretch(L, l1, -72, len(l1) / 2 + 20),
    leg: [O, M],
  };
  for (const [name, sweep] of Object.entries(sweeps)) lines[name] = arc(...sweep);
  return Object.fromEntries(Object.entries(lines).map(([name, line]) => [name, [line]]));
}

/** Texts that want a place: where, which end of it is there (1: it runs forwards, -1: backwards, 0: centred), and what. */
function captions({ s1, M, O, normal }, angles, sweeps, levels) {
  const beside = (name, gap) => {
    const [centre, radius, from, sweep] = sweeps[name];
    return add(centre, mul(direction(from + sweep / 2), radius + gap));
  };
  const away = (angles.PT ?? 0) < 0 ? -1 : 1; // PT is written on the free side of the vertical
  const at = {
    SS: [beside("SS", 4), -1],
    PT: [add(O, [away * 5, 79]), away],
    PI: [beside("PI", 11), 0],
    LL: [beside("LL", 4), -1],
  };
  const middles = levels.map(({ low, high }) => mid(mid(...low), mid(...high)));
  return {
    ...Object.fromEntries(LEVELS.map((name, i) => [name, [middles[i], 0, name]])),
    S1: [inFrame(M, mul(s1, 0.5), [[-0.4, -0.83]])[0], 0, "S1"],
    M: [along(M, normal, -6.5), 0, "M"],
    O: [add(O, [-5, -9]), -1, "O"],
    ...Object.fromEntries(ANGLES.map((name) => [name, [...at[name], `${name} ${show(angles[name])}`]])),
  };
}

/** Where each handle sits, and which way its touch target is pushed clear of the others. */
function grips(points, { s1, M, O, l1, L }) {
  const ends = (plate, front, back) => [[front, mul(unit(plate), 8)], [back, mul(unit(plate), -8)]];
  return [
    ...ends(s1, points[0], points[1]), [M, [0, 0]], [O, [0, 0]],
    [along(points[4], direction(-20), HEAD.near), [6, 0]], [along(points[5], direction(-160), HEAD.far), [-6, 0]],
    ...ends(l1, points[2], points[3]), [L, [0, 0]], [inFrame(M, mul(s1, 0.5), [RING_AT])[0], [0, 0]],
  ];
}

// --- the whole person, a sketch in its own units, feet on the ground --------------------------

const SHANK = 40, PELVIS = 15, TRUNK = 46; // equal thigh and shank keep the hips above the ankles

/** Lines of the sketch: thighs lean forwards by `knees` degrees, shanks back by as much. */
function person({ leg, M, O, L, l1 }, knees) {
  const knee = mul([Math.sin((knees * Math.PI) / 180), Math.cos((knees * Math.PI) / 180)], SHANK);
  const hips = [0, 2 * knee[1]], sacrum = along(hips, leg, PELVIS);
  const loin = add(sacrum, mul(sub(L, M), PELVIS / (len(sub(M, O)) || 1)));
  const neck = along(loin, left(l1), TRUNK - PELVIS);
  return {
    limbs: [[[9, 0], [-3, 0], [0, 0], knee, hips], smooth([sacrum, loin, neck])],
    pelvis: [[hips, sacrum]],
    head: [arc(along(neck, left(l1), 9), 7, 0, 360)],
  };
}

/** How far the hips extend since the start, and what the knees cost in height. */
function hipWords(by, knees) {
  const extended = by - knees, way = extended < 0 ? "bent" : "extended", drop = 100 * (1 - Math.cos((knees * Math.PI) / 180));
  return `Hips ${show(Math.abs(extended))} further ${way} than at the start, lower by ${show(drop, 0, "%")} of the leg. ` +
    "The person is a sketch: equal thigh and shank, hips above the ankles, trunk straight above L1.";
}

// --- labels that keep clear of each other -----------------------------------------------------

// The film is drawn in its own units, WIDE by HIGH: millimetres, or smaller for a larger set of landmarks.
const WIDE = 260, HIGH = 388, MARGIN = 8;
const AROUND = [[0, 0], ...Array.from({ length: 30 }, (_, ring) =>
  Array.from({ length: 16 }, (_, i) => mul(direction(22.5 * i), 5 * (ring + 1)))).flat()];

const boxAt = ([x, y], [wide, high]) => {
  const cx = hold(x, wide / 2 + 2, WIDE - wide / 2 - 2), cy = hold(y, high / 2 + 2, HIGH - high / 2 - 2);
  return [cx - wide / 2, cy - high / 2, cx + wide / 2, cy + high / 2];
};
const overlap = (a, b) => a[0] < b[2] + 1 && b[0] < a[2] + 1 && a[1] < b[3] + 1 && b[1] < a[3] + 1;

const clear = (box, others) => !others.some((other) => overlap(box, other));

/** The box within `reach` of `at`, the nearest that is free of `taken` and, among the first, of `avoided`; or none. */
function freeBox(at, size, reach, taken, avoided) {
  const boxes = AROUND.filter((step) => len(step) <= reach).map((step) => boxAt(add(at, step), size))
    .filter((box) => clear(box, taken));
  return boxes.slice(0, 120).find((box) => clear(box, avoided)) ?? boxes[0];
}

/** Width, height of a text, and where its middle lies from its anchor; an estimate as long as nothing is laid out. */
function extent(text) {
  const box = text.getClientRects().length ? text.getBBox() : { width: 0 };
  if (!box.width) return { size: [6.4 * text.textContent.length, 13], off: [0, 0] };
  return { size: [box.width, box.height], off: [box.x + box.width / 2, box.y + box.height / 2] };
}

/** Write texts {name: [at, side, words]}, in film units, earlier ones first; those of one place only may be left out. */
function write(texts, wanted, avoided) {
  for (const [name, [, , words]] of Object.entries(wanted)) {
    texts[name].textContent = words;
    for (const key of ["x", "y"]) texts[name].setAttribute(key, 0);
  }
  const sizes = Object.fromEntries(Object.keys(wanted).map((name) => [name, extent(texts[name])]));
  const taken = [];
  for (const [name, [[x, y], side]] of Object.entries(wanted)) {
    const { size, off } = sizes[name], angle = ANGLES.includes(name);
    const box = freeBox([x + (side * size[0]) / 2, y], size, angle ? 150 : 11, taken, angle ? avoided : []);
    texts[name].classList.toggle("left-out", !box);
    if (!box) continue;
    taken.push(box);
    texts[name].setAttribute("x", (box[0] + box[2]) / 2 - off[0]);
    texts[name].setAttribute("y", (box[1] + box[3]) / 2 - off[1]);
  }
}

// --- words of the page that light up an angle -----------------------------------------------

/** Call `light(name)` while a word marked data-lumbo is under the pointer or in focus, `light(null)` after; returns the end. */
function listenToWords(light) {
  const words = "[data-lumbo]:not(.lumbo *)";
  const named = (event) => {
    const name = event.target.closest?.(words)?.dataset.lumbo;
    return ANGLES.includes(name) ? name : null;
  };
  const enter = (event) => named(event) && light(named(event));
  const leave = (event) => named(event) && light(null);
  const events = { pointerover: enter, focusin: enter, pointerout: leave, focusout: leave };
  for (const [event, call] of Object.entries(events)) document.addEventListener(event, call);

  /** Words can be reached by Tab as long as a figure is on the page. */
  function mark() {
    const here = document.querySelector(".lumbo-posture") !== null;
    for (const word of document.querySelectorAll(here ? `${words}:not([tabindex])` : "[data-lumbo][data-reached]")) {
      word.toggleAttribute("data-reached", here);
      if (here) word.tabIndex = 0;
      else word.removeAttribute("tabindex");
    }
  }
  const watch = new MutationObserver(mark); // words come after the figure, and figures go
  watch.observe(document.documentElement, { childList: true, subtree: true });
  mark();
  return () => {
    for (const [event, call] of Object.entries(events)) document.removeEventListener(event, call);
    watch.disconnect();
    setTimeout(mark); // once the figure is gone
  };
}

// --- the page ----------------------------------------------------------------------------

/** Where the film lies in the image: its corner x, y and its scale k, around a set of landmarks. */
function frame(landmarks, anterior) {
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = range(landmarks.map((p) => p[0])), [y0, y1] = range(landmarks.map((p) => p[1]));
  const k = Math.max(1, (y1 - y0) / 310, (x1 - x0) / 110), back = anterior === "right" ? -1 : 1;
  return { x: (x0 + x1 - WIDE * k) / 2 + 10 * back * k, y: (y0 + y1 - (HIGH - 2) * k) / 2, k };
}

const toFilm = ({ x, y, k }, landmarks) => landmarks.map((p) => [(p[0] - x) / k, (p[1] - y) / k]);
const toImage = ({ x, y, k }, landmarks) => landmarks.map((p) => [x + k * p[0], y + k * p[1]]);
/** Whether a point lies on the film, with room behind it for arcs and labels. */
const inside = ([x, y], anterior) => {
  const behind = anterior === "left" ? WIDE - x : x;
  return behind > 30 && behind < WIDE - MARGIN && y > 0 && y < HIGH;
};
/** As much of `step` as leaves `p` on the film. */
const within = (p, step) => [WIDE, HIGH].map((size, k) =>
  hold(step[k], Math.min(0, MARGIN - p[k]), Math.max(0, size - MARGIN - p[k])));

const FILM = { // path name -> class, back to front
  hip: "soft drawn", femur: "soft drawn femur", arches: "soft drawn", discs: "disc drawn", sacrum: "bone turn drawn",
  seams: "seam drawn", bodies: "bone drawn", far: "head", near: "head", ghost: "ghost", partSS: "part SS", partPT: "part PT",
  plumb: "reference", horizontal: "reference", vertical: "reference", square: "reference dotted", parallel: "reference dotted",
  s1Line: "plate", l1Line: "plate", leg: "plate", SS: "arc SS", PT: "arc PT", PI: "arc PI", LL: "arc LL",
};

function buildFilm(root) {
  const film = node("svg", { class: "film", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group",
    "aria-label": "Lumbar spine and pelvis from the side" }, root);
  const picture = node("image", { preserveAspectRatio: "none" }, film), paths = {}, texts = {};
  for (const [name, kind] of Object.entries(FILM)) paths[name] = node("path", { class: kind }, film);
  node("title", {}, paths.sacrum, "Drag to turn the pelvis about the hip axis");
  const handles = HANDLES.map(({ name, shape }) => {
    const knob = node("g", { class: `handle ${shape}`, role: "slider", tabindex: 0, "aria-label": name,
      "aria-valuemin": -180, "aria-valuemax": 180 }, film);
    node("circle", { class: "hit", r: shape === "square" ? 17 : 12 }, knob);
    node("path", { class: "dot", d: SHAPES[shape] }, knob);
    node("title", {}, knob, shape === "ring" ? `${name}: posture` : name);
    return knob;
  });
  for (const name of ["front", "back", ...LEVELS, "S1", "M", "O"]) texts[name] = node("text", { class: "name" }, film);
  for (const name of ANGLES) texts[name] = node("text", { class: `angle ${name}` }, film);
  return { film, picture, paths, texts, handles };
}

const ACTIONS = { // what an act did to the patient
  posture: ({ PI }) => `↻ Posture: PI stays ${show(PI)}.`,
  anatomy: ({ PI }) => `■ Anatomy: PI is now ${show(PI)}.`,
  spine: ({ PI, LL }) => `■ Spine: PI stays ${show(PI)}; LL is now ${show(LL)}.`,
};
const LEGEND = "↻\u00a0handles change the posture; ■\u00a0handles change the shape.";
const SAYS = { right: "✓ Right.", wrong: "✗ Not quite.", "not yet": "Not yet.", compared: "" };

/** The task above the picture, whose button calls `check`: returns what shows a goal and how a pose was judged. */
function buildTask(root, check) {
  const box = node("div", { class: "task" }, root), words = node("p", {}, box);
  button(box, "Check", check);
  const says = node("p", { class: "says", role: "status" }, box);
  return (goal, judged) => {
    box.hidden = goal === null;
    words.textContent = goal?.label ?? "";
    says.dataset.verdict = judged?.verdict ?? "";
    says.textContent = judged ? `${SAYS[judged.verdict]} ${judged.says}` : "";
  };
}

function buildReadings(panel) {
  const output = node("output", { "aria-live": "polite" }, panel), values = {}, since = {};
  for (const [name, words] of Object.entries(NAMES)) {
    const row = node("span", { class: "reading" }, output);
    const swatch = node("svg", { viewBox: "0 0 28 10", "aria-hidden": true }, row);
    node("path", { class: `arc ${name}`, d: "M1 5H27" }, swatch);
    node("b", {}, row, name);
    node("span", { class: "words" }, row, ` ${words} `);
    values[name] = node("strong", { "data-angle": name }, row);
    since[name] = node("span", { class: "since", "data-since": name }, row);
  }
  return { output, values, since };
}

/** Buttons that draw or leave out the lines of an angle: returns what sets those that are shown. */
function buildToggles(panel, act) {
  const box = node("p", { class: "toggles", role: "group", "aria-label": "Lines that are drawn" }, panel), toggles = {};
  let shown = [];
  for (const name of ANGLES)
    toggles[name] = button(box, name, () => act(ANGLES.filter((each) => shown.includes(each) !== (each === name))));
  toggles.all = button(box, "all", () => act(shown.length === ANGLES.length ? [] : ANGLES));
  return (next) => {
    shown = next;
    for (const name of ANGLES) toggles[name].setAttribute("aria-pressed", shown.includes(name));
    toggles.all.setAttribute("aria-pressed", shown.length === ANGLES.length);
  };
}

/** PI as the sum of PT and SS, in bars and in words: returns what draws the sum of some angles. */
function buildSum(panel) {
  const sum = node("svg", { class: "sum", viewBox: "0 0 250 66", "aria-hidden": true }, panel), bars = {};
  for (const name of ["zero", "meet"]) bars[name] = node("path", { class: "reference" }, sum);
  for (const [i, name] of ["PT", "SS", "PI"].entries()) {
    node("text", { class: `angle ${name}`, x: 0, y: 11 + 22 * i }, sum, ["PT", "+ SS", "= PI"][i]);
    bars[name] = node("path", { class: `arc ${name}` }, sum);
  }
  const identity = node("p", { class: "note" }, panel), x = (deg) => (70 + 1.55 * deg).toFixed(1);
  return ({ SS, PT, PI }) => {
    const [ss, pt, pi] = [SS, PT, PI].map((v) => v ?? 0);
    bars.zero.setAttribute("d", `M${x(0)} 0V66`);
    bars.meet.setAttribute("d", `M${x(pt)} 11V33M${x(pt + ss)} 33V55`);
    bars.PT.setAttribute("d", `M${x(0)} 11H${x(pt)}`);
    bars.SS.setAttribute("d", `M${x(pt)} 33H${x(pt + ss)}`);
    bars.PI.setAttribute("d", `M${x(0)} 55H${x(pi)}`);
    const added = PT === null || SS === null ? null : PT + SS;
    identity.textContent = `PT + SS = ${show(added)}; PI, measured on its own lines, is ${show(PI)}.`;
  };
}

/** Poses by name: returns what says which of them stands, its angles and its source. */
function buildPresets(panel, presets, act) {
  const box = node("div", { class: "presets" }, panel), label = node("label", {}, box, "Pose ");
  const select = node("select", {}, label), note = node("p", { class: "note" }, box);
  node("option", { value: "" }, select, "your own");
  presets.forEach(({ title }, i) => node("option", { value: i }, select, title));
  select.addEventListener("change", () => select.value && act(presets[select.value].landmarks));
  const stated = presets.map((preset) => anglesOf(preset.landmarks, "left"));
  return (angles, usable) => {
    const found = stated.findIndex((each) => alike(each, angles, 0.02));
    box.hidden = !usable;
    select.value = found < 0 ? "" : found;
    const said = (i) => ANGLES.map((name) => `${name} ${show(stated[i][name])}`).join(", ");
    note.textContent = found < 0 ? "" : `${said(found)}. Source: ${presets[found].source}.`;
  };
}

/** Knees and trunk, with the sketch of the whole person: returns what draws its lines, after a turn `by` so many degrees. */
function buildBody(panel, act) {
  const box = node("details", { class: "body" }, panel);
  node("summary", {}, box, "Trunk and knees");
  const label = node("label", { class: "check" }, box), upright = node("input", { type: "checkbox" }, label);
  node("span", {}, label, "Keep the trunk upright (else it turns with the pelvis)");
  upright.addEventListener("change", () => act({ upright: upright.checked }));
  const bend = slider(box, { label: "Bend the knees: thighs lean by", min: 0, max: 40, step: 1, value: 0,
    format: (v) => show(v, 0), act: (knees) => act({ knees }) });
  const sketch = node("svg", { class: "person", viewBox: "-78 -162 156 166", role: "img" }, box), paths = {};
  for (const name of ["ground", "limbs", "pelvis", "head"]) paths[name] = node("path", { class: name }, sketch);
  paths.ground.setAttribute("d", "M-50 1H50");
  const words = node("p", { class: "note" }, box);
  return (lines, by, state) => {
    upright.checked = state.upright;
    bend.set(state.knees);
    for (const [name, drawn] of Object.entries(person(lines, state.knees)))
      paths[name].setAttribute("d", path(drawn, (p) => flip(p, state.anterior)));
    words.textContent = hipWords(by, state.knees);
    sketch.setAttribute("aria-label", `The whole person, thighs leaning by ${show(state.knees, 0)}`);
  };
}

const NO_FILM = "The film comes with the book, or with a running kernel.";
const ON_FILM = "A synthetic patient from the slot scanner of Fir; its six points are exact, the circles of the heads " +
  "are not. Lines move, the film stays.";

// The parts of a figure share one object, the desk: its model, what it is made of (`ui`), and how it stands now.

/** The film: bones, lines, handles and labels of a pose. */
function drawing({ model, ui, desk }) {
  const { paths, texts, handles, picture } = ui, get = (field) => model.get(field);

  function drawFilm(points, lines, angles, anterior) {
    drawRadiograph();
    const { view, start } = desk, place = (p) => flip(p, anterior);
    const levels = column(lines), sweeps = arcs(lines, angles);
    const ghost = outline(toFilm(view, start.landmarks).map((p) => flip(p, start.anterior)));
    const shapes = { ...bones(points, lines, levels, get("knees")), ...construction(lines, angles, sweeps) };
    for (const [name, drawn] of Object.entries(shapes)) paths[name].setAttribute("d", path(drawn, place));
    paths.ghost.setAttribute("d", path(ghost, (p) => flip(p, start.anterior)));
    const knobs = grips(points, lines).map(([at, push]) => [place(at), flip(push, anterior)]);
    knobs.forEach(([at, push], i) => drawHandle(i, at, push, angles));
    reveal();
    const side = anterior === "right" ? 1 : -1, edge = (way) => [WIDE / 2 + way * (WIDE / 2 - 6), 12];
    const wanted = { front: [edge(side), -side, "front"], back: [edge(-side), side, "back"] };
    for (const [name, [at, end, words]] of Object.entries(captions(lines, angles, sweeps, levels)))
      wanted[name] = [place(at), side * end, words];
    const dots = Object.values(sweeps).flatMap((sweep) => arc(...sweep)).map((p) => boxAt(place(p), [3, 3]));
    write(texts, wanted, [...knobs.map(([at]) => boxAt(at, [11, 11])), ...dots]);
  }

  /** Draw the lines that the shown angles need, and let those fade that the lit one does not. */
  function reveal() {
    const { lit } = desk, chosen = (names) => Object.fromEntries(names.map((name) => [name, true]));
    const on = chosen(lit ? [...get("shown"), lit] : get("shown")), bright = chosen(lit ? [lit] : ANGLES);
    for (const [name, needs] of Object.entries(NEEDED)) {
      for (const drawn of [paths[name], texts[name]].filter(Boolean)) {
        drawn.classList.toggle("hidden", !needs(on));
        drawn.classList.toggle("faded", !needs(bright));
        drawn.classList.toggle("lit", name === lit);
      }
    }
  }

  function drawHandle(i, at, push, angles) {
    const { moves, angle } = HANDLES[i];
    handles[i].setAttribute("transform", `translate(${at.map((v) => v.toFixed(2)).join(" ")})`);
    handles[i].firstChild.setAttribute("transform", `translate(${push.join(" ")})`);
    handles[i].setAttribute("aria-valuenow", Math.round((angles[angle] ?? 0) * 10) / 10);
    const where = moves.length ? moves.map((k) => get("landmarks")[k]).reduce(mid) : null;
    handles[i].setAttribute("aria-valuetext", `${angle} ${show(angles[angle])}` +
      (where ? `; x ${where[0].toFixed(1)}, y ${where[1].toFixed(1)} mm` : ""));
  }

  /** The film of a patient under the lines, mirrored where the patient is. */
  function drawRadiograph() {
    const { radiograph, start, view } = desk;
    if (!radiograph) return;
    const across = start.landmarks[0][0] + radiograph.landmarks[0][0]; // a mirror takes x to across - x
    const turned = start.anterior === radiograph.anterior ? "" : ` translate(${across} 0) scale(-1 1)`;
    picture.setAttribute("transform", `scale(${1 / view.k}) translate(${-view.x} ${-view.y})${turned}`);
  }
  return { drawFilm, reveal };
}

/** What the hand does to the patient. */
function acts({ model, desk }) {
  /** Keep landmarks in film units, and what kind of act it was that moved them. */
  function put(landmarks, kind) {
    desk.asked = false;
    desk.last = { kind, landmarks: toImage(desk.view, landmarks) };
    keep(model, { landmarks: desk.last.landmarks });
  }

  function shift(landmarks, moves, step) {
    const { anterior } = desk.state();
    for (const k of moves) step = within(landmarks[k], step);
    const moved = landmarks.map((p, k) => (moves.includes(k) ? add(p, step) : p));
    if (!sound(moved.map((p) => flip(p, anterior)))) return;
    put(moved, moves.every((k) => k === 2 || k === 3) ? "spine" : "anatomy");
  }

  function tilt(pt) {
    const { landmarks, anterior } = desk.state(), points = landmarks.map((p) => flip(p, anterior));
    if (!sound(points)) return;
    put(tiltPelvis(points, hold(pt, ...PT_RANGE), model.get("upright")).map((p) => flip(p, anterior)), "posture");
  }

  /** Turn the pelvis by the angle, seen from the hip axis, that the hand has gone. */
  function swing({ landmarks, anterior }, from, to) {
    const { O, leg } = construct(landmarks.map((p) => flip(p, anterior)));
    tilt(between(UP, leg) + (between(sub(flip(from, anterior), O), sub(flip(to, anterior), O)) ?? 0));
  }

  /** Take a preset, which faces left, with its hip axis where the start has it. */
  function take(landmarks) {
    desk.hideFilm();
    const axis = (points) => mid(points[4], points[5]);
    const facing = model.get("anterior") === "left" ? landmarks : mirrored(landmarks, 0);
    const step = sub(axis(desk.start.landmarks), axis(facing));
    desk.asked = false;
    keep(model, { landmarks: facing.map((p) => add(p, step)) });
  }

  function mirrorPatient() {
    const turned = (landmarks) => toImage(desk.view, mirrored(toFilm(desk.view, landmarks), WIDE));
    desk.start = { landmarks: turned(desk.start.landmarks), anterior: other(desk.start.anterior) };
    keep(model, { anterior: other(model.get("anterior")), landmarks: turned(model.get("landmarks")) });
  }

  function startFrom({ landmarks, anterior }) {
    desk.drawBackground();
    desk.start = { landmarks, anterior };
    desk.asked = false;
    keep(model, { anterior, landmarks, knees: 0 });
  }
  return { shift, tilt, swing, take, mirrorPatient, startFrom };
}

/** The film of a patient, loaded when it is asked for. */
function filmOnDemand({ model, ui, desk }) {
  async function showFilm() {
    const mine = ++desk.awaited;
    ui.filmButton.disabled = true;
    ui.filmNote.textContent = "Loading the film …";
    const loaded = await load(model, "posture-film").catch(() => null);
    if (mine !== desk.awaited) return; // another pose was chosen meanwhile
    if (loaded) {
      desk.radiograph = loaded;
      desk.startFrom(loaded);
    } else {
      drawBackground();
      ui.filmNote.textContent = NO_FILM;
    }
  }

  function hideFilm() {
    const shown = desk.radiograph;
    desk.radiograph = null;
    if (shown) desk.startFrom(desk.home);
    else drawBackground();
  }

  /** The film as it stands under the lines, or none; one that is still on its way is not wanted any more. */
  function drawBackground() {
    const { radiograph } = desk;
    desk.awaited++;
    ui.filmButton.disabled = false;
    ui.film.classList.toggle("xray", radiograph !== null);
    ui.filmButton.textContent = radiograph ? "Hide the film" : "Show on a film";
    ui.filmNote.textContent = radiograph ? ON_FILM : "";
    if (!radiograph) return ui.picture.removeAttribute("href");
    const [width, height] = radiograph.size_mm;
    for (const [key, value] of Object.entries({ href: radiograph.image, width, height })) ui.picture.setAttribute(key, value);
  }
  return { showFilm, hideFilm, drawBackground };
}

/** Drags and keys on the handles and the sacrum. */
function listenToHands({ ui, desk }) {
  const { film, handles, paths, turner } = ui;
  function drags(target, move) {
    const begin = () => {
      desk.busy(true);
      return desk.state();
    };
    drag(film, target, { begin, move, end: () => desk.busy(false) });
  }
  handles.forEach((handle, i) => {
    const { moves, shape } = HANDLES[i];
    if (shape === "ring") return;
    drags(handle, (base, from, to) => desk.shift(base.landmarks, moves, sub(to, from)));
    arrows(handle, (step) => desk.shift(desk.state().landmarks, moves, mul(step, 1 / desk.view.k)));
  });
  for (const target of [paths.sacrum, handles.at(-1)]) drags(target, desk.swing);
  const pelvicTilt = ({ landmarks, anterior }) => anglesOf(landmarks, anterior).PT ?? 0;
  arrows(handles.at(-1), ([x, y]) => desk.tilt(pelvicTilt(desk.state()) + x - y));
  turner.input.addEventListener("change", () => desk.busy(false));
}

/** The parts beside the film, in their order; those that are drawn anew are returned. */
function buildPanel({ model, ui, desk }, root) {
  const panel = node("div", { class: "panel" }, root);
  ui.turner = slider(panel, { label: "Turn about the hip axis", min: PT_RANGE[0], max: PT_RANGE[1], value: 0,
    format: (pt) => `PT ${show(pt)}`, act: (pt) => {
      desk.busy(true);
      desk.tilt(pt);
    } });
  const ends = node("span", { class: "ends", "aria-hidden": true }, ui.turner.box);
  for (const way of ["← forwards", "backwards →"]) node("span", {}, ends, way);
  Object.assign(ui, buildReadings(panel));
  ui.drawToggles = buildToggles(panel, (shown) => keep(model, { shown }));
  ui.action = node("p", { class: "action", role: "status" }, panel);
  ui.drawSum = buildSum(panel);
  ui.derived = node("p", { class: "note derived" }, panel);
  ui.drawPresets = buildPresets(panel, model.get("presets"), (landmarks) => desk.take(landmarks));
  ui.drawBody = buildBody(panel, (fields) => keep(model, fields));
  const buttons = node("p", { class: "buttons" }, panel);
  ui.mirror = button(buttons, "", () => desk.mirrorPatient());
  button(buttons, "Reset", () => desk.startFrom(desk.radiograph ?? desk.home));
  ui.filmButton = button(buttons, "Show on a film", () => (desk.radiograph ? desk.hideFilm() : desk.showFilm()));
  ui.filmNote = node("p", { class: "note", role: "status" }, panel);
  node("p", { class: "help" }, panel, "Drag a handle or the sacrum, or Tab to a handle and use the arrow keys " +
    "(1 mm or 1°; with Shift 10). Not for clinical use.");
}

function render({ model, el }) {
  const get = (field) => model.get(field), root = shell(el, "posture");
  const home = { landmarks: get("landmarks"), anterior: get("anterior") }; // where the figure started
  const desk = { home, start: home, view: frame(home.landmarks, home.anterior), // the start is shown faintly; where the film lies
    dragging: false, lit: null, asked: false, last: {}, // an angle of the page's words; whether Check was pressed; the last act
    radiograph: null, awaited: 0 }; // the film under the lines; which request for one counts
  const drawTask = buildTask(root, () => {
    desk.asked = true;
    draw();
  });
  const ui = buildFilm(root), whole = { model, ui, desk };
  /** The model's state, landmarks in film units. */
  desk.state = () => ({ landmarks: toFilm(desk.view, get("landmarks")), anterior: get("anterior") });
  desk.busy = (on) => { // a screen reader hears the result, not each step; the film stays while the hand moves
    desk.dragging = on;
    if (on) ui.output.setAttribute("aria-busy", "true");
    else ui.output.removeAttribute("aria-busy");
    if (!on) draw();
  };
  buildPanel(whole, root);
  for (const part of [drawing, acts, filmOnDemand]) Object.assign(desk, part(whole));
  listenToHands(whole);

  /** Where the film lies: as at the start if the patient is on it. */
  function aim() {
    const fits = (one) => toFilm(one, get("landmarks")).every((p) => inside(p, get("anterior")));
    const first = frame(desk.start.landmarks, desk.start.anterior);
    desk.view = [first, desk.view].find(fits) ?? frame(get("landmarks"), get("anterior"));
  }

  function drawNumbers(angles, by) {
    for (const name of ANGLES) {
      ui.values[name].textContent = show(angles[name]);
      ui.since[name].textContent = name in by ? `(${by[name] >= 0.05 ? "+" : ""}${show(by[name])})` : "";
    }
    ui.turner.set(angles.PT ?? 0);
    ui.mirror.textContent = `Mirror (patient faces ${get("anterior")})`;
  }

  /** What is said of the pose: right as soon as it is, anything else only when asked. */
  function verdict(goal, angles) {
    const judged = judge(goal, angles && Object.values(angles).includes(null) ? null : angles);
    return desk.asked || judged.verdict === "right" ? judged : null;
  }

  function draw() {
    if (!desk.dragging) aim();
    const { landmarks, anterior } = desk.state(), goal = get("goal");
    const points = landmarks.map((p) => flip(p, anterior)), lines = construct(points), angles = measure(lines);
    const by = changes(angles, anglesOf(desk.start.landmarks, desk.start.anterior));
    const moved = Object.values(by).some((d) => Math.abs(d) >= 0.05);
    desk.drawFilm(points, lines, angles, anterior);
    drawNumbers(angles, moved ? by : {});
    ui.drawToggles(get("shown"));
    ui.drawSum(angles);
    ui.derived.textContent = derivedWords(angles);
    ui.drawPresets(angles, goal === null);
    ui.drawBody(lines, by.PT ?? 0, { upright: get("upright"), knees: get("knees"), anterior });
    ui.filmButton.hidden = goal !== null;
    if (desk.dragging) return; // the result is told when the hand lets go
    drawTask(goal, goal && verdict(goal, moved ? angles : null));
    ui.action.textContent = desk.last.landmarks === get("landmarks") ? ACTIONS[desk.last.kind](angles) : LEGEND;
  }

  const forget = listenToWords((name) => {
    desk.lit = name;
    desk.reveal();
  });
  const stop = follow(model, ["landmarks", "anterior", "shown", "upright", "knees", "goal"], draw);
  const resized = new ResizeObserver(draw); // texts have a size once they are laid out
  resized.observe(ui.film);
  return () => {
    stop();
    forget();
    resized.disconnect();
  };
}

export default { render };
