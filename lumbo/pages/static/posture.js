// The Pelvis figure: drag six landmarks, read four angles.  Taught in four_angles.
//
// One ES module for two homes: anywidget calls `render` with a live model, a static page
// with a plain one.  Landmarks are [x, y] in millimetres, y down, in the order of
// lumbo.angles.LANDMARKS.  Everything is measured and drawn in the patient frame
// [forward, up], so that one sign convention serves both viewing sides.

import { ANGLES, BACKWARD, DOWN, FORWARD, NAMES, UP, add, along, anglesOf, arc, arrows, bearing, between, bulge, closed, column,
  construct, direction, drag, flip, follow, hold, inFrame, left, len, measure, mid, mul, node, path, right, shell, show, smooth,
  sub, turn, unit } from "./core.js";

const LEVELS = ["L5", "L4", "L3", "L2", "L1"];
const HANDLES = [ // which landmarks move together, and the angle that a screen reader hears
  { name: "S1 plate, front corner", moves: [0], angle: "SS" },
  { name: "S1 plate, back corner", moves: [1], angle: "SS" },
  { name: "S1 plate, both corners", moves: [0, 1], angle: "PT" },
  { name: "Hip axis with both femoral heads", moves: [4, 5], angle: "PT" },
  { name: "Near femoral head", moves: [4], angle: "PT" },
  { name: "Far femoral head", moves: [5], angle: "PT" },
  { name: "L1 plate, front corner", moves: [2], angle: "LL" },
  { name: "L1 plate, back corner", moves: [3], angle: "LL" },
  { name: "L1 plate, both corners", moves: [2, 3], angle: "LL" },
];

/** Turn the S1 plate about the hip axis until PT is `pt`; everything else stays. */
function tiltPelvis(points, pt) {
  const { O, leg } = construct(points), by = pt - between(UP, leg);
  return points.map((p, i) => (i < 2 ? add(O, turn(sub(p, O), by)) : p));
}

/** Whether the points that must differ do: a drag stops before two of them meet. */
function sound(points) {
  const { s1, leg, l1 } = construct(points);
  return len(s1) > 4 && len(l1) > 4 && len(leg) > 12;
}

// --- what is drawn: name -> polylines in the patient frame, first point repeated if closed -

// Units: half an S1 plate (sacrum); 112ths of O-M at PT 12 (hip bone); mm (femur); half a body, down (arch).
const SACRUM = [[-1, 0], [-1.4, -0.5], [-1.35, -1.1], [-1.6, -1.6], [-1.4, -2.2], [-1.45, -2.8], [-1.1, -3.5],
  [-0.6, -4.3], [0.15, -5.0], [0.75, -5.4], [0.9, -5.2], [0.45, -4.7], [0.05, -4.1], [-0.2, -3.3], [-0.2, -2.5],
  [0, -1.7], [0.4, -0.9], [1, 0]];
const SACRUM_SEAMS = [[[0.3, -1.05], [-0.85, -1.2]], [[-0.08, -2], [-0.95, -2.1]], [[-0.2, -2.9], [-0.9, -2.9]]];
const HIP_BONE = [[50, 88], [36, 113], [10, 132], [-22, 138], [-56, 128], [-84, 109], [-97, 92], [-86, 73], [-58, 61],
  [-40, 48], [-33, 30], [-41, 12], [-49, 2], [-39, -14], [-43, -40], [-40, -65], [-24, -79], [-6, -75], [14, -60],
  [34, -48], [50, -43], [60, -29], [56, -14], [41, -5], [32, 10], [35, 36], [31, 50], [39, 63], [51, 76], [50, 88]];
const OBTURATOR = [[-20, -36], [-16, -54], [-2, -58], [16, -46], [33, -32], [26, -22], [6, -25], [-10, -26],
  [-20, -36]];
const FEMUR = [[-14, 8], [14, 8], [13, -20], [8, -40], [9, -95], [-17, -95], [-19, -50], [-28, -22], [-14, 8]];
const ARCH = [[0, -0.35], [0.6, -0.5], [1, -0.25], [1.6, -0.05], [2.4, 0.25], [2.6, 0.55], [2.25, 0.85],
  [1.5, 0.75], [1.05, 0.85], [0.75, 0.55], [0.5, 0.1], [0, 0.1]];
const PT_RANGE = [-40, 60]; // degrees that the slider and the sacrum can reach
const HEAD = { near: 25, far: 22.5 }; // mm; a film shows the head nearer to the tube larger

function bones(points, { s1, M, O, leg }, levels) {
  const plates = [points.slice(0, 2), ...levels.flatMap(({ low, high }) => [low, high])];
  const half = mul(s1, 0.5);
  const cross = (at) => [UP, FORWARD].map((way) => [along(at, way, 3), along(at, way, -3)]);
  const head = (centre, radius) => [arc(centre, radius, 0, 360), ...cross(centre)];
  return {
    hip: [HIP_BONE, OBTURATOR].map((line) => smooth(inFrame(O, turn(mul(right(leg), 1 / 112), -12), line))),
    femur: [smooth(inFrame(O, FORWARD, FEMUR))],
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

function construction({ s1, M, O, normal, l1, L }, angles, sweeps) {
  const stretch = (from, way, a, b) => [along(from, way, a), along(from, way, b)];
  const wedge = (from, sweep) => closed([M, ...arc(M, 42, from, sweep ?? 0)]);
  return {
    partSS: [wedge(bearing(normal), angles.SS)],
    partPT: [wedge(-90, angles.PT)],
    level: [stretch(M, BACKWARD, 0, 78), stretch(O, UP, 0, 100), stretch(M, DOWN, 0, 54)],
    square: [stretch(M, normal, 0, 78), stretch(L, s1, -72, 0)],
    plates: [stretch(M, s1, -78, len(s1) / 2 + 20), stretch(L, l1, -72, len(l1) / 2 + 20), [O, M]],
    ...Object.fromEntries(Object.entries(sweeps).map(([name, sweep]) => [name, [arc(...sweep)]])),
  };
}

/** Text: where, which end of it is there (1: it runs forwards, -1: backwards, 0: centred), and what. */
function captions({ s1, M, O, leg, normal }, angles, sweeps, levels) {
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
    ...Object.fromEntries(Object.keys(at).map((name) => [name, [...at[name], `${name} ${show(angles[name])}`]])),
  };
}

/** Where each handle's dot sits, and which way its touch target is pushed clear of the others. */
function grips(points, { s1, M, O, l1, L }) {
  const ends = (plate, front, back) => [[front, mul(unit(plate), 8)], [back, mul(unit(plate), -8)]];
  return [
    ...ends(s1, points[0], points[1]), [M, [0, 0]], [O, [0, 0]],
    [along(points[4], direction(-20), HEAD.near), [6, 0]], [along(points[5], direction(-160), HEAD.far), [-6, 0]],
    ...ends(l1, points[2], points[3]), [L, [0, 0]],
  ];
}

// --- the page ----------------------------------------------------------------------------

// The film is drawn in its own units, WIDE by HIGH: millimetres, or smaller for a larger set of landmarks.
const WIDE = 260, HIGH = 388, MARGIN = 8;

/** Where the film lies in the image: its corner x, y and its scale k, around a set of landmarks. */
function frame(landmarks, anterior) {
  const range = (values) => [Math.min(...values), Math.max(...values)];
  const [x0, x1] = range(landmarks.map((p) => p[0])), [y0, y1] = range(landmarks.map((p) => p[1]));
  const k = Math.max(1, (y1 - y0) / 310, (x1 - x0) / 110), back = anterior === "right" ? -1 : 1;
  return { x: (x0 + x1 - WIDE * k) / 2 + 10 * back * k, y: (y0 + y1 - (HIGH - 2) * k) / 2, k };
}

const inside = ([x, y]) => x > 0 && x < WIDE && y > 0 && y < HIGH;
/** As much of `step` as leaves `p` on the film. */
const within = (p, step) => [WIDE, HIGH].map((size, k) =>
  hold(step[k], Math.min(0, MARGIN - p[k]), Math.max(0, size - MARGIN - p[k])));

const FILM = { // path name -> class, back to front
  hip: "soft", femur: "soft", arches: "soft", discs: "disc", sacrum: "bone turn", seams: "seam", bodies: "bone",
  far: "head", near: "head", partSS: "part SS", partPT: "part PT", level: "reference", square: "reference dotted",
  plates: "plate", SS: "arc SS", PT: "arc PT", PI: "arc PI", LL: "arc LL",
};

function buildFilm(root) {
  const film = node("svg", { class: "film", viewBox: `0 0 ${WIDE} ${HIGH}`, role: "group",
    "aria-label": "Lumbar spine and pelvis from the side" }, root);
  const paths = {}, texts = {};
  for (const [name, kind] of Object.entries(FILM)) paths[name] = node("path", { class: kind }, film);
  node("title", {}, paths.sacrum, "Drag to turn the pelvis about the hip axis");
  for (const name of [...LEVELS, "S1", "M", "O"]) texts[name] = node("text", { class: "name" }, film);
  for (const name of Object.keys(NAMES)) texts[name] = node("text", { class: `angle ${name}` }, film);
  texts.front = node("text", { class: "name" }, film, "front");
  texts.back = node("text", { class: "name" }, film, "back");
  const handles = HANDLES.map(({ name, moves }) => {
    const knob = node("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": name,
      "aria-valuemin": -180, "aria-valuemax": 180 }, film);
    node("circle", { class: "hit", r: moves.length > 1 ? 12 : 17 }, knob);
    node("circle", { class: "dot", r: moves.length > 1 ? 3 : 4.4 }, knob);
    return knob;
  });
  return { film, paths, texts, handles };
}

function buildPanel(root) {
  const panel = node("div", { class: "panel" }, root);
  const output = node("output", { "aria-live": "polite" }, panel), values = {};
  for (const [name, words] of Object.entries(NAMES)) {
    const row = node("span", { class: "reading" }, output);
    const swatch = node("svg", { viewBox: "0 0 28 10", "aria-hidden": true }, row);
    node("path", { class: `arc ${name}`, d: "M1 5H27" }, swatch);
    node("b", {}, row, name);
    node("span", {}, row, ` ${words} `);
    values[name] = node("strong", { "data-angle": name }, row);
  }
  const sum = node("svg", { class: "sum", viewBox: "0 0 250 66", "aria-hidden": true }, panel), bars = {};
  for (const name of ["zero", "meet"]) bars[name] = node("path", { class: "reference" }, sum);
  for (const [i, name] of ["PT", "SS", "PI"].entries()) {
    node("text", { class: `angle ${name}`, x: 0, y: 11 + 22 * i }, sum, ["PT", "+ SS", "= PI"][i]);
    bars[name] = node("path", { class: `arc ${name}` }, sum);
  }
  const identity = node("p", { class: "identity" }, panel);
  const label = node("label", {}, panel, "Turn the pelvis about the hip axis");
  const turner = node("input", { type: "range", min: PT_RANGE[0], max: PT_RANGE[1], step: "any" }, label);
  const ends = node("span", { class: "ends", "aria-hidden": true }, label);
  for (const way of ["← forwards", "backwards →"]) node("span", {}, ends, way);
  const buttons = node("p", { class: "buttons" }, panel);
  const mirror = node("button", { type: "button" }, buttons);
  const reset = node("button", { type: "button" }, buttons, "Reset");
  node("p", { class: "help" }, panel, "Drag a dot, or Tab to it and use the arrow keys (Shift: 10 mm). Drag the " +
    "sacrum to turn the pelvis. L1 stays where it is, as in someone who keeps the trunk upright: LL follows SS. " +
    "Not for clinical use.");
  return { output, values, bars, identity, turner, mirror, reset };
}

function render({ model, el }) {
  const first = { landmarks: model.get("landmarks"), anterior: model.get("anterior") };
  const root = shell(el, "posture");
  const { film, paths, texts, handles } = buildFilm(root);
  const { output, values, bars, identity, turner, mirror, reset } = buildPanel(root);
  let view = frame(first.landmarks, first.anterior), dragging = false;

  /** The model's state, landmarks in film units. */
  function state() {
    const landmarks = model.get("landmarks").map(([x, y]) => [(x - view.x) / view.k, (y - view.y) / view.k]);
    return { landmarks, anterior: model.get("anterior") };
  }

  function keep(landmarks, anterior = model.get("anterior")) {
    model.set("anterior", anterior);
    model.set("landmarks", landmarks.map(([x, y]) => [view.x + view.k * x, view.y + view.k * y]));
    model.save_changes();
  }

  function draw() {
    if (!dragging && !state().landmarks.every(inside)) view = frame(model.get("landmarks"), model.get("anterior"));
    const { landmarks, anterior } = state();
    const points = landmarks.map((p) => flip(p, anterior)), lines = construct(points), angles = measure(lines);
    const levels = column(lines), sweeps = arcs(lines, angles);
    const place = (p) => flip(p, anterior).map((v) => v.toFixed(2));
    const shapes = { ...bones(points, lines, levels), ...construction(lines, angles, sweeps) };
    const trace = (line) => `M${line.map((p) => place(p).join(" ")).join("L")}`;
    for (const [name, lines] of Object.entries(shapes)) paths[name].setAttribute("d", lines.map(trace).join(""));
    for (const [name, [at, side, text]] of Object.entries(captions(lines, angles, sweeps, levels)))
      put(texts[name], place(at), anterior === "right" ? side : -side, text);
    const edge = anterior === "right" ? 1 : -1;
    put(texts.front, [WIDE / 2 + edge * (WIDE / 2 - 8), 12], -edge, "front");
    put(texts.back, [WIDE / 2 - edge * (WIDE / 2 - 8), 12], edge, "back");
    grips(points, lines).forEach(([at, push], i) => drawHandle(i, place(at), flip(push, anterior), angles));
    drawPanel(angles, anterior);
  }

  function put(text, [x, y], side, words) {
    const room = 6.4 * words.length * (words.includes("°") ? 1 : 0); // keep the angles on the film
    text.setAttribute("x", hold(x, side < 0 ? room : 0, WIDE - (side > 0 ? room : 0)));
    text.setAttribute("y", hold(y, 10, HIGH - 10));
    text.setAttribute("text-anchor", ["end", "middle", "start"][side + 1]);
    text.textContent = words;
  }

  function drawHandle(i, at, push, angles) {
    const { moves, angle } = HANDLES[i], [x, y] = moves.map((k) => model.get("landmarks")[k]).reduce(mid);
    handles[i].setAttribute("transform", `translate(${at.join(" ")})`);
    handles[i].firstChild.setAttribute("transform", `translate(${push.join(" ")})`);
    handles[i].setAttribute("aria-valuenow", Math.round((angles[angle] ?? 0) * 10) / 10);
    handles[i].setAttribute("aria-valuetext",
      `${angle} ${show(angles[angle])}; x ${x.toFixed(1)}, y ${y.toFixed(1)} mm`);
  }

  function drawPanel(angles, anterior) {
    for (const name of Object.keys(NAMES)) values[name].textContent = show(angles[name]);
    const { SS, PT, PI } = angles, [ss, pt, pi] = [SS, PT, PI].map((v) => v ?? 0);
    const x = (deg) => (70 + 1.55 * deg).toFixed(1);
    bars.zero.setAttribute("d", `M${x(0)} 0V66`);
    bars.meet.setAttribute("d", `M${x(pt)} 11V33M${x(pt + ss)} 33V55`);
    bars.PT.setAttribute("d", `M${x(0)} 11H${x(pt)}`);
    bars.SS.setAttribute("d", `M${x(pt)} 33H${x(pt + ss)}`);
    bars.PI.setAttribute("d", `M${x(0)} 55H${x(pi)}`);
    const added = PT === null || SS === null ? null : PT + SS;
    identity.textContent = `PT + SS = ${show(added)}; PI, measured on its own lines, is ${show(PI)}.`;
    turner.value = pt;
    turner.setAttribute("aria-valuetext", `PT ${show(PT)}, SS ${show(SS)}, PI ${show(PI)}`);
    mirror.textContent = `Mirror (patient faces ${anterior})`;
  }

  function shift(landmarks, moves, step) {
    const { anterior } = state();
    for (const k of moves) step = within(landmarks[k], step);
    const moved = landmarks.map((p, k) => (moves.includes(k) ? add(p, step) : p));
    if (sound(moved.map((p) => flip(p, anterior)))) keep(moved);
  }

  function tilt(pt) {
    const { landmarks, anterior } = state(), points = landmarks.map((p) => flip(p, anterior));
    if (sound(points)) keep(tiltPelvis(points, pt).map((p) => flip(p, anterior)));
  }

  /** Follow the hand on `target`: `move` gets the state at the press, and where it was and is, on the film. */
  function drags(target, move) {
    drag(film, target, {
      begin: () => {
        dragging = true;
        output.setAttribute("aria-busy", "true"); // a screen reader hears the result, not each step
        return state();
      },
      move,
      end: () => {
        output.removeAttribute("aria-busy");
        dragging = false;
        draw();
      },
    });
  }

  handles.forEach((handle, i) => {
    const { moves } = HANDLES[i];
    drags(handle, (base, from, to) => shift(base.landmarks, moves, sub(to, from)));
    arrows(handle, (step) => shift(state().landmarks, moves, mul(step, 1 / view.k)));
  });
  drags(paths.sacrum, ({ landmarks, anterior }, from, to) => {
    const { O, leg } = construct(landmarks.map((p) => flip(p, anterior)));
    const swung = between(sub(flip(from, anterior), O), sub(flip(to, anterior), O)) ?? 0;
    tilt(hold(between(UP, leg) + swung, ...PT_RANGE));
  });
  turner.addEventListener("input", () => tilt(Number(turner.value)));
  mirror.addEventListener("click", () => {
    const { landmarks, anterior } = state();
    keep(landmarks.map(([x, y]) => [WIDE - x, y]), anterior === "left" ? "right" : "left");
  });
  reset.addEventListener("click", () => {
    view = frame(first.landmarks, first.anterior);
    model.set("anterior", first.anterior);
    model.set("landmarks", first.landmarks);
    model.save_changes();
  });

  return follow(model, ["landmarks", "anterior"], draw);
}

export default { render };
