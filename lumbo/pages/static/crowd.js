// The Population figure: means, SDs and correlations as spines, and regression to the mean.  Taught in population.
//
// Each patient keeps three standard normal numbers while the sliders move, so that patients move and do not flicker.
// Arrays of three are PT, PI, LL; of correlations PI and PT, PI and LL, PT and LL.

import { ANGLES, button, choices, follow, hold, keep, node, shell, show, slider } from "./core.js";
import { add, arc, closed, direction, flip, mul, normal, path, sketch } from "./geometry.js";

const COUNT = 400, SHOWN = 40; // patients, and those of them who are drawn
const NAMED = ["PT", "PI", "LL"], PAIRS = ["PI and PT", "PI and LL", "PT and LL"], LARGEST = 0.99;
const SLACK = 1e-9; // hundredths: the noise of floating point moves no limit

// --- drawing people ----------------------------------------------------------------------

/** SS, PT, PI, LL of the patients: standard normals, mixed by the Cholesky root of the correlations. */
function people({ mean_deg, sd_deg, r: [piPt, piLl, ptLl], seed }) {
  const next = normal(seed), rest = Math.sqrt(1 - piPt ** 2), shared = (ptLl - piPt * piLl) / rest;
  const own = Math.sqrt(Math.max(0, 1 - piLl ** 2 - shared ** 2));
  return Array.from({ length: COUNT }, () => {
    const [x, y, z] = [next(), next(), next()], mixed = [piPt * x + rest * y, x, piLl * x + shared * y + own * z];
    const [PT, PI, LL] = mixed.map((value, i) => mean_deg[i] + sd_deg[i] * value);
    return { SS: PI - PT, PT, PI, LL };
  });
}

/** The least and the largest value, in hundredths, that correlation `k` may have beside the other two. */
function allowed(r, k) {
  const [one, two] = r.filter((_, i) => i !== k), reach = Math.sqrt((1 - one ** 2) * (1 - two ** 2));
  return [Math.max(-LARGEST, Math.ceil(100 * (one * two - reach) - SLACK) / 100 + 0),
    Math.min(LARGEST, Math.floor(100 * (one * two + reach) + SLACK) / 100 + 0)];
}

const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
/** The SD of these values themselves: over n, not n - 1. */
const populationSd = (values, m = mean(values)) => Math.sqrt(mean(values.map((v) => (v - m) ** 2)));
const correlation = (a, b, m = mean(a), n = mean(b)) =>
  mean(a.map((v, i) => (v - m) * (b[i] - n))) / (populationSd(a) * populationSd(b));

/** Mean and SD of SS, PT, PI, LL, and the correlations of PI with SS and of the PAIRS, as they are put in. */
function law({ mean_deg: [pt, pi, ll], sd_deg: [sPt, sPi, sLl], r }) {
  const sSs = Math.sqrt(sPi ** 2 + sPt ** 2 - 2 * r[0] * sPi * sPt); // SS = PI - PT
  return {
    mean: { SS: pi - pt, PT: pt, PI: pi, LL: ll },
    sd: { SS: sSs, PT: sPt, PI: sPi, LL: sLl },
    r: { "PI and SS": (sPi - r[0] * sPt) / sSs, ...Object.fromEntries(PAIRS.map((pair, i) => [pair, r[i]])) },
  };
}

// --- the pictures ------------------------------------------------------------------------

const CELL = { wide: 42, high: 66, across: 8, mm: 6.9 }; // of a drawn patient, in units; millimetres of a unit
const PLATE_MM = 35, LEG_MM = 120, TOP_MM = 180; // as `pose` of the chapter has them

/** Plates, legs and middles of a patient with these angles, L1 straight above S1. */
function pose({ SS, PT, LL }) {
  const s1 = mul(direction(-SS), PLATE_MM), l1 = mul(direction(LL - SS), PLATE_MM), M = mul(direction(90 + PT), LEG_MM);
  return { s1, l1, M, O: [0, 0], L: add(M, [0, TOP_MM]) };
}

function buildSpines(parent) {
  const rows = SHOWN / CELL.across;
  const film = node("svg", { class: "film", viewBox: `0 0 ${CELL.across * CELL.wide} ${rows * CELL.high}`, role: "img" }, parent);
  return { film, cells: Array.from({ length: SHOWN }, (_, i) => {
    const [x, y] = [(i % CELL.across) * CELL.wide, Math.floor(i / CELL.across) * CELL.high];
    const cell = node("g", { class: "cell", transform: `translate(${x} ${y})` }, film);
    node("rect", { x: 1.5, y: 1.5, width: CELL.wide - 3, height: CELL.high - 3, rx: 4 }, cell);
    const lines = Object.fromEntries(["head", "bone", "plates"].map((kind) => [kind, node("path", { class: kind }, cell)]));
    return { cell, lines, text: node("text", { x: CELL.wide / 2, y: CELL.high - 8, "text-anchor": "middle" }, cell) };
  }) };
}

function drawSpine({ cell, lines, text }, angles, chosen) {
  const body = pose(angles), bones = sketch(body), half = mul(body.s1, 0.5), top = mul(body.l1, 0.5);
  const at = ([x, y]) => flip([x / CELL.mm, y / CELL.mm], "left");
  const place = (p) => add(at(p), [CELL.wide / 2 - 6, CELL.high - 17.5]);
  lines.head.setAttribute("d", path([arc([0, 0], 23, 0, 360)], place));
  lines.bone.setAttribute("d", path([...bones.sacrum, ...bones.bodies], place));
  lines.plates.setAttribute("d", path([[add(body.M, half), add(body.M, mul(half, -1))],
    [add(body.L, top), add(body.L, mul(top, -1))]], place));
  text.textContent = show(angles.PI);
  cell.setAttribute("class", chosen ? "cell chosen" : "cell");
}

const PLOT = { wide: 336, high: 290, left: 32, down: 22, edge: 8 }, SHOW_PI = [10, 110], SHOW = { LL: [-10, 120], PT: [-40, 70] };
const ELLIPSE = Math.sqrt(-2 * Math.log(0.05)); // SDs; it holds 95 % of a normal cloud

/** Degrees of PI and of the other angle to units of the plot. */
const toPlot = (name) => ([x, y]) => [
  PLOT.left + ((x - SHOW_PI[0]) / (SHOW_PI[1] - SHOW_PI[0])) * (PLOT.wide - PLOT.left - PLOT.edge),
  PLOT.high - PLOT.down - ((y - SHOW[name][0]) / (SHOW[name][1] - SHOW[name][0])) * (PLOT.high - PLOT.down - PLOT.edge)];

function buildPlot(parent) {
  const plot = node("svg", { class: "film plot", viewBox: `0 0 ${PLOT.wide} ${PLOT.high}`, role: "img" }, parent);
  const grid = node("path", { class: "grid" }, plot), ticks = node("g", {}, plot);
  const inner = { x: PLOT.left, y: PLOT.edge, width: PLOT.wide - PLOT.left - PLOT.edge, height: PLOT.high - PLOT.down - PLOT.edge };
  const view = node("svg", { ...inner, viewBox: `${inner.x} ${inner.y} ${inner.width} ${inner.height}` }, plot), lines = {};
  for (const kind of ["band", "dots", "dots chosen", "ellipse", "given", "back", "limit", "centre", "found"])
    lines[kind] = node("path", { class: kind }, view);
  const keys = ["given", "back", "ellipse"].map((kind, i) => {
    node("path", { class: kind, d: `M${PLOT.left + 6} ${18 + 14 * i}h22` }, plot);
    return node("text", { x: PLOT.left + 33, y: 18 + 14 * i }, plot);
  });
  return { plot, grid, ticks, lines, keys };
}

/** What the plot shows of a law: ellipse, both regression lines, means; in degrees. */
function lines({ mean: m, sd, r }, name) {
  const slope = r[`PI and ${name}`], far = 4;
  const at = (x, y) => [m.PI + sd.PI * x, m[name] + sd[name] * y], other = Math.sqrt(1 - slope ** 2);
  const round = Array.from({ length: 73 }, (_, i) => direction(5 * i).map((v) => v * ELLIPSE));
  return {
    ellipse: round.map(([x, y]) => at(x, slope * x + other * y)),
    given: [at(-far, -far * slope), at(far, far * slope)],
    back: [at(-far * slope, -far), at(far * slope, far)],
    centre: at(0, 0),
  };
}

// --- the controls and the tables -------------------------------------------------------------

const RANGES = [[-10, 40], [25, 90], [0, 90]]; // of the means

function buildTables(root) {
  const box = node("div", { class: "tables" }, root), cells = {};
  const table = (first, names, kind) => {
    const made = node("table", {}, box), top = node("tr", {}, node("thead", {}, made)), body = node("tbody", {}, made);
    for (const words of [first, "put in", "drawn"]) node("th", { scope: "col" }, top, words);
    for (const name of names) {
      const row = node("tr", {}, body);
      node("th", { scope: "row", class: kind === "angle" ? name : "pair" }, row, name);
      cells[name] = ["in", "drawn"].map((which) => node("td", { [`data-${kind}-${which}`]: name }, row));
    }
  };
  table("mean ± SD", ANGLES, "angle");
  table("correlation", ["PI and SS", ...PAIRS], "pair");
  return cells;
}

/** What the reader sets; `correlate(k, value)` sets a correlation, `refused` says where it cannot. */
function buildControls(panel, model, first, correlate) {
  const cohorts = model.get("cohorts");
  const above = slider(panel, { label: "Choose patients whose PI is at least", min: 20, max: 100, step: 1, value: 65,
    format: (v) => show(v, 0), act: (v) => keep(model, { above_deg: v }) });
  const says = node("output", { class: "says", "aria-live": "polite" }, panel);
  const versus = choices(panel, { label: "Plot PI and", options: { LL: "LL", PT: "PT" }, value: "LL",
    act: (v) => keep(model, { versus: v }) });
  const line = node("label", { class: "kind" }, panel, "Patients ");
  const kind = node("select", {}, line);
  for (const [name, { title }] of Object.entries(cohorts)) node("option", { value: name }, kind, title);
  kind.addEventListener("change", () => {
    const { mean_deg, sd_deg, r } = cohorts[kind.value];
    refused.textContent = "";
    keep(model, { cohort: kind.value, mean_deg, sd_deg, r });
  });
  const grid = node("div", { class: "grid" }, panel);
  const one = (i, words, field, [min, max]) => slider(grid, { label: `${NAMED[i]} ${words}`, min, max, step: 0.1, value: min,
    format: (v) => show(v), act: (v) => keep(model, { [field]: model.get(field).with(i, v) }) });
  const laws = NAMED.map((_, i) => [one(i, "mean", "mean_deg", RANGES[i]), one(i, "SD", "sd_deg", [1, 20])]);
  const tied = node("div", { class: "tied" }, panel);
  const ties = PAIRS.map((pair, k) => {
    const made = slider(tied, { label: `r of ${pair}`, min: -1, max: 1, step: 0.01, value: 0, format: (v) => show(v, 2, ""),
      act: (v) => correlate(k, v) });
    const track = node("span", { class: "track", "aria-hidden": true }, made.box);
    return { ...made, room: node("span", { class: "room" }, track) };
  });
  const refused = node("p", { class: "refused", role: "status" }, panel);
  const buttons = node("p", {}, panel);
  button(buttons, "Draw 400 new patients", () => keep(model, { seed: (model.get("seed") + 1) % 2 ** 31 }));
  button(buttons, "Reset", () => {
    refused.textContent = "";
    keep(model, first);
  });
  const busy = () => says.setAttribute("aria-busy", "true"), rest = () => says.removeAttribute("aria-busy");
  panel.addEventListener("input", busy); // a screen reader hears the result, not each step
  panel.addEventListener("change", rest);
  return { above, says, versus, kind, laws, ties, refused };
}

function buildSources(root) {
  const details = node("details", {}, root);
  node("summary", {}, details, "Where the numbers come from");
  return { source: node("p", {}, details), sources: NAMED.map(() => node("p", {}, details)) };
}

// --- what is drawn at each change --------------------------------------------------------------

function drawPlot(plot, { above_deg, versus }, all, chosen, put) {
  const place = toPlot(versus), at = (patient) => [patient.PI, patient[versus]], shapes = lines(put, versus);
  const dot = (patient) => [at(patient), at(patient)], [low, high] = SHOW[versus];
  const set = (kind, drawn) => plot.lines[kind].setAttribute("d", path(drawn, place));
  set("dots", all.filter((patient) => !chosen.includes(patient)).map(dot));
  set("dots chosen", chosen.map(dot));
  for (const kind of ["ellipse", "given", "back"]) set(kind, [shapes[kind]]);
  set("limit", [[[above_deg, low], [above_deg, high]]]);
  set("band", [closed([[above_deg, low], [above_deg, high], [200, high], [200, low]])]);
  const diamond = ([x, y]) => { // in units, so that it is a diamond whatever the axes
    const [a, b] = place([x, y]);
    return path([closed([[a - 6, b], [a, b - 6], [a + 6, b], [a, b + 6]])]);
  };
  plot.lines.centre.setAttribute("d", diamond(shapes.centre));
  const middle = ["PI", versus].map((name) => mean(chosen.map((patient) => patient[name])));
  plot.lines.found.setAttribute("d", chosen.length ? diamond(middle) : "");
  [`${versus} given PI`, `PI given ${versus}`, "holds 95 %"].forEach((words, i) => { plot.keys[i].textContent = words; });
  drawAxes(plot, versus, place);
  plot.plot.setAttribute("aria-label", `PI and ${versus} of 400 patients with an ellipse and two regression lines`);
}

function drawAxes(plot, versus, place) {
  const [low, high] = SHOW[versus], [left, right] = SHOW_PI, steps = [-20, 0, 20, 40, 60, 80, 100];
  const [ups, downs] = [steps.filter((v) => v > low && v < high), steps.filter((v) => v > left && v < right)];
  const level = ups.map((v) => [[left, v], [right, v]]), upright = downs.map((v) => [[v, low], [v, high]]);
  plot.grid.setAttribute("d", path([...level, ...upright], place));
  plot.ticks.replaceChildren();
  const text = (p, dx, dy, anchor, words, kind = "") => node("text", { x: place(p)[0] + dx, y: place(p)[1] + dy,
    "text-anchor": anchor, class: kind }, plot.ticks, words);
  ups.forEach((v) => text([left, v], -4, 0, "end", show(v, 0)));
  downs.forEach((v) => text([v, low], 0, 11, "middle", show(v, 0)));
  text([right, low], 0, 11, "end", "PI", "angle PI");
  text([left, high], -4, 8, "end", versus, `angle ${versus}`);
}

/** What the chosen show, in a sentence. */
function sentence({ above_deg, versus }, chosen, put) {
  const r = put.r[`PI and ${versus}`], two = (v) => show(v, 2, "");
  const far = (name) => (mean(chosen.map((patient) => patient[name])) - put.mean[name]) / put.sd[name];
  const size = (v) => `${two(Math.abs(v))} SD ${v < 0 ? "below" : "above"} the mean`;
  if (!chosen.length) return `Nobody has a PI of ${show(above_deg, 0)} or more.`;
  return `${chosen.length} of 400 are chosen. In PI they lie ${size(far("PI"))}, in ${versus} ${size(far(versus))}. ` +
    `The regression line says r × ${two(far("PI"))} = ${two(r)} × ${two(far("PI"))} = ${two(r * far("PI"))} SD.`;
}

function drawTables(cells, all, put) {
  const column = (name) => all.map((patient) => patient[name]);
  for (const name of ANGLES) {
    cells[name][0].textContent = `${show(put.mean[name])} ± ${show(put.sd[name])}`;
    cells[name][1].textContent = `${show(mean(column(name)))} ± ${show(populationSd(column(name)))}`;
  }
  for (const [pair, r] of Object.entries(put.r)) {
    cells[pair][0].textContent = show(r, 2, "");
    cells[pair][1].textContent = show(correlation(...pair.split(" and ").map(column)), 2, "");
  }
}

function drawControls(controls, { cohort, mean_deg, sd_deg, r, above_deg, versus }) {
  controls.above.set(above_deg);
  controls.versus.set(versus);
  controls.kind.value = cohort;
  controls.laws.forEach(([middle, sd], i) => {
    middle.set(mean_deg[i]);
    sd.set(sd_deg[i]);
  });
  controls.ties.forEach(({ set, room }, k) => {
    const [low, high] = allowed(r, k);
    set(r[k]);
    room.style.left = `${50 * (low + 1)}%`;
    room.style.width = `${50 * (high - low)}%`;
  });
}

/** Where the numbers come from, and whether they are still as they came. */
function drawSources({ source, sources }, { title, sources: found, ...numbers }, now) {
  const same = ["mean_deg", "sd_deg", "r"].every((field) => now[field].every((v, i) => v === numbers[field][i]));
  source.textContent = `${title}, as in data_synth/cohorts.toml${same ? "" : ", then changed by hand"}:`;
  [1, 0, 2].forEach((i, k) => { sources[k].textContent = `${NAMED[i]}: ${found[i]}.`; }); // as they refer to each other
}

// --- the page ----------------------------------------------------------------------------------

const FIELDS = ["cohort", "mean_deg", "sd_deg", "r", "above_deg", "versus", "seed"];

function render({ model, el }) {
  const state = () => Object.fromEntries(FIELDS.map((field) => [field, model.get(field)]));
  const first = state(), cohorts = model.get("cohorts"), root = shell(el, "crowd");
  const pictures = node("div", { class: "pictures" }, root), spines = buildSpines(pictures), plot = buildPlot(pictures);
  const panel = node("div", { class: "panel" }, root), controls = buildControls(panel, model, first, correlate);
  const cells = buildTables(root), text = buildSources(root);
  node("p", { class: "help" }, root, "Forty of the 400 patients are shown, every tenth in order of PI, with their PI. The " +
    "diamonds are the means of all and of the chosen, who lie r times as far from the mean in the other angle as in PI: regression to " +
    "the mean. These normal distributions have no ends; those of the chapter end where anatomy ends. Not for clinical use.");

  /** Set correlation `k`; where it cannot occur beside the others, say so and stop at the nearest that can. */
  function correlate(k, value) {
    const r = model.get("r"), [low, high] = allowed(r, k), others = [0, 1, 2].filter((i) => i !== k);
    const two = (v) => show(v, 2, "");
    controls.refused.textContent = value >= low && value <= high ? "" : `Not possible: beside ` +
      `${others.map((i) => `r of ${PAIRS[i]} ${two(r[i])}`).join(" and ")}, r of ${PAIRS[k]} lies from ${two(low)} to ${two(high)}.`;
    keep(model, { r: r.with(k, hold(value, low, high)) });
  }

  function draw() {
    const now = state(), all = people(now), put = law(now), isChosen = ({ PI }) => PI >= now.above_deg;
    const sorted = [...all].sort((a, b) => a.PI - b.PI), drawn = spines.cells.map((_, i) => sorted[(COUNT / SHOWN) * i + 4]);
    spines.cells.forEach((cell, i) => drawSpine(cell, drawn[i], isChosen(drawn[i])));
    spines.film.setAttribute("aria-label", `Forty patients from the side in order of PI, from ${show(drawn[0].PI, 0)} to ` +
      `${show(drawn.at(-1).PI, 0)}; ${drawn.filter(isChosen).length} of them are chosen`);
    const chosen = all.filter(isChosen);
    drawPlot(plot, now, all, chosen, put);
    controls.says.textContent = sentence(now, chosen, put);
    drawTables(cells, all, put);
    drawControls(controls, now);
    drawSources(text, cohorts[now.cohort], now);
  }

  return follow(model, FIELDS, draw);
}

export { allowed, people };
export default { render };
