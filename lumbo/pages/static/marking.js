// The Measure figure: put six points on a film, read four angles, compare with the truth.  Taught in measuring.
//
// Points are [x, y] in pixels of the film's file, y down, in the order of lumbo.angles.LANDMARKS; the centre of
// the top left pixel is (0, 0).  A film of the reader's own is held by this module alone: it is no field of the
// model, so neither a kernel nor a saved page ever sees it.

import { ANGLES, NAMES, arrows, button, choices, drag, follow, hold, keep, load, memory, node, place, read, shell, show,
  slider } from "./core.js";
import { add, anglesOf, construct, degrees, flip, left, len, mid, mul, path, sub } from "./geometry.js";

const OWN = "own", LONGEST_PX = 6000, MOST_READINGS = 1000, LARGEST_FILE = 4e6, NOTE = "Not for clinical use.";
const LANDMARKS = ["s1_anterior", "s1_posterior", "l1_anterior", "l1_posterior", "head_near", "head_far"];
const STEPS = [ // what is placed, in order, where to find it, and the angle that a screen reader hears
  ["S1 plate, front corner", "The top of the sacrum, under the lowest disc: its end towards the belly.", "SS"],
  ["S1 plate, back corner", "The same plate: its end towards the back.", "SS"],
  ["L1 plate, front corner", "Count five bodies up from the sacrum. The top of the fifth: its end towards the belly.", "LL"],
  ["L1 plate, back corner", "The same plate: its end towards the back.", "LL"],
  ["Near femoral head", "The centre of the larger of the two circles. If you cannot tell, take either.", "PT"],
  ["Far femoral head", "The centre of the other circle. If you see only one, take its centre again.", "PT"],
];

// --- what is measured ----------------------------------------------------------------------

const SCHWAB = { PT: [20, 30], "PI-LL": [10, 20] }, ROUSSOULY = [35, 45], GROUPS = ["1 or 2", "3", "4"];
/** How many borders are reached, but the last, which must be passed: as lumbo.indices counts. */
const category = (value, [low, high]) => (value >= low ? 1 : 0) + (value > high ? 1 : 0);

const scaled = (points, [across, down]) => points.map(([x, y]) => [x * across, y * down]);
/** Six points, the missing ones as no number, so that an angle is there as soon as its points are. */
const six = (points) => LANDMARKS.map((_, i) => points[i] ?? [NaN, NaN]);
const anglesAt = (points, spacing, anterior) => anglesOf(six(scaled(points, spacing)), anterior);

/** How each angle turns with each point: ANGLES -> six vectors in the patient frame, radians for a unit of length. */
function gradients(points, anterior) {
  const { s1, leg, l1 } = construct(points.map((p) => flip(p, anterior)));
  const per = (line) => mul(left(line), 1 / len(line) ** 2), no = [0, 0];
  const s = per(s1), l = per(l1), h = mul(per(leg), 0.5); // M and O are each the middle of two points
  const minus = (a) => mul(a, -1);
  const SS = [minus(s), s, no, no, no, no], PT = [h, h, no, no, minus(h), minus(h)];
  return { SS, PT, PI: SS.map((g, i) => add(g, PT[i])), LL: [minus(s), s, l, minus(l), no, no] };
}

/** Degrees of each angle for 1 mm at each point in the worst direction: ANGLES -> six numbers, NaN where no angle is. */
function costs(points, spacing, anterior) {
  const turns = gradients(six(scaled(points, spacing)), anterior);
  return Object.fromEntries(ANGLES.map((name) => {
    const all = turns[name].map((g) => degrees(len(g)));
    return [name, all.every(Number.isFinite) ? all : all.map(() => NaN)];
  }));
}

/** Share of the standard normal distribution above z (Numerical Recipes' erfc, to 1e-7). */
function normalTail(z) {
  const x = Math.abs(z) / Math.SQRT2, t = 1 / (1 + x / 2);
  const terms = [-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587,
    -0.82215223, 0.17087277];
  const tail = (t * Math.exp(-x * x + terms.reduceRight((sum, c) => sum * t + c, 0))) / 2;
  return z < 0 ? 1 - tail : tail;
}

/** The share of each of Roussouly's groups when SS is read with an error of this SD. */
function shares(ss, sd) {
  const [low, high] = ROUSSOULY.map((border) => normalTail((border - ss) / sd));
  return [1 - low, low - high, high];
}

/** Number, mean, SD and limits of agreement of signed errors; null where there are too few. */
function agreement(errors) {
  const n = errors.length, mean = n ? errors.reduce((a, b) => a + b) / n : null;
  const sd = n > 1 ? Math.sqrt(errors.reduce((sum, e) => sum + (e - mean) ** 2, 0) / (n - 1)) : null;
  return { n, mean, sd, limits: n > 2 ? [mean - 1.96 * sd, mean + 1.96 * sd] : null };
}

const signed = (value, decimals = 1) => {
  const words = show(value, decimals);
  return value > 0 && !/^0\.?0*°$/.test(words) ? `+${words}` : words;
};

// --- files ---------------------------------------------------------------------------------

/** A problem that is told to the reader as it stands. */
class Told extends Error {}
const insist = (fits, words) => { if (!fits) throw new Told(words); };

/** Open a picture of the reader's: {picture, width, height, says}.  Nothing leaves the page. */
async function opened(file) {
  insist(file.size > 0, `${file.name} is empty: it holds 0 bytes.`);
  const head = new Uint8Array(await file.slice(0, 4).arrayBuffer());
  const kind = head[0] === 0xff && head[1] === 0xd8 ? "JPEG" : head[0] === 0x89 && head[1] === 0x50 ? "PNG" : null;
  insist(kind, `${file.name} is neither PNG nor JPEG. Export the film as one of them; DICOM cannot be opened here.`);
  let picture;
  try {
    picture = await createImageBitmap(file);
  } catch {
    throw new Told(`${file.name} begins like a ${kind}, but cannot be opened: it is damaged, or too large for the browser.`);
  }
  const { width, height } = picture, shrink = LONGEST_PX / Math.max(width, height);
  if (shrink >= 1) return { picture, width, height, says: `${file.name}: ${width} × ${height} pixels. It stays in this page.` };
  const smaller = await createImageBitmap(picture, { resizeQuality: "high",
    resizeWidth: Math.max(1, Math.round(width * shrink)), resizeHeight: Math.max(1, Math.round(height * shrink)) });
  picture.close();
  return { picture: smaller, width, height, says: `${file.name} has ${width} × ${height} pixels, more than ${LONGEST_PX} on a ` +
    "side: it is shown coarser. Points still count in the pixels of the file. It stays in this page." };
}

const COLUMNS = ["film", "width", "height", "anterior", "mm_across", "mm_down", ...LANDMARKS.flatMap((n) => [`${n}_x`, `${n}_y`]),
  ...["", "true_", "rated_"].flatMap((kind) => ANGLES.map((name) => `${kind}${name}`))];

function toCsv(readings) {
  const rows = readings.map((r) => [r.film, r.width, r.height, r.anterior, ...(r.spacing_mm ?? ["", ""]), ...r.points.flat(),
    ...[r.angles_deg, r.true_deg, r.rated_deg].flatMap((four) => four ?? Array(4).fill(""))]);
  return [COLUMNS, ...rows].map((row) => row.map((cell) => cell ?? "").join(",")).join("\n") + "\n";
}

const toJson = (readings) => JSON.stringify({ format: "lumbo readings", note: NOTE, readings }, null, 1);

/** One reading of a file, checked: what is wrong is named after `where`. */
function checked(raw, where, films) {
  const number = (value, name, low, high) => {
    insist(typeof value === "number" && value >= low && value <= high,
      `${where}: ${name} is ${JSON.stringify(value ?? null)}; allowed: a number from ${low} to ${high}.`);
    return value;
  };
  const list = (value, name, size) =>
    insist(Array.isArray(value) && value.length === size, `${where}: ${name} must be a list of ${size}.`);
  insist(raw && typeof raw === "object" && !Array.isArray(raw), `${where} is not a reading.`);
  const { film, anterior } = raw;
  insist(film === OWN || (Number.isInteger(film) && film >= 0 && film < films),
    `${where}: film is ${JSON.stringify(film ?? null)}; allowed: 0 to ${films - 1}, or ${OWN}.`);
  const [width, height] = ["width", "height"].map((name) => number(raw[name], name, 1, 100000));
  insist(Number.isInteger(width) && Number.isInteger(height), `${where}: width and height must be whole numbers.`);
  insist(["left", "right"].includes(anterior), `${where}: anterior is ${JSON.stringify(anterior ?? null)}; allowed: left or right.`);
  list(raw.points, "points", 6);
  const points = raw.points.map((p, i) => {
    list(p, LANDMARKS[i], 2);
    return [number(p[0], `${LANDMARKS[i]}_x`, -0.5, width - 0.5), number(p[1], `${LANDMARKS[i]}_y`, -0.5, height - 0.5)];
  });
  let spacing_mm = raw.spacing_mm ?? null;
  if (spacing_mm) {
    list(spacing_mm, "spacing_mm", 2);
    spacing_mm = spacing_mm.map((v, i) => number(v, ["mm_across", "mm_down"][i], 0.001, 100));
  }
  const measured = anglesAt(points, spacing_mm ?? [1, 1], anterior), angles_deg = ANGLES.map((name) => measured[name]);
  const four = (name, prefix, dash) => {
    if (raw[name] === null || raw[name] === undefined) return null;
    list(raw[name], name, 4);
    return raw[name].map((v, i) => (dash && v === null ? null : number(v, `${prefix}${ANGLES[i]}`, -720, 720)));
  };
  four("angles_deg", "", true)?.forEach((said, i) => {
    const same = said === null || angles_deg[i] === null ? said === angles_deg[i] : Math.abs(said - angles_deg[i]) < 0.1;
    insist(same, `${where}: ${ANGLES[i]} is ${show(said)}, but its points give ${show(angles_deg[i])}.`);
  });
  return { film, width, height, points, anterior, spacing_mm, angles_deg, true_deg: four("true_deg", "true_", false),
    rated_deg: four("rated_deg", "rated_", false) };
}

function fromCsv(text) {
  const [head, ...rows] = text.replace(/^\uFEFF/, "").split(/\r?\n/).filter((line) => line.trim()).map((line) => line.split(","));
  const missing = COLUMNS.slice(0, 18).filter((name) => !head.includes(name));
  insist(missing.length === 0, `The CSV has no column ${missing.slice(0, 3).join(", ")}${missing.length > 3 ? ` and ${missing.length - 3} more` : ""}.`);
  return rows.map((row, r) => {
    insist(row.length === head.length, `Row ${r + 1} has ${row.length} columns; the first line has ${head.length}.`);
    const cell = (name) => row[head.indexOf(name)]?.trim() ?? "";
    const value = (name) => (cell(name) === "" ? null : Number.isFinite(Number(cell(name))) ? Number(cell(name)) : cell(name));
    const four = (kind) => {
      const all = ANGLES.map((name) => value(kind + name));
      return all.every((v) => v === null) ? null : all;
    };
    const spacing = [value("mm_across"), value("mm_down")];
    return { film: value("film"), width: value("width"), height: value("height"), anterior: cell("anterior"),
      spacing_mm: spacing.every((v) => v === null) ? null : spacing,
      points: LANDMARKS.map((name) => [value(`${name}_x`), value(`${name}_y`)]),
      angles_deg: four(""), true_deg: four("true_"), rated_deg: four("rated_") };
  });
}

/** The readings in a text that was saved here, or what is wrong with it. */
function parsed(name, text, films) {
  insist(text.trim(), `${name} is empty.`);
  let raw, part = "Reading";
  if (/^\s*[{[]/.test(text)) {
    try {
      raw = JSON.parse(text);
    } catch (error) {
      throw new Told(`${name} is broken JSON: ${error.message}.`);
    }
    raw = Array.isArray(raw) ? raw : raw.readings;
    insist(Array.isArray(raw), `${name} has no list "readings".`);
  } else {
    raw = fromCsv(text);
    part = "Row";
  }
  insist(raw.length <= MOST_READINGS, `${name} has ${raw.length} readings; allowed: ${MOST_READINGS}.`);
  return raw.map((one, i) => checked(one, `${part} ${i + 1}`, films));
}

function save(name, text, type) {
  const url = URL.createObjectURL(new Blob([text], { type })), link = node("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// --- the page ------------------------------------------------------------------------------

const LOUPE_PX = 118, LOUPE_TIMES = 3.5, REACH_PX = 22, HELD_PX = 4; // REACH: of a point's touch target; HELD: what is no drag yet
const FINEST = 24; // screen pixels that a pixel of the film may become

/** A button-like label that opens files. */
function opener(parent, words, accept, take) {
  const label = node("label", { class: "opener" }, parent), input = node("input", { type: "file", accept }, label);
  node("span", {}, label, words);
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // the same file can be opened again
    if (file) take(file);
  });
  return input;
}

function table(parent, label, heads) {
  const made = node("table", { "aria-label": label }, parent), line = node("tr", {}, node("thead", {}, made));
  heads.forEach((words) => node(words ? "th" : "td", words ? { scope: "col" } : {}, line, words));
  return node("tbody", {}, made);
}

function buildStage(root) {
  const box = node("div", { class: "work" }, root);
  const top = node("div", { class: "bar" }, box), pick = node("label", {}, top);
  node("span", { class: "unseen" }, pick, "Film");
  const select = node("select", {}, pick);
  const step = node("p", { class: "step", role: "status" }, box);
  const stage = node("div", { class: "stage" }, box);
  const canvas = node("canvas", { "aria-hidden": true }, stage);
  const film = node("svg", { role: "group", "aria-label": "Film with its points" }, stage);
  const ground = node("rect", { class: "ground", width: "100%", height: "100%", tabindex: 0, role: "slider",
    "aria-valuemin": 0 }, film);
  const lines = ["mine", "rater", "truth"].map((who) => node("path", { class: who }, film));
  const words = ["S1", "L1", "Hips"].map((name) => node("text", {}, film, name));
  const cross = node("path", { class: "cross" }, film);
  const handles = STEPS.map(([name]) => {
    const knob = node("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": name, "aria-valuemin": -360,
      "aria-valuemax": 360 }, film);
    node("circle", { class: "hit", r: REACH_PX }, knob);
    node("circle", { class: "ring", r: 6 }, knob);
    node("circle", { class: "pin", r: 1.2 }, knob);
    return knob;
  });
  const loupe = node("canvas", { class: "loupe", width: 2 * LOUPE_PX, height: 2 * LOUPE_PX, "aria-hidden": true }, stage);
  const empty = node("p", { class: "empty" }, stage);
  return { box, top, select, step, stage, canvas, film, ground, lines, words, cross, handles, loupe, empty };
}

function buildPanel(root) {
  const panel = node("div", { class: "panel" }, root), live = node("div", { role: "status" }, panel);
  const rows = table(live, "Angles", ["", "You", "Truth", "Error", "Rater"]), cells = {};
  for (const name of ANGLES) {
    const line = node("tr", {}, rows), head = node("th", { scope: "row", class: name }, line, name);
    node("span", {}, head, ` ${NAMES[name]}`);
    cells[name] = Object.fromEntries(["you", "true", "error", "rater"].map((what) =>
      [what, node("td", { [`data-${what}`]: name }, line)]));
  }
  const about = node("p", { class: "help about" }, live);
  const act = node("p", { class: "buttons" }, panel);
  const list = node("dl", {}, panel), index = {};
  for (const [key, words] of [["PI-LL", "PI − LL"], ["roussouly", "Roussouly type"], ["schwab", "Schwab modifiers"]]) {
    node("dt", {}, list, words);
    index[key] = node("dd", { "data-index": key }, list);
  }
  const dear = node("details", {}, panel);
  const dearHead = node("summary", {}, dear);
  const body = table(dear, "Degrees for one millimetre", ["", ...ANGLES]);
  const price = STEPS.map(([name]) => {
    const line = node("tr", {}, body);
    node("th", { scope: "row" }, line, name);
    return ANGLES.map((angle) => node("td", { "data-cost": angle }, line));
  });
  node("p", { class: "help" }, dear, "Each number is for the point moved in the direction that costs most.");
  return { panel, live, head: rows.previousSibling.firstChild, cells, about, act, index, dearHead, price };
}

function render({ model, el }) {
  const root = shell(el, "marking"), names = model.get("films");
  const ui = { ...buildStage(root), ...buildPanel(root) };
  const { film, ground, handles, stage } = ui;
  let shown = null, own = null, size = [1, 1], busy = false, loading = null, failed = "", hovered = false;
  let view = { zoom: 1, at: [0, 0] }, aim = null, cursor = null, tone = { bright: 1, contrast: 1 };

  const state = () => Object.fromEntries(["film", "points", "anterior", "spacing_mm", "compared", "readings"]
    .map((field) => [field, model.get(field)]));
  const placing = () => shown !== null && model.get("points").length < 6;
  const spacing = () => model.get("spacing_mm") ?? shown?.spacing ?? null;

  // --- view: film pixels to the stage's and back
  const fit = () => Math.min(size[0] / shown.width, size[1] / shown.height);
  const scale = () => fit() * view.zoom;
  const toStage = (p) => add(mul(sub(p, view.at), scale()), mul(size, 0.5));
  const toFilm = (p) => add(mul(sub(p, mul(size, 0.5)), 1 / scale()), view.at);
  const inside = ([x, y]) => [hold(x, -0.5, shown.width - 0.5), hold(y, -0.5, shown.height - 0.5)];

  function look(zoom, at) {
    zoom = hold(zoom, 1, Math.max(4, FINEST / fit()));
    const half = mul(size, 0.5 / (fit() * zoom)), whole = [shown.width, shown.height];
    view = { zoom, at: at.map((v, i) => (2 * half[i] >= whole[i] ? (whole[i] - 1) / 2
      : hold(v, half[i] - 0.5, whole[i] - 0.5 - half[i]))) };
    draw();
  }
  const fitted = () => look(1, mul([shown.width - 1, shown.height - 1], 0.5));
  /** Zoom so that what lies at `p` of the stage stays there. */
  function zoomAt(times, p) {
    const zoom = hold(view.zoom * times, 1, Math.max(4, FINEST / fit())), here = toFilm(p);
    look(zoom, sub(here, mul(sub(p, mul(size, 0.5)), 1 / (fit() * zoom))));
  }
  /** Bring a point of the film into view. */
  function reveal(p) {
    const [x, y] = toStage(p), margin = 24;
    if (x < margin || y < margin || x > size[0] - margin || y > size[1] - margin) look(view.zoom, p);
  }

  // --- films
  async function fetchFilm() {
    const want = model.get("film");
    if (want === loading) return;
    loading = want;
    aim = cursor = null;
    shown = null;
    failed = "";
    if (want === OWN) {
      shown = own;
      if (shown) fitted();
      return draw();
    }
    draw();
    try {
      const payload = await load(model, `marking-${want}`), picture = new Image();
      picture.src = payload.image;
      await picture.decode();
      if (loading !== want) return;
      shown = { picture, width: payload.width, height: payload.height, spacing: [payload.pixel_mm, payload.pixel_mm], payload };
      fitted();
    } catch {
      if (loading === want) failed = "This film comes with the book, or with a running kernel. Neither is here; you can still open a film of your own.";
    }
    draw();
  }

  async function openOwn(file) {
    try {
      const next = await opened(file);
      shown = loading = null; // also where an own film was shown before
      own?.picture.close();
      own = { ...next, spacing: null };
      keep(model, { points: [], compared: false, spacing_mm: null, film: OWN });
      fetchFilm();
      tell(next.says);
    } catch (error) {
      if (!(error instanceof Told)) throw error;
      tell(error.message, true);
    }
  }

  function choose(value) {
    const next = value === OWN ? OWN : Number(value);
    tell("");
    keep(model, { points: [], compared: false, spacing_mm: null, anterior: next === OWN ? model.get("anterior") : "left", film: next });
  }

  // --- points
  function put(p) {
    if (!placing()) return;
    keep(model, { points: [...model.get("points"), inside(p)] });
    if (!placing()) aim = cursor = null;
    draw();
  }
  function shift(i, p) {
    keep(model, { points: model.get("points").map((old, k) => (k === i ? inside(p) : old)) });
  }

  function reading() {
    const { film: which, points, anterior } = state(), at = spacing(), angles = anglesAt(points, at ?? [1, 1], anterior);
    return { film: which, width: shown.width, height: shown.height, points, anterior, spacing_mm: at,
      angles_deg: ANGLES.map((name) => angles[name]), true_deg: shown.payload?.angles_deg ?? null,
      rated_deg: shown.payload?.rated_angles_deg ?? null };
  }
  function record(readings) {
    memory.set("measuring.readings", readings);
    keep(model, { readings });
  }
  const sameReading = (a, b) => a.film === b.film && JSON.stringify(a.points) === JSON.stringify(b.points);

  // --- drawing
  function drawPicture(context, [wide, high], corner, k) {
    context.fillStyle = "#000";
    context.fillRect(0, 0, wide, high);
    context.imageSmoothingQuality = "high";
    context.filter = `brightness(${tone.bright}) contrast(${tone.contrast})`;
    context.drawImage(shown.picture, ...corner, shown.width * k, shown.height * k);
    context.filter = "none";
  }

  function drawFilm() {
    const dots = globalThis.devicePixelRatio || 1, [wide, high] = size.map((v) => Math.round(v * dots));
    if (ui.canvas.width !== wide || ui.canvas.height !== high) Object.assign(ui.canvas, { width: wide, height: high });
    const context = ui.canvas.getContext("2d");
    if (shown) drawPicture(context, [wide, high], mul(toStage([-0.5, -0.5]), dots), scale() * dots);
    else context.clearRect(0, 0, wide, high);
  }

  /** The loupe stands above what it shows, or beside it where there is no room above. */
  function drawLoupe() {
    const at = aim ?? cursor;
    ui.loupe.hidden = !(shown && at);
    if (ui.loupe.hidden) return;
    const [x, y] = toStage(at), r = LOUPE_PX / 2, gap = 30;
    const centre = y > 2 * r + gap ? [x, y - r - gap] : [x > size[0] / 2 ? x - r - gap : x + r + gap, y];
    const [cx, cy] = centre.map((v, i) => hold(v, r + 2, size[i] - r - 2));
    ui.loupe.style.transform = `translate(${cx - r}px, ${cy - r}px)`;
    const context = ui.loupe.getContext("2d"), k = 2 * Math.min(scale() * LOUPE_TIMES, 2 * FINEST), whole = 2 * LOUPE_PX;
    drawPicture(context, [whole, whole], sub([whole / 2, whole / 2], mul(add(at, [0.5, 0.5]), k)), k);
    context.strokeStyle = "#ffd166";
    context.lineWidth = 2;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(whole / 2 + 8 * dx, whole / 2 + 8 * dy);
      context.lineTo(whole / 2 + 50 * dx, whole / 2 + 50 * dy);
    }
    context.stroke();
  }

  /** Both plates and the line from the hip axis to the middle of S1, as far as their points are there. */
  function skeleton(points) {
    const at = points.map(toStage), lines = [];
    if (at.length > 1) lines.push([at[0], at[1]]);
    if (at.length > 3) lines.push([at[2], at[3]]);
    if (at.length > 5) lines.push([at[4], at[5]], [mid(at[4], at[5]), mid(at[0], at[1])]);
    return lines;
  }
  const diamond = ([x, y]) => [[x - 5, y], [x, y - 5], [x + 5, y], [x, y + 5], [x - 5, y]];
  const saltire = ([x, y]) => [[[x - 4, y - 4], [x + 4, y + 4]], [[x - 4, y + 4], [x + 4, y - 4]]];

  function drawPoints({ points, compared }, angles) {
    film.setAttribute("viewBox", `0 0 ${size.join(" ")}`);
    const known = shown && compared ? shown.payload : null;
    const [mine, rater, truth] = ui.lines;
    mine.setAttribute("d", shown ? path(skeleton(points)) : "");
    truth.setAttribute("d", known ? path([...skeleton(known.landmarks_px), ...known.landmarks_px.flatMap((p) => saltire(toStage(p)))]) : "");
    rater.setAttribute("d", known ? path(known.rated_landmarks_px.map((p) => diamond(toStage(p)))) : "");
    ui.words.forEach((text, i) => {
      const there = shown && points.length > [1, 3, 5][i], pair = points.slice(2 * i, 2 * i + 2);
      text.textContent = there ? ["S1", "L1", "Hips"][i] : "";
      if (!there) return;
      const ends = pair.map(toStage), right = Math.max(ends[0][0], ends[1][0]) + 14, y = mid(...ends)[1];
      text.setAttribute("x", hold(right, 4, size[0] - 30));
      text.setAttribute("y", hold(y, 10, size[1] - 10));
    });
    handles.forEach((handle, i) => {
      const there = shown && i < points.length;
      handle.style.display = there ? "" : "none";
      if (!there) return;
      handle.setAttribute("transform", `translate(${toStage(points[i]).map((v) => v.toFixed(2)).join(" ")})`);
      const value = angles[STEPS[i][2]], [x, y] = points[i];
      handle.setAttribute("aria-valuenow", Math.round((value ?? 0) * 10) / 10);
      handle.setAttribute("aria-valuetext", `${STEPS[i][2]} ${show(value)}; x ${x.toFixed(1)}, y ${y.toFixed(1)} pixels`);
    });
    const at = placing() && cursor ? toStage(cursor) : null;
    ui.cross.setAttribute("d", at ? path([[1, 0], [-1, 0], [0, 1], [0, -1]].map((w) => [add(at, mul(w, 4)), add(at, mul(w, 18))])) : "");
    const next = STEPS[points.length]?.[0];
    ground.setAttribute("aria-label", placing() ? `Cross-hair: ${next}` : "Film: arrow keys move it, plus and minus zoom");
    ground.setAttribute("aria-valuemax", 100);
    ground.setAttribute("aria-valuenow", 0);
    ground.setAttribute("aria-valuetext", cursor ? `x ${cursor[0].toFixed(0)}, y ${cursor[1].toFixed(0)} pixels` : `zoom ${view.zoom.toFixed(1)}`);
    film.style.touchAction = placing() || view.zoom > 1 ? "none" : "pan-y";
    stage.classList.toggle("placing", Boolean(placing()));
  }

  const write = (to, words) => { if (to.textContent !== words) to.textContent = words; };

  function drawStep({ points, film: which, compared }) {
    const step = STEPS[points.length];
    let html = ["", ""];
    if (failed) html = ["No film.", failed];
    else if (!shown && which === OWN) html = ["Your own film.", "Open a PNG or JPEG. It stays in this page: nothing is sent anywhere."];
    else if (!shown) html = ["Loading the film …", ""];
    else if (step) html = [`${points.length + 1} of 6: ${step[0]}.`, step[1]];
    else if (compared) html = ["Compared.", "× is the truth, ◇ the hospital’s rater. The reading that counts is the one you compared."];
    else html = ["All six are placed.", which === OWN ? "Drag what is off, then keep the reading." : "Drag what is off, then compare."];
    const words = html.join("|");
    if (ui.step.dataset.words === words) return;
    ui.step.dataset.words = words;
    ui.step.replaceChildren();
    node("strong", {}, ui.step, html[0]);
    node("span", {}, ui.step, ` ${html[1]}`);
  }

  function drawPanel({ points, anterior, compared, film: which }, angles) {
    const known = compared ? shown?.payload : null, at = spacing();
    ui.panel.classList.toggle("compared", Boolean(known));
    ANGLES.forEach((name, i) => {
      const { you, true: truth, error, rater } = ui.cells[name];
      write(you, show(angles[name]));
      write(truth, known ? show(known.angles_deg[i]) : "");
      write(error, known ? signed(angles[name] === null ? null : angles[name] - known.angles_deg[i]) : "");
      write(rater, known ? signed(known.rated_angles_deg[i] - known.angles_deg[i]) : "");
    });
    const { SS, PT, PI, LL } = angles, gap = PI === null || LL === null ? null : PI - LL;
    const marks = ["0", "+", "++"];
    write(ui.index["PI-LL"], show(gap));
    write(ui.index.schwab, `PT ${PT === null ? "–" : marks[category(PT, SCHWAB.PT)]}, PI − LL ${gap === null ? "–" : marks[category(gap, SCHWAB["PI-LL"])]}`);
    const price = costs(points, at ?? [1, 1], anterior);
    write(ui.index.roussouly, type(SS, at && price.SS.slice(0, 2)));
    write(ui.dearHead, at ? "What a millimetre costs" : "What a pixel costs");
    ui.price.forEach((line, i) => line.forEach((cell, k) => write(cell, show(price[ANGLES[k]][i], 2))));
    for (const [k, name] of ANGLES.entries()) {
      const most = Math.max(...price[name]);
      ui.price.forEach((line, i) => line[k].classList.toggle("most", price[name][i] > 0 && price[name][i] > 0.999 * most));
    }
    const square = !at || at[0] === at[1];
    const note = shown?.payload ? `${shown.payload.hospital}. ${shown.payload.note}` : "";
    const pixels = !shown ? "" : at ? (square ? `A pixel is ${at[0].toFixed(3)} mm.`
      : `A pixel is ${at[0].toFixed(3)} mm across and ${at[1].toFixed(3)} mm down; the angles allow for it.`)
      : "No millimetres known: pixels are taken as square.";
    write(ui.about, `${note} ${pixels} ${NOTE}`.trim());
    compare.hidden = compared;
    compare.disabled = !shown || points.length < 6;
    compare.textContent = which === OWN ? "Keep this reading" : "Compare with the truth";
    again.hidden = !compared;
    next.hidden = !compared || which === OWN;
    undo.disabled = points.length === 0 || compared;
    for (const one of zooms) one.disabled = !shown;
  }

  /** Roussouly's type, and how sure it is: slips of 1 mm (SD) at both corners of S1 spread SS. */
  function type(ss, price) {
    if (ss === null) return "–";
    const group = category(ss, ROUSSOULY), off = Math.min(...ROUSSOULY.map((border) => Math.abs(ss - border)));
    const sure = `${GROUPS[group]}; ${show(off)} from a border`;
    if (!price) return sure;
    const part = shares(ss, Math.hypot(...price)).map((p, i) => [Math.round(100 * p), GROUPS[i]]).filter(([p]) => p > 0);
    return `${sure}. With slips of 1 mm: ${part.map(([p, name]) => `${name} in ${p} %`).join(", ")}`;
  }

  function drawSettings({ anterior, film: which, spacing_mm }) {
    if (ui.select.value !== String(which)) ui.select.value = String(which);
    side.set(anterior);
    const at = spacing_mm ?? shown?.spacing ?? null;
    fields.forEach((field, i) => {
      if (field.matches(":focus")) return;
      field.value = at ? String(Number(at[i].toPrecision(6))) : "";
    });
  }

  function drawReadings({ readings }) {
    const told = readings.filter((r) => r.true_deg);
    const films = new Set(told.map((r) => r.film)).size;
    write(sumHead, `Your readings (${readings.length})`);
    write(sumWords, told.length === 0 ? "None is compared yet. Your readings are remembered in this browser only."
      : `${told.length} compared, of ${films} ${films === 1 ? "film" : "films"}. Remembered in this browser only.`);
    sums.parentElement.hidden = told.length === 0;
    const errors = (field, i) => told.map((r) => [r[field][i], r.true_deg[i]])
      .filter(([a]) => a !== null).map(([a, b]) => a - b);
    sums.replaceChildren();
    ANGLES.forEach((name, i) => {
      const line = node("tr", { "data-sum": name }, sums), { n, mean, sd, limits } = agreement(errors("angles_deg", i));
      const rater = agreement(told.filter((r) => r.rated_deg).map((r) => r.rated_deg[i] - r.true_deg[i]));
      node("th", { scope: "row" }, line, name);
      for (const words of [String(n), signed(mean), show(sd), limits ? `${signed(limits[0])} to ${signed(limits[1])}` : "–",
        `${signed(rater.mean)} ± ${show(rater.sd)}`]) node("td", {}, line, words);
    });
    rows.replaceChildren();
    rows.parentElement.hidden = readings.length === 0;
    readings.forEach((r, i) => {
      const line = node("tr", { "data-reading": i }, rows), name = r.film === OWN ? "Own" : String(r.film + 1);
      node("th", { scope: "row" }, line, name);
      ANGLES.forEach((_, k) => node("td", {}, line, r.true_deg
        ? signed(r.angles_deg[k] === null ? null : r.angles_deg[k] - r.true_deg[k]) : show(r.angles_deg[k])));
      const cell = node("td", {}, line);
      button(cell, "Show", () => again_(r)).setAttribute("aria-label", `Show reading ${i + 1}`);
    });
    for (const one of [toJsonButton, toCsvButton, forget]) one.disabled = readings.length === 0;
    forget.textContent = "Forget all";
    delete forget.dataset.sure;
  }

  function draw() {
    const now = state(), angles = anglesAt(now.points, spacing() ?? [1, 1], now.anterior);
    drawFilm();
    drawPoints(now, angles);
    drawLoupe();
    drawStep(now);
    drawPanel(now, angles);
    drawSettings(now);
    ui.empty.hidden = shown !== null;
    write(ui.empty, failed ? "No film" : model.get("film") === OWN ? "Drop a film here" : "Loading …");
  }

  // --- controls
  names.forEach((name, i) => node("option", { value: i }, ui.select, `Film ${i + 1}: ${name}`));
  node("option", { value: OWN }, ui.select, "A film of your own");
  ui.select.addEventListener("change", () => choose(ui.select.value));
  opener(ui.top, "Open …", "image/png,image/jpeg", openOwn).setAttribute("aria-label", "Open a film of your own, PNG or JPEG");
  const tools = node("p", { class: "buttons tools" }, ui.box);
  const zooms = [["−", "Zoom out", () => zoomAt(1 / 1.5, mul(size, 0.5))], ["+", "Zoom in", () => zoomAt(1.5, mul(size, 0.5))],
    ["Fit", "Show the whole film", fitted]].map(([sign, words, act]) => {
    const made = button(tools, sign, act);
    made.setAttribute("aria-label", words);
    return made;
  });
  const undo = button(tools, "Undo", () => keep(model, { points: model.get("points").slice(0, -1) }));
  button(tools, "Clear", () => keep(model, { points: [], compared: false }));
  const says = node("p", { class: "says", role: "status" }, ui.box);
  function tell(words, bad = false) {
    says.textContent = words;
    says.classList.toggle("bad", bad);
  }
  const compare = button(ui.act, "", () => {
    record([...model.get("readings"), reading()].slice(-MOST_READINGS));
    keep(model, { compared: model.get("film") !== OWN });
    tell(model.get("film") === OWN ? "Kept among your readings, without the film." : "");
    if (!next.hidden) next.focus();
  });
  compare.classList.add("main");
  const next = button(ui.act, "Next film", () => choose((model.get("film") + 1) % names.length));
  next.classList.add("main");
  const again = button(ui.act, "Read it again", () => keep(model, { points: [], compared: false }));

  const settings = node("details", {}, ui.panel);
  node("summary", {}, settings, "Side, pixels, brightness");
  const side = choices(settings, { label: "The patient faces", options: { left: "left", right: "right" },
    value: model.get("anterior"), act: (anterior) => keep(model, { anterior }) });
  const pixel = node("p", { class: "pixel" }, settings);
  node("span", {}, pixel, "Millimetres of a pixel");
  const fields = ["across", "down"].map((name) => {
    const label = node("label", {}, pixel, `${name} `);
    const input = node("input", { type: "text", inputmode: "decimal", size: 7, autocomplete: "off", "aria-label": `Millimetres of a pixel, ${name}` }, label);
    input.addEventListener("change", typed);
    return input;
  });
  const wrong = node("p", { class: "says bad", role: "status" }, settings);
  function typed() {
    const texts = fields.map((field) => field.value.trim());
    if (texts.every((t) => t === "")) {
      wrong.textContent = "";
      keep(model, { spacing_mm: null });
      return;
    }
    const filled = texts.map((t, i) => t || texts[1 - i]), values = filled.map(read); // one alone counts for both
    const bad = values.findIndex((v) => v === null || v < 0.001 || v > 100);
    wrong.textContent = bad < 0 ? "" : `${["Across", "Down"][bad]} is “${filled[bad]}”; allowed: a number from 0.001 to 100.`;
    if (bad < 0) keep(model, { spacing_mm: values });
  }
  node("p", { class: "help" }, settings, "Type another number for one of the two, and see how a stretched film lies. Empty: as the film has it.");
  for (const [key, label] of [["bright", "Brightness"], ["contrast", "Contrast"]])
    slider(settings, { label, min: 0.4, max: 3, step: 0.05, value: 1, format: (v) => `${Math.round(100 * v)} %`,
      act: (v) => {
        tone = { ...tone, [key]: v };
        drawFilm();
        drawLoupe();
      } });

  const mine = node("details", { class: "readings", open: "" }, root);
  const sumHead = node("summary", {}, mine), sumWords = node("p", { class: "help" }, mine);
  const scroll = node("div", { class: "tables" }, mine);
  const sums = table(scroll, "Your bias and spread", ["", "n", "Mean error", "SD", "95 % limits", "Rater"]);
  const rows = table(scroll, "Readings: errors, or angles of an own film", ["Film", ...ANGLES, ""]);
  const filing = node("p", { class: "buttons" }, mine);
  const toJsonButton = button(filing, "Save JSON", () => save("lumbo-readings.json", toJson(model.get("readings")), "application/json"));
  const toCsvButton = button(filing, "Save CSV", () => save("lumbo-readings.csv", toCsv(model.get("readings")), "text/csv"));
  opener(filing, "Load …", ".json,.csv,application/json,text/csv", openReadings).setAttribute("aria-label", "Load readings from JSON or CSV");
  const forget = button(filing, "Forget all", () => {
    if (!("sure" in forget.dataset)) {
      forget.dataset.sure = "";
      forget.textContent = "Really forget all?";
      return;
    }
    record([]);
    fileSays.textContent = "";
  });
  const fileSays = node("p", { class: "says", role: "status" }, mine);

  async function openReadings(file) {
    try {
      insist(file.size <= LARGEST_FILE, `${file.name} is larger than ${LARGEST_FILE / 1e6} MB: too large for readings.`);
      const found = parsed(file.name, await file.text(), names.length), before = model.get("readings");
      const fresh = found.filter((one, i) => ![...before, ...found.slice(0, i)].some((other) => sameReading(one, other)));
      insist(before.length + fresh.length <= MOST_READINGS, `That would be more than ${MOST_READINGS} readings.`);
      record([...before, ...fresh]);
      const known = found.length - fresh.length;
      fileSays.textContent = `${fresh.length} loaded from ${file.name}${known ? `; ${known} were already here` : ""}.`;
      fileSays.classList.remove("bad");
    } catch (error) {
      if (!(error instanceof Told)) throw error;
      fileSays.textContent = error.message;
      fileSays.classList.add("bad");
    }
  }

  /** Show an earlier reading on its film. */
  function again_(r) {
    if (r.film === OWN && !(own && own.width === r.width && own.height === r.height)) {
      fileSays.textContent = `Open the film of this reading first: ${r.width} × ${r.height} pixels. It was not kept.`;
      fileSays.classList.add("bad");
      return;
    }
    fileSays.textContent = "";
    keep(model, { points: r.points, anterior: r.anterior, spacing_mm: r.spacing_mm, compared: r.film !== OWN, film: r.film });
  }

  // --- hands
  const fingers = new Map();
  let press = null, pinch = null;
  const quiet = (on) => {
    busy = on;
    if (on) ui.live.setAttribute("aria-busy", "true"); // a screen reader hears the result, not each step
    else ui.live.removeAttribute("aria-busy");
  };

  ground.addEventListener("touchstart", (event) => { if (placing() || view.zoom > 1) event.preventDefault(); }, { passive: false });
  ground.addEventListener("pointerdown", (event) => {
    if (event.button || busy || !shown) return;
    if (event.pointerType === "mouse") event.preventDefault();
    ground.focus({ preventScroll: true });
    ground.setPointerCapture(event.pointerId);
    const from = place(film, event);
    fingers.set(event.pointerId, from);
    cursor = null;
    if (fingers.size === 1) press = { from, at: view.at, moved: false, mouse: event.pointerType === "mouse" };
    else {
      press = aim = null;
      const [a, b] = [...fingers.values()];
      pinch = { middle: toFilm(mid(a, b)), apart: len(sub(a, b)) || 1, zoom: view.zoom };
    }
    if (press && !press.mouse && placing()) aim = inside(toFilm(from));
    draw();
  });
  ground.addEventListener("pointermove", (event) => {
    if (!shown) return;
    const at = place(film, event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
    if (fingers.size > 1 && pinch) {
      const [a, b] = [...fingers.values()], zoom = hold(pinch.zoom * len(sub(a, b)) / pinch.apart, 1, Math.max(4, FINEST / fit()));
      look(zoom, sub(pinch.middle, mul(sub(mid(a, b), mul(size, 0.5)), 1 / (fit() * zoom))));
    } else if (press) {
      press.moved ||= len(sub(at, press.from)) > HELD_PX;
      if (!press.mouse && placing()) aim = inside(toFilm(at));
      else if (press.moved) {
        aim = null;
        return look(view.zoom, sub(press.at, mul(sub(at, press.from), 1 / scale())));
      }
      drawLoupe();
    } else if (event.pointerType === "mouse" && placing()) {
      hovered = true;
      aim = inside(toFilm(at));
      drawLoupe();
    }
  });
  const lifted = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const done = press;
    press = null;
    if (fingers.size === 0) pinch = null;
    if (event.type === "pointerup" && done && placing() && !(done.mouse && done.moved)) {
      const p = toFilm(place(film, event));
      aim = null;
      put(p);
    } else {
      aim = null;
      draw();
    }
  };
  for (const kind of ["pointerup", "pointercancel"]) ground.addEventListener(kind, lifted);
  stage.addEventListener("pointerleave", () => {
    if (!hovered || busy) return;
    hovered = false;
    aim = null;
    drawLoupe();
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !shown) return; // without Ctrl the page scrolls
    event.preventDefault();
    zoomAt(Math.exp(-hold(event.deltaY, -60, 60) * 0.01), place(film, event));
  }, { passive: false });

  arrows(ground, (step) => {
    if (!shown) return;
    if (!placing()) return look(view.zoom, add(view.at, mul(step, 40 / (scale() * (Math.abs(step[0] + step[1]) > 1 ? 5 : 1)))));
    aim = null;
    cursor = inside(add(cursor ?? view.at.map(Math.round), step));
    reveal(cursor);
    draw();
  });
  ground.addEventListener("keydown", (event) => {
    if (!shown || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = cursor ?? view.at;
    if (event.key === "Enter" && placing()) put(at);
    else if (event.key === "+" || event.key === "=") zoomAt(1.5, toStage(at));
    else if (event.key === "-") zoomAt(1 / 1.5, toStage(at));
    else if (event.key === "0") fitted();
    else if (event.key === "Backspace" && !undo.disabled) undo.click();
    else return;
    event.preventDefault();
  });
  ground.addEventListener("focus", () => {
    if (!placing() || !ground.matches(":focus-visible")) return;
    cursor ??= view.at.map(Math.round);
    draw();
  });
  ground.addEventListener("blur", () => {
    cursor = null;
    draw();
  });
  handles.forEach((handle, i) => {
    drag(film, handle, {
      begin: (from) => { // touch targets overlap where points are close: the nearest one is meant
        quiet(true);
        const points = model.get("points"), far = points.map((p) => len(sub(toStage(p), from)));
        const which = far[i] <= HELD_PX ? i : far.indexOf(Math.min(...far));
        if (which !== i) handles[which].focus();
        aim = points[which];
        draw();
        return { which, base: aim };
      },
      move: ({ which, base }, from, at) => {
        aim = inside(add(base, mul(sub(at, from), 1 / scale())));
        shift(which, aim);
      },
      end: () => {
        quiet(false);
        aim = null;
        draw();
      },
    });
    arrows(handle, (step) => {
      const to = inside(add(model.get("points")[i], step));
      aim = to;
      shift(i, to);
      reveal(to);
    });
    handle.addEventListener("blur", () => {
      if (busy) return;
      aim = null;
      drawLoupe();
    });
  });
  for (const kind of ["dragover", "drop"]) stage.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser would leave the page for the file
    if (kind === "drop" && event.dataTransfer.files[0]) openOwn(event.dataTransfer.files[0]);
  });

  const watch = new ResizeObserver(() => {
    const box = stage.getBoundingClientRect();
    if (box.width < 1 || box.height < 1) return;
    size = [box.width, box.height];
    if (shown) look(view.zoom, view.at);
    else draw();
  });
  watch.observe(stage);

  const before = model.get("readings").length ? null : memory.get("measuring.readings");
  try {
    if (Array.isArray(before) && before.length) keep(model, { readings: before.map((one) => checked(one, "", names.length)) });
  } catch {
    // what an older page remembered is no reading any more
  }
  const unfollow = [follow(model, ["film"], fetchFilm), follow(model, ["points", "anterior", "spacing_mm", "compared"], draw),
    follow(model, ["readings"], () => drawReadings(state()))];
  return () => {
    watch.disconnect();
    unfollow.forEach((undoIt) => undoIt());
  };
}

export default { render };
