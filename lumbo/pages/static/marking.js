// The Measure figure: put six points on a film, read four angles, compare with the truth.  Taught in measuring.
//
// Points are [x, y] in pixels of the film's file, y down, in the order of lumbo.angles.LANDMARKS; the centre of
// the top left pixel is (0, 0).  A film of the reader's own is held by this module alone: it is no field of the
// model, so neither a kernel nor a saved page ever sees it.

import { ANGLES, NAMES, arrows, button, choices, drag, follow, hold, keep, load, memory, node, place, read, shell, show,
  slider } from "./core.js";
import { add, anglesOf, degrees, gradients, len, mid, mul, path, sub } from "./geometry.js";
import { ROUSSOULY_GROUPS, SCHWAB_BORDERS, SCHWAB_MODIFIERS, category, roussouly, roussoulyShares, untyped } from "./indices.js";

const OWN = "own", MOST_READINGS = 1000, LARGEST_FILE = 4e6, MOST_LETTERS = 200, NOTE = "Not for clinical use.";
const LONGEST_PX = 100_000, SHOWN_PX = 6000; // of a film's side: what a reading may say, and what is shown without coarsening
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

const scaled = (points, [across, down]) => points.map(([x, y]) => [x * across, y * down]);
/** Six points, the missing ones as no number, so that an angle is there as soon as its points are. */
const six = (points) => LANDMARKS.map((_, i) => points[i] ?? [NaN, NaN]);
const anglesAt = (points, spacing, anterior) => anglesOf(six(scaled(points, spacing)), anterior);

/** Degrees of each angle for 1 mm at each point in the worst direction: ANGLES -> six numbers, NaN where no angle is. */
function costs(points, spacing, anterior) {
  const turns = gradients(six(scaled(points, spacing)), anterior);
  return Object.fromEntries(ANGLES.map((name) => {
    const all = turns[name].map((g) => degrees(len(g)));
    return [name, all.every(Number.isFinite) ? all : all.map(() => NaN)];
  }));
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
  const bad = () => {
    throw new Told(`${file.name} begins like a ${kind}, but cannot be opened: it is damaged, or too large for the browser.`);
  };
  const picture = await createImageBitmap(file).catch(bad);
  const { width, height } = picture, shrink = SHOWN_PX / Math.max(width, height);
  if (shrink >= 1) return { picture, width, height, says: `${file.name}: ${width} × ${height} pixels. It stays in this page.` };
  const smaller = await createImageBitmap(picture, { resizeQuality: "high",
    resizeWidth: Math.max(1, Math.round(width * shrink)), resizeHeight: Math.max(1, Math.round(height * shrink)) }).catch(bad);
  picture.close();
  return { picture: smaller, width, height, says: `${file.name} has ${width} × ${height} pixels, more than ${SHOWN_PX} on a ` +
    "side: it is shown coarser. Points still count in the pixels of the file. It stays in this page." };
}

/** What is told of a file that failed: its problem, or that there is one. */
const complaint = (error, file) => (error instanceof Told ? error.message : `${file.name} cannot be read.`);

/** What stands in a file, as it can be told: cut where it is long. */
const cut = (text) => (text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}…` : text);
const quoted = (value) => cut(JSON.stringify(value ?? null));

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
      `${where}: ${name} is ${quoted(value)}; allowed: a number from ${low} to ${high}.`);
    return value;
  };
  const list = (value, name, size) =>
    insist(Array.isArray(value) && value.length === size, `${where}: ${name} must be a list of ${size}.`);
  insist(raw && typeof raw === "object" && !Array.isArray(raw), `${where} is not a reading.`);
  const { film, anterior } = raw;
  insist(film === OWN || (Number.isInteger(film) && film >= 0 && film < films),
    `${where}: film is ${quoted(film)}; allowed: 0 to ${films - 1}, or ${OWN}.`);
  const [width, height] = ["width", "height"].map((name) => number(raw[name], name, 1, LONGEST_PX));
  insist(Number.isInteger(width) && Number.isInteger(height), `${where}: width and height must be whole numbers.`);
  insist(["left", "right"].includes(anterior), `${where}: anterior is ${quoted(anterior)}; allowed: left or right.`);
  list(raw.points, "points", 6);
  const points = raw.points.map((p, i) => {
    list(p, LANDMARKS[i], 2);
    return [number(p[0], `${LANDMARKS[i]}_x`, -0.5, width - 0.5), number(p[1], `${LANDMARKS[i]}_y`, -0.5, height - 0.5)];
  });
  let spacing_mm = raw.spacing_mm ?? null;
  if (spacing_mm !== null) {
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
  const [head, ...rows] = text.split(/\r?\n/).filter((line) => line.trim()).map((line) => line.split(","));
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
function parsed(name, whole, films) {
  const text = whole.replace(/^\uFEFF/, "");
  insist(text.trim(), `${name} is empty.`);
  let raw, part = "Reading";
  if (/^\s*[{[]/.test(text)) {
    try {
      raw = JSON.parse(text);
    } catch (error) {
      throw new Told(`${name} is broken JSON: ${cut(error.message)}.`);
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

const keyOf = (r) => JSON.stringify([r.film, r.width, r.height, r.points, r.anterior, r.spacing_mm]);
/** Those of `readings` that are not among `others`, each once. */
function unknown(readings, others) {
  const known = new Set(others.map(keyOf));
  return readings.filter((one) => !known.has(keyOf(one)) && known.add(keyOf(one)));
}

const SHELF = "readings"; // a name that no question has: each of theirs has a dot

/** Remember, and say whether the browser did: storage may be full or denied. */
function remember(readings) {
  memory.set(SHELF, readings);
  return JSON.stringify(memory.get(SHELF)) === JSON.stringify(readings);
}

/** The readings that this browser remembers; none where what an older page left is no reading any more. */
function remembered(films) {
  try {
    return memory.get(SHELF).map((one) => checked(one, "", films));
  } catch {
    return [];
  }
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
  const ground = node("rect", { class: "ground", width: "100%", height: "100%", tabindex: 0, role: "slider" }, film);
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
  const loupe = node("div", { class: "loupe", "aria-hidden": true }, stage);
  const glass = node("canvas", { width: 2 * LOUPE_PX, height: 2 * LOUPE_PX }, loupe);
  node("path", { d: "M4 0H25M-4 0H-25M0 4V25M0 -4V-25" }, node("svg", { viewBox: "-59 -59 118 118" }, loupe));
  const empty = node("p", { class: "empty" }, stage);
  return { box, top, select, step, stage, canvas, film, ground, lines, words, cross, handles, loupe, glass, empty };
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
  const meant = node("p", { class: "help" }, panel);
  const dear = node("details", {}, panel);
  const dearHead = node("summary", {}, dear);
  const body = table(dear, "Degrees for one millimetre", ["", ...ANGLES]);
  const price = STEPS.map(([name]) => {
    const line = node("tr", {}, body);
    node("th", { scope: "row" }, line, name);
    return ANGLES.map((angle) => node("td", { "data-cost": angle }, line));
  });
  node("p", { class: "help" }, dear, "Each number is for the point moved in the direction that costs most.");
  return { panel, live, head: rows.previousSibling.firstChild, cells, about, act, index, meant, dearHead, price };
}

// The parts of a figure share one object, the desk: its model, what it is made of (`ui`), and what stands on it now.

/** View of the film: its pixels to the stage's and back. */
function view(desk) {
  const finest = () => Math.max(4, FINEST / fit());
  const fit = () => Math.min(desk.size[0] / desk.shown.width, desk.size[1] / desk.shown.height);
  const scale = () => fit() * desk.zoom;
  const toStage = (p) => add(mul(sub(p, desk.at), scale()), mul(desk.size, 0.5));
  const toFilm = (p) => add(mul(sub(p, mul(desk.size, 0.5)), 1 / scale()), desk.at);
  const inside = ([x, y]) => [hold(x, -0.5, desk.shown.width - 0.5), hold(y, -0.5, desk.shown.height - 0.5)];

  function look(zoom, at) {
    desk.zoom = hold(zoom, 1, finest());
    const half = mul(desk.size, 0.5 / scale()), whole = [desk.shown.width, desk.shown.height];
    desk.at = at.map((v, i) => (2 * half[i] >= whole[i] ? (whole[i] - 1) / 2 : hold(v, half[i] - 0.5, whole[i] - 0.5 - half[i])));
    desk.draw();
  }
  const fitted = () => look(1, mul([desk.shown.width - 1, desk.shown.height - 1], 0.5));
  /** Zoom so that the film's point `p` lies at `spot` of the stage. */
  function zoomTo(wanted, p, spot) {
    const zoom = hold(wanted, 1, finest());
    look(zoom, sub(p, mul(sub(spot, mul(desk.size, 0.5)), 1 / (fit() * zoom))));
  }
  const zoomAt = (times, spot) => zoomTo(desk.zoom * times, toFilm(spot), spot);
  /** Bring a point of the film into view. */
  function reveal(p) {
    const [x, y] = toStage(p), margin = 24;
    if (x < margin || y < margin || x > desk.size[0] - margin || y > desk.size[1] - margin) look(desk.zoom, p);
  }
  return { finest, scale, toStage, toFilm, inside, look, fitted, zoomTo, zoomAt, reveal };
}

/** Which film lies there: from the book or the kernel, or the reader's own. */
function films(desk) {
  const { model, root } = desk;

  async function fetchFilm() {
    const want = model.get("film");
    if (want === desk.loading) return;
    desk.turn += 1;
    Object.assign(desk, { loading: want, shown: null, aim: null, cursor: null, failed: "" });
    delete root.dataset.without;
    if (want === OWN) {
      desk.shown = desk.own;
      if (desk.shown) desk.fitted();
      return desk.draw();
    }
    desk.draw();
    try {
      const payload = await load(model, `marking-${want}`), picture = new Image();
      picture.src = payload.image;
      await picture.decode();
      if (desk.loading !== want) return;
      desk.shown = { picture, width: payload.width, height: payload.height, spacing: [payload.pixel_mm, payload.pixel_mm], payload };
      desk.fitted();
      desk.compareSizes();
    } catch {
      if (desk.loading !== want) return;
      desk.loading = null; // choosing the film asks for it again
      desk.failed = "This film comes with the book, or with a running kernel. Neither is here; you can still open a film of your own.";
      root.dataset.without = ""; // so that the still picture comes back
    }
    desk.draw();
  }

  async function openOwn(file) {
    const turn = desk.turn += 1, late = () => turn !== desk.turn; // another film was asked for meanwhile
    try {
      const next = await opened(file);
      if (late()) return next.picture.close();
      desk.shown = desk.loading = desk.meant = null; // also where an own film was shown before
      desk.own?.picture.close();
      desk.own = { ...next, spacing: null };
      keep(model, { points: [], compared: false, spacing_mm: null, film: OWN });
      fetchFilm();
      desk.tell(next.says);
    } catch (error) {
      if (!late()) desk.tell(complaint(error, file), true);
    }
  }

  function choose(value) {
    const next = value === OWN ? OWN : Number(value);
    desk.turn += 1;
    desk.meant = null;
    desk.tell("");
    keep(model, { points: [], compared: false, spacing_mm: null, anterior: next === OWN ? model.get("anterior") : "left", film: next });
  }
  return { fetchFilm, openOwn, choose };
}

// --- drawing

const write = (to, words) => { if (to.textContent !== words) to.textContent = words; };

/** The film on its canvas, and under the loupe; brightness and contrast are left to the style sheet's filter. */
function pictures(desk) {
  const { ui } = desk;

  function drawPicture(canvas, corner, k) {
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    if (desk.shown) context.drawImage(desk.shown.picture, ...corner, desk.shown.width * k, desk.shown.height * k);
    canvas.style.filter = `brightness(${desk.tone.bright}) contrast(${desk.tone.contrast})`;
  }

  function drawFilm() {
    const magnified = ui.stage.getBoundingClientRect().width / desk.size[0]; // by a zoom of the page around
    const dots = (globalThis.devicePixelRatio || 1) * (magnified || 1), [width, height] = desk.size.map((v) => Math.round(v * dots));
    if (ui.canvas.width !== width || ui.canvas.height !== height) Object.assign(ui.canvas, { width, height });
    drawPicture(ui.canvas, desk.shown && mul(desk.toStage([-0.5, -0.5]), dots), desk.shown && desk.scale() * dots);
  }

  /** The loupe stands above what it shows, or beside it where there is no room above. */
  function drawLoupe() {
    const at = desk.aim ?? desk.cursor;
    ui.loupe.hidden = !(desk.shown && at);
    if (ui.loupe.hidden) return;
    const [x, y] = desk.toStage(at), r = LOUPE_PX / 2, gap = 30;
    const centre = y > 2 * r + gap ? [x, y - r - gap] : [x > desk.size[0] / 2 ? x - r - gap : x + r + gap, y];
    const [cx, cy] = centre.map((v, i) => hold(v, r + 2, desk.size[i] - r - 2));
    ui.loupe.style.transform = `translate(${cx - r}px, ${cy - r}px)`;
    const k = 2 * Math.min(desk.scale() * LOUPE_TIMES, 2 * FINEST);
    drawPicture(ui.glass, sub([LOUPE_PX, LOUPE_PX], mul(add(at, [0.5, 0.5]), k)), k);
  }
  return { drawFilm, drawLoupe };
}

/** Points, lines and cross-hair over the film. */
function marks(desk) {
  const { model, ui } = desk;

  /** Both plates and the line from the hip axis to the middle of S1, as far as their points are there. */
  function skeleton(points) {
    const at = points.map(desk.toStage), lines = [];
    if (at.length > 1) lines.push([at[0], at[1]]);
    if (at.length > 3) lines.push([at[2], at[3]]);
    if (at.length > 5) lines.push([at[4], at[5]], [mid(at[4], at[5]), mid(at[0], at[1])]);
    return lines;
  }
  const diamond = ([x, y]) => [[x - 5, y], [x, y - 5], [x + 5, y], [x, y + 5], [x - 5, y]];
  const saltire = ([x, y]) => [[[x - 4, y - 4], [x + 4, y + 4]], [[x - 4, y + 4], [x + 4, y - 4]]];

  function drawWords(points) {
    ui.words.forEach((text, i) => {
      const there = desk.shown && points.length > [1, 3, 5][i], pair = points.slice(2 * i, 2 * i + 2);
      text.textContent = there ? ["S1", "L1", "Hips"][i] : "";
      if (!there) return;
      const ends = pair.map(desk.toStage), right = Math.max(ends[0][0], ends[1][0]) + 14, y = mid(...ends)[1];
      text.setAttribute("x", hold(right, 4, desk.size[0] - 30));
      text.setAttribute("y", hold(y, 10, desk.size[1] - 10));
    });
  }

  function drawHandle(handle, i, point, angles) {
    handle.style.display = point ? "" : "none";
    if (!point) return;
    handle.setAttribute("transform", `translate(${desk.toStage(point).map((v) => v.toFixed(2)).join(" ")})`);
    const name = STEPS[i][2], [x, y] = point;
    handle.setAttribute("aria-valuenow", Math.round((angles[name] ?? 0) * 10) / 10);
    handle.setAttribute("aria-valuetext", `${name} ${show(angles[name])}; x ${x.toFixed(1)}, y ${y.toFixed(1)} pixels`);
  }

  /** The cross-hair, and what a screen reader hears of the film: where it is across, or else the zoom. */
  function drawGround(points) {
    const { cursor, shown } = desk, placing = desk.placing(), at = placing && cursor ? desk.toStage(cursor) : null;
    ui.cross.setAttribute("d", at ? path([[1, 0], [-1, 0], [0, 1], [0, -1]].map((w) => [add(at, mul(w, 4)), add(at, mul(w, 18))])) : "");
    const [min, now, max, words] = cursor && shown
      ? [-0.5, cursor[0], shown.width - 0.5, `x ${cursor[0].toFixed(0)}, y ${cursor[1].toFixed(0)} pixels`]
      : [1, desk.zoom, shown ? desk.finest() : 1, `zoom ${desk.zoom.toFixed(1)}`];
    const label = placing ? `Cross-hair: ${STEPS[points.length][0]}` : "Film: arrow keys move it, plus and minus zoom";
    const said = { label, valuemin: min, valuenow: Math.round(10 * now) / 10, valuemax: max, valuetext: words };
    for (const [key, value] of Object.entries(said)) ui.ground.setAttribute(`aria-${key}`, value);
  }

  function drawPoints({ points, compared }, angles) {
    const { shown } = desk, known = shown && compared ? shown.payload : null, [mine, rater, truth] = ui.lines;
    ui.film.setAttribute("viewBox", `0 0 ${desk.size.join(" ")}`);
    mine.setAttribute("d", shown ? path(skeleton(points)) : "");
    truth.setAttribute("d", known
      ? path([...skeleton(known.landmarks_px), ...known.landmarks_px.flatMap((p) => saltire(desk.toStage(p)))]) : "");
    rater.setAttribute("d", known ? path(known.rated_landmarks_px.map((p) => diamond(desk.toStage(p)))) : "");
    drawWords(points);
    ui.handles.forEach((handle, i) => drawHandle(handle, i, shown && points[i], angles));
    drawGround(points);
    ui.film.style.touchAction = desk.placing() || desk.zoom > 1 ? "none" : "pan-y";
    ui.stage.classList.toggle("placing", desk.placing());
  }

  const shift = (i, p) => keep(model, { points: model.get("points").map((old, k) => (k === i ? desk.inside(p) : old)) });
  function put(p) {
    if (!desk.placing()) return;
    keep(model, { points: [...model.get("points"), desk.inside(p)] });
    if (!desk.placing()) desk.aim = desk.cursor = null;
    desk.draw();
  }
  return { drawPoints, shift, put };
}

/** What is said of the film and of the points: what to do next, angles, indices, costs. */
function panel(desk) {
  const { ui } = desk;

  function stepWords({ points, film, compared }) {
    const step = STEPS[points.length];
    if (desk.failed) return ["No film.", desk.failed];
    if (!desk.shown && film === OWN) return ["Your own film.", "Open a PNG or JPEG. It stays in this page: nothing is sent anywhere."];
    if (!desk.shown) return ["Loading the film …", ""];
    if (step) return [`${points.length + 1} of 6: ${step[0]}.`, step[1]];
    if (compared) return ["Compared.", "× is the truth, ◇ the hospital’s rater. What you compared is your reading."];
    return ["All six are placed.", film === OWN ? "Drag what is off, then keep the reading." : "Drag what is off, then compare."];
  }

  function drawStep(now) {
    const [head, rest] = stepWords(now), words = `${head}|${rest}`;
    if (ui.step.dataset.words === words) return;
    ui.step.dataset.words = words;
    ui.step.replaceChildren();
    node("strong", {}, ui.step, head);
    node("span", {}, ui.step, ` ${rest}`);
  }

  /** Roussouly's type, and how sure it is: slips of 1 mm (SD) at both corners of S1 spread SS. */
  function type({ SS, PT }, gap, price) {
    if (SS === null || PT === null || gap === null) return "–"; // with fewer angles nobody knows whether there is a type
    const none = untyped(PT, gap);
    if (none) return none;
    const { group, away } = roussouly(SS), sure = `${ROUSSOULY_GROUPS[group]}; ${show(away)} from a border`;
    if (!price) return sure;
    const part = roussoulyShares(SS, Math.hypot(...price)).map((p, i) => [Math.round(100 * p), ROUSSOULY_GROUPS[i]]);
    return `${sure}. With slips of 1 mm: ${part.filter(([p]) => p > 0).map(([p, name]) => `${name} in ${p} %`).join(", ")}`;
  }

  function drawIndices(angles, price) {
    const { PT, PI, LL } = angles, gap = PI === null || LL === null ? null : PI - LL;
    const grade = (value, name) => (value === null ? "–" : SCHWAB_MODIFIERS[category(value, SCHWAB_BORDERS[name])]);
    const child = desk.shown?.payload?.adult === false;
    write(ui.index["PI-LL"], show(gap));
    write(ui.index.schwab, `PT ${grade(PT, "PT")}, PI − LL ${grade(gap, "PI-LL")}`);
    write(ui.index.roussouly, type(angles, gap, price));
    for (const name of ["schwab", "roussouly"])
      for (const part of [ui.index[name], ui.index[name].previousSibling]) part.hidden = child;
    write(ui.meant, child ? "Roussouly’s types and Schwab’s modifiers are left out. These indices are for adults."
      : "Schwab: for adults with deformity; its third modifier, SVA, is not on this film.");
  }

  function drawCosts(price, at) {
    write(ui.dearHead, at ? "What a millimetre costs" : "What a pixel costs");
    for (const [k, name] of ANGLES.entries()) {
      const most = Math.max(...price[name]);
      ui.price.forEach((line, i) => {
        write(line[k], show(price[name][i], 2));
        line[k].classList.toggle("most", price[name][i] > 0 && price[name][i] > 0.999 * most);
      });
    }
  }

  function drawAbout(at) {
    const { shown } = desk, note = shown?.payload ? `${shown.payload.hospital}. ${shown.payload.note}` : "";
    const pixels = !shown ? "" : !at ? "No millimetres known: pixels are taken as square."
      : at[0] === at[1] ? `A pixel is ${at[0].toFixed(3)} mm.`
        : `A pixel is ${at[0].toFixed(3)} mm across and ${at[1].toFixed(3)} mm down; the angles allow for it.`;
    write(ui.about, `${note} ${pixels} ${NOTE}`.trim());
  }

  function drawPanel({ points, anterior, compared }, angles) {
    const known = compared ? desk.shown?.payload : null, at = desk.spacing(), price = costs(points, at ?? [1, 1], anterior);
    ui.panel.classList.toggle("compared", Boolean(known));
    ANGLES.forEach((name, i) => {
      const { you, true: truth, error, rater } = ui.cells[name];
      write(you, show(angles[name]));
      write(truth, known ? show(known.angles_deg[i]) : "");
      write(error, known ? signed(angles[name] === null ? null : angles[name] - known.angles_deg[i]) : "");
      write(rater, known ? signed(known.rated_angles_deg[i] - known.angles_deg[i]) : "");
    });
    drawIndices(angles, at && price.SS.slice(0, 2));
    drawCosts(price, at);
    drawAbout(at);
  }
  return { drawStep, drawPanel };
}

// --- controls

/** Which film, how large, one point back: above and below the stage. */
function buildTools(desk, names) {
  const { model, ui } = desk;
  names.forEach((name, i) => node("option", { value: i }, ui.select, `Film ${i + 1}: ${name}`));
  node("option", { value: OWN }, ui.select, "A film of your own");
  ui.select.addEventListener("change", () => desk.choose(ui.select.value));
  opener(ui.top, "Open …", "image/png,image/jpeg", desk.openOwn).setAttribute("aria-label", "Open a film of your own, PNG or JPEG");
  const tools = node("p", { class: "buttons tools" }, ui.box);
  const middle = () => mul(desk.size, 0.5);
  const zooms = [["−", "Zoom out", () => desk.zoomAt(1 / 1.5, middle())], ["+", "Zoom in", () => desk.zoomAt(1.5, middle())],
    ["Fit", "Show the whole film", desk.fitted]].map(([sign, words, act]) => {
    const made = button(tools, sign, act);
    made.setAttribute("aria-label", words);
    return made;
  });
  desk.canUndo = () => model.get("points").length > 0 && !model.get("compared");
  desk.undo = () => keep(model, { points: model.get("points").slice(0, -1) });
  const undo = button(tools, "Undo", desk.undo);
  button(tools, "Clear", () => keep(model, { points: [], compared: false }));
  const retry = button(tools, "Try again", desk.fetchFilm);
  const says = node("p", { class: "says", role: "status" }, ui.box);
  desk.tell = (words, bad = false) => {
    says.textContent = words;
    says.classList.toggle("bad", bad);
  };
  return ({ film }) => {
    if (ui.select.value !== String(film)) ui.select.value = String(film);
    undo.disabled = !desk.canUndo();
    for (const one of zooms) one.disabled = !desk.shown;
    retry.hidden = !desk.failed;
    ui.empty.hidden = desk.shown !== null;
    write(ui.empty, desk.failed ? "No film" : film === OWN ? "Drop a film here" : "Loading …");
  };
}

/** The buttons under the angles: compare, which keeps its place, so that a double click hits no other; next film, read it again. */
function buildActs(desk, names) {
  const { model, ui } = desk;

  function reading() {
    const { film, points, anterior } = desk.state(), at = desk.spacing(), angles = anglesAt(points, at ?? [1, 1], anterior);
    const { width, height, payload } = desk.shown;
    return { film, width, height, points, anterior, spacing_mm: at, angles_deg: ANGLES.map((name) => angles[name]),
      true_deg: payload?.angles_deg ?? null, rated_deg: payload?.rated_angles_deg ?? null };
  }

  const compare = button(ui.act, "", () => {
    const before = model.get("readings"), fresh = unknown([reading()], before);
    if (fresh.length) desk.record([...before, ...fresh].slice(-MOST_READINGS));
    keep(model, { compared: model.get("film") !== OWN });
    const words = fresh.length ? "Kept among your readings, without the film." : "It is already among your readings.";
    desk.tell(model.get("film") === OWN ? words : "");
    if (!next.hidden) next.focus();
  });
  const next = button(ui.act, "Next film", () => desk.choose((model.get("film") + 1) % names.length));
  next.addEventListener("keydown", (event) => { if (event.repeat) event.preventDefault(); }); // Enter, held down since Compare
  next.classList.add("main");
  const again = button(ui.act, "Read it again", () => keep(model, { points: [], compared: false }));
  return ({ points, film, compared }) => {
    compare.classList.toggle("main", !compared);
    compare.disabled = compared || !desk.shown || points.length < 6;
    compare.textContent = film === OWN ? "Keep this reading" : "Compare with the truth";
    again.hidden = !compared;
    next.hidden = !compared || film === OWN;
  };
}

/** Side, millimetres of a pixel, brightness and contrast. */
function buildSettings(desk) {
  const { model, ui } = desk, box = node("details", {}, ui.panel);
  node("summary", {}, box, "Side, pixels, brightness");
  const side = choices(box, { label: "The patient faces", options: { left: "left", right: "right" },
    value: model.get("anterior"), act: (anterior) => keep(model, { anterior }) });
  const pixel = node("p", { class: "pixel" }, box);
  node("span", {}, pixel, "Millimetres of a pixel");
  const fields = ["across", "down"].map((name) => {
    const label = node("label", {}, pixel, `${name} `);
    const input = node("input", { type: "text", inputmode: "decimal", size: 7, autocomplete: "off",
      "aria-label": `Millimetres of a pixel, ${name}` }, label);
    input.addEventListener("change", typed);
    return input;
  });
  const wrong = node("p", { class: "says bad", role: "status" }, box);
  function typed() {
    const texts = fields.map((field) => field.value.trim());
    if (texts.every((t) => t === "")) {
      wrong.textContent = "";
      keep(model, { spacing_mm: null });
      return;
    }
    const filled = texts.map((t, i) => t || texts[1 - i]), values = filled.map(read); // one alone counts for both
    const bad = values.findIndex((v) => v === null || v < 0.001 || v > 100);
    wrong.textContent = bad < 0 ? "" : `${["Across", "Down"][bad]} is “${cut(filled[bad])}”; allowed: a number from 0.001 to 100.`;
    if (bad < 0) keep(model, { spacing_mm: values });
  }
  node("p", { class: "help" }, box, "Type another number for one of the two, and see how a stretched film lies. Empty: as the film has it.");
  for (const [key, label] of [["bright", "Brightness"], ["contrast", "Contrast"]])
    slider(box, { label, min: 0.4, max: 3, step: 0.05, value: 1, format: (v) => `${Math.round(100 * v)} %`,
      act: (v) => {
        desk.tone = { ...desk.tone, [key]: v };
        desk.drawFilm();
        desk.drawLoupe();
      } });
  return ({ anterior }) => {
    side.set(anterior);
    const at = desk.spacing();
    fields.forEach((field, i) => {
      if (!field.matches(":focus")) field.value = at ? String(Number(at[i].toPrecision(6))) : "";
    });
  };
}

/** The reader's readings: bias and spread, one by one, to files and back; returns what draws them. */
function buildReadings(desk, films) {
  const { model, root } = desk, box = node("details", { class: "readings", open: "" }, root);
  const head = node("summary", {}, box), words = node("p", { class: "help" }, box), tables = node("div", { class: "tables" }, box);
  const sums = table(tables, "Your bias and spread", ["", "n", "Mean error", "SD", "95 % limits", "Rater"]);
  const rows = table(tables, "Readings: degrees, and the error where the truth is known", ["Film", ...ANGLES, ""]);
  const filing = node("p", { class: "buttons" }, box);
  const saving = [["JSON", toJson, "application/json"], ["CSV", toCsv, "text/csv"]].map(([kind, text, type]) =>
    button(filing, `Save ${kind}`, () => save(`lumbo-readings.${kind.toLowerCase()}`, text(model.get("readings")), type)));
  opener(filing, "Load …", ".json,.csv,application/json,text/csv", openReadings).setAttribute("aria-label", "Load readings from JSON or CSV");
  const forget = button(filing, "Forget all", () => {
    const n = together(model.get("readings")).length;
    write(really, `Forget ${n} ${n === 1 ? "reading" : "readings"}`);
    sure.hidden = false;
    spare.focus();
  });
  const sure = node("p", { class: "buttons", hidden: "" }, box); // elsewhere: a double click on "Forget all" only asks
  const really = button(sure, "", () => {
    remembers = remember([]);
    keep(model, { readings: [] });
    tell("");
    head.focus();
  });
  const spare = button(sure, "Keep them", () => {
    sure.hidden = true;
    forget.focus();
  });
  const says = node("p", { class: "says", role: "status" }, box);
  function tell(text, bad = false) {
    says.textContent = text;
    says.classList.toggle("bad", bad);
  }

  /** Readings after those that another figure or another tab has remembered meanwhile. */
  const together = (readings) => [...unknown(remembered(films), readings), ...readings];
  let remembers = remember(memory.get(SHELF) ?? []);

  /** Keep readings; what is remembered from elsewhere stays remembered. */
  desk.record = (readings) => {
    remembers = remember(together(readings).slice(-MOST_READINGS));
    keep(model, { readings });
  };

  async function openReadings(file) {
    try {
      insist(file.size <= LARGEST_FILE, `${file.name} is larger than ${LARGEST_FILE / 1e6} MB: too large for readings.`);
      const found = parsed(file.name, await file.text(), films), before = model.get("readings"), fresh = unknown(found, before);
      insist(before.length + fresh.length <= MOST_READINGS, `That would be more than ${MOST_READINGS} readings.`);
      desk.record([...before, ...fresh]);
      const known = found.length - fresh.length;
      tell(`${fresh.length} loaded from ${file.name}${known ? `; ${known} were already here` : ""}.`);
    } catch (error) {
      tell(complaint(error, file), true);
    }
  }

  /** Show an earlier reading on its film. */
  function showReading(r) {
    const { own } = desk;
    if (r.film === OWN && !(own && own.width === r.width && own.height === r.height))
      return tell(`Open the film of this reading first: ${r.width} × ${r.height} pixels. It was not kept.`, true);
    tell("");
    desk.meant = r;
    keep(model, { points: r.points, anterior: r.anterior, spacing_mm: r.spacing_mm, compared: r.film !== OWN, film: r.film });
    desk.compareSizes();
  }

  /** A reading from a file may be of another film than the one that has its number here: known once that is loaded. */
  desk.compareSizes = () => {
    const { meant, shown } = desk;
    if (!meant || !shown) return;
    desk.meant = null;
    if (meant.film !== model.get("film") || (meant.width === shown.width && meant.height === shown.height)) return;
    keep(model, { points: [], compared: false });
    tell(`This reading is of another film: of ${meant.width} × ${meant.height} pixels; film ${meant.film + 1} here has ` +
      `${shown.width} × ${shown.height}.`, true);
  };

  function drawSums(told) {
    tables.firstChild.hidden = told.length === 0;
    sums.replaceChildren();
    const ratings = [...new Map(told.map((r) => [JSON.stringify([r.film, r.true_deg, r.rated_deg]), r])).values()]; // one a film
    const errors = (from, field, i) => from.filter((r) => r[field] && r[field][i] !== null).map((r) => r[field][i] - r.true_deg[i]);
    ANGLES.forEach((name, i) => {
      const line = node("tr", { "data-sum": name }, sums), { n, mean, sd, limits } = agreement(errors(told, "angles_deg", i));
      const rater = agreement(errors(ratings, "rated_deg", i));
      node("th", { scope: "row" }, line, name);
      for (const text of [String(n), signed(mean), show(sd), limits ? `${signed(limits[0])} to ${signed(limits[1])}` : "–",
        `${signed(rater.mean)} ± ${show(rater.sd)}`]) node("td", {}, line, text);
    });
  }

  function drawRow(r, i) {
    const line = node("tr", { "data-reading": i }, rows);
    node("th", { scope: "row" }, line, r.film === OWN ? "Own" : String(r.film + 1));
    ANGLES.forEach((_, k) => {
      const cell = node("td", {}, line, show(r.angles_deg[k]));
      if (r.true_deg) node("span", {}, cell, ` ${signed(r.angles_deg[k] === null ? null : r.angles_deg[k] - r.true_deg[k])}`);
    });
    button(node("td", {}, line), "Show", () => showReading(r)).setAttribute("aria-label", `Show reading ${i + 1}`);
  }

  return () => {
    const readings = model.get("readings"), told = readings.filter((r) => r.true_deg), seen = new Set(told.map((r) => r.film)).size;
    write(head, `Your readings (${readings.length})`);
    const count = told.length === 0 ? "None is compared yet." : `${told.length} compared, of ${seen} ${seen === 1 ? "film" : "films"}.`;
    write(words, `${count} ${remembers ? "Your readings are remembered in this browser only."
      : "This browser cannot remember: save them as a file."}`);
    drawSums(told);
    rows.replaceChildren();
    rows.parentElement.hidden = readings.length === 0;
    readings.forEach(drawRow);
    for (const one of [...saving, forget]) one.disabled = readings.length === 0;
    sure.hidden = true;
  };
}

// --- hands

/** Pointers on the film: a click or a lifted finger places, a drag moves the film, two fingers or Ctrl and the wheel zoom. */
function pointFilm(desk) {
  const { ui } = desk, { film, ground, stage } = ui, fingers = new Map();
  let press = null, pinch = null, hovered = false;

  ground.addEventListener("touchstart", (event) => { if (desk.placing() || desk.zoom > 1) event.preventDefault(); }, { passive: false });
  ground.addEventListener("pointerdown", (event) => {
    if (event.button || desk.busy || !desk.shown) return;
    if (event.pointerType === "mouse") event.preventDefault();
    ground.focus({ preventScroll: true });
    ground.setPointerCapture(event.pointerId);
    const from = place(film, event);
    fingers.set(event.pointerId, from);
    desk.cursor = null;
    if (fingers.size === 1) press = { from, at: desk.at, moved: false, mouse: event.pointerType === "mouse" };
    else {
      press = desk.aim = null;
      const [a, b] = [...fingers.values()];
      pinch = { middle: desk.toFilm(mid(a, b)), apart: len(sub(a, b)) || 1, zoom: desk.zoom };
    }
    if (press && !press.mouse && desk.placing()) desk.aim = desk.inside(desk.toFilm(from));
    desk.draw();
  });
  ground.addEventListener("pointermove", (event) => {
    if (!desk.shown) return;
    const at = place(film, event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
    if (fingers.size > 1 && pinch) {
      const [a, b] = [...fingers.values()];
      return desk.zoomTo(pinch.zoom * len(sub(a, b)) / pinch.apart, pinch.middle, mid(a, b));
    }
    if (press) {
      press.moved ||= len(sub(at, press.from)) > HELD_PX;
      if (!press.mouse && desk.placing()) desk.aim = desk.inside(desk.toFilm(at));
      else if (press.moved) {
        desk.aim = null;
        return desk.look(desk.zoom, sub(press.at, mul(sub(at, press.from), 1 / desk.scale())));
      }
    } else if (event.pointerType === "mouse" && desk.placing()) {
      hovered = true;
      desk.aim = desk.inside(desk.toFilm(at));
    } else return;
    desk.drawLoupe();
  });
  const lifted = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    const done = press;
    press = desk.aim = null;
    if (fingers.size === 0) pinch = null;
    if (event.type === "pointerup" && done && desk.placing() && !(done.mouse && done.moved)) desk.put(desk.toFilm(place(film, event)));
    else desk.draw();
  };
  for (const kind of ["pointerup", "pointercancel"]) ground.addEventListener(kind, lifted);
  stage.addEventListener("pointerleave", () => {
    if (!hovered || desk.busy) return;
    hovered = false;
    desk.aim = null;
    desk.drawLoupe();
  });
  stage.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !desk.shown) return; // without Ctrl the page scrolls
    event.preventDefault();
    desk.zoomAt(Math.exp(-hold(event.deltaY, -60, 60) * 0.01), place(film, event));
  }, { passive: false });
  for (const kind of ["dragover", "drop"]) stage.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser would leave the page for the file
    if (kind === "drop" && event.dataTransfer.files[0]) desk.openOwn(event.dataTransfer.files[0]);
  });
}

/** Keys on the film: arrows move the cross-hair, or the film once all points are placed. */
function keyFilm(desk) {
  const { ground } = desk.ui, start = () => desk.cursor ?? desk.at.map(Math.round);
  arrows(ground, (step) => {
    if (!desk.shown) return;
    if (!desk.placing()) {
      const far = Math.abs(step[0] + step[1]) > 1 ? 5 : 1;
      return desk.look(desk.zoom, add(desk.at, mul(step, 40 / (desk.scale() * far))));
    }
    desk.aim = null;
    desk.cursor = desk.inside(add(start(), step));
    desk.reveal(desk.cursor);
    desk.draw();
  });
  ground.addEventListener("keydown", (event) => {
    if (!desk.shown || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = desk.cursor ?? desk.at;
    if (event.key === "Enter" && desk.placing()) desk.put(at);
    else if (event.key === "+" || event.key === "=") desk.zoomAt(1.5, desk.toStage(at));
    else if (event.key === "-") desk.zoomAt(1 / 1.5, desk.toStage(at));
    else if (event.key === "0") desk.fitted();
    else if (event.key === "Backspace" && desk.canUndo()) desk.undo();
    else return;
    event.preventDefault();
  });
  ground.addEventListener("focus", () => {
    if (!desk.placing() || !ground.matches(":focus-visible")) return;
    desk.cursor = start();
    desk.draw();
  });
  ground.addEventListener("blur", () => {
    desk.cursor = null;
    desk.draw();
  });
}

/** Points that are placed move by drag and by arrow keys. */
function moveHandles(desk) {
  const { model, ui } = desk;
  const quiet = (on) => {
    desk.busy = on;
    if (on) ui.live.setAttribute("aria-busy", "true"); // a screen reader hears the result, not each step
    else ui.live.removeAttribute("aria-busy");
  };
  ui.handles.forEach((handle, i) => {
    drag(ui.film, handle, {
      begin: (from) => { // touch targets overlap where points are close: the nearest one is meant
        quiet(true);
        const points = model.get("points"), far = points.map((p) => len(sub(desk.toStage(p), from)));
        const which = far[i] <= HELD_PX ? i : far.indexOf(Math.min(...far));
        if (which !== i) ui.handles[which].focus();
        desk.aim = points[which];
        desk.draw();
        return { which, base: desk.aim };
      },
      move: ({ which, base }, from, at) => {
        desk.aim = desk.inside(add(base, mul(sub(at, from), 1 / desk.scale())));
        desk.shift(which, desk.aim);
      },
      end: () => {
        quiet(false);
        desk.aim = null;
        desk.draw();
      },
    });
    arrows(handle, (step) => {
      const to = desk.inside(add(model.get("points")[i], step));
      desk.aim = to;
      desk.shift(i, to);
      desk.reveal(to);
    });
    handle.addEventListener("blur", () => {
      if (desk.busy) return;
      desk.aim = null;
      desk.drawLoupe();
    });
  });
}

function render({ model, el }) {
  const root = shell(el, "marking"), names = model.get("films"), ui = { ...buildStage(root), ...buildPanel(root) };
  const desk = { model, root, ui, shown: null, own: null, loading: null, failed: "", // shown: the film that lies there
    turn: 0, meant: null, // how often a film was asked for; the reading to show once its film is there
    size: [1, 1], zoom: 1, at: [0, 0], tone: { bright: 1, contrast: 1 }, // of the stage; how and where it shows the film
    aim: null, cursor: null, busy: false }; // what pointer and keys point at; whether a point is being dragged
  desk.state = () => Object.fromEntries(["film", "points", "anterior", "spacing_mm", "compared"].map((field) => [field, model.get(field)]));
  desk.placing = () => desk.shown !== null && model.get("points").length < 6;
  desk.spacing = () => model.get("spacing_mm") ?? desk.shown?.spacing ?? null;
  for (const part of [view, films, pictures, marks, panel]) Object.assign(desk, part(desk));
  const drawControls = [buildTools(desk, names), buildActs(desk, names), buildSettings(desk)];
  const drawReadings = buildReadings(desk, names.length);
  desk.draw = () => {
    const now = desk.state(), angles = anglesAt(now.points, desk.spacing() ?? [1, 1], now.anterior);
    desk.drawFilm();
    desk.drawPoints(now, angles);
    desk.drawLoupe();
    desk.drawStep(now);
    desk.drawPanel(now, angles);
    for (const drawControl of drawControls) drawControl(now);
  };
  for (const hand of [pointFilm, keyFilm, moveHandles]) hand(desk);

  const watch = new ResizeObserver(([{ contentRect: { width, height } }]) => { // without any zoom of the page around
    if (width < 1 || height < 1) return;
    desk.size = [width, height];
    if (desk.shown) desk.look(desk.zoom, desk.at);
    else desk.draw();
  });
  watch.observe(ui.stage);

  const before = model.get("readings").length ? [] : remembered(names.length);
  if (before.length) keep(model, { readings: before });
  const unfollow = [follow(model, ["film"], desk.fetchFilm), follow(model, ["points", "anterior", "spacing_mm", "compared"], desk.draw),
    follow(model, ["readings"], drawReadings)];
  return () => {
    watch.disconnect();
    unfollow.forEach((undoIt) => undoIt());
  };
}

export default { render };
