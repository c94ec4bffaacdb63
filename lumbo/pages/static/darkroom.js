// The Film figure: count and develop one patient's film, and see what L3 loses or gains.  Taught in spine_to_film.
//
// The payload holds what each ray crosses and one draw of noise.  What follows is `lumbo.films.radiograph.expose` and
// `lumbo.films.processing.develop`, step by step, for a film on which every factor of variety has its mean; a film is
// a Float32Array, row after row.  The collimator leaves all of it open.

import { arrows, button, drag, follow, hold, keep, load, node, shell, show, slider, unpacked } from "./core.js";
import { path } from "./geometry.js";

// --- from matter to counts -------------------------------------------------------------------

/** Gaussian blur, rows then columns, edges replicated; none where it would not reach the next pixel. */
function blur(film, height, width, sigma) {
  if (sigma < 0.25) return film;
  const radius = Math.ceil(3 * sigma), size = 2 * radius + 1;
  const bell = Float64Array.from({ length: size }, (_, i) => Math.exp(-((i - radius) ** 2) / (2 * sigma ** 2)));
  const sum = bell.reduce((a, b) => a + b), weights = bell.map((weight) => weight / sum);
  const out = new Float32Array(height * width), row = new Float64Array(width), padded = new Float64Array(width + 2 * radius);
  for (let y = 0; y < height; y++) {
    row.fill(0);
    for (let i = 0; i < size; i++) {
      const from = hold(y + i - radius, 0, height - 1) * width, weight = weights[i];
      for (let x = 0; x < width; x++) row[x] += weight * film[from + x];
    }
    padded.fill(row[0], 0, radius);
    padded.set(row, radius);
    padded.fill(row[width - 1], radius + width);
    row.fill(0);
    for (let i = 0; i < size; i++) {
      const weight = weights[i];
      for (let x = 0; x < width; x++) row[x] += weight * padded[x + i];
    }
    out.set(row, y * width);
  }
  return out;
}

/** Gaussian blur of many pixels' width, worked on a coarser grid: cells' means, and lines between their middles. */
function broadly(film, height, width, sigma) {
  const step = Math.max(1, Math.floor(sigma / 4 + 1.5)), rows = Math.ceil(height / step), columns = Math.ceil(width / step);
  let coarse = new Float32Array(rows * columns);
  for (let y = 0; y < height; y++) {
    const from = Math.floor(y / step) * columns, high = Math.min(step, height - Math.floor(y / step) * step);
    for (let c = 0; c < columns; c++) {
      const end = Math.min(width, (c + 1) * step);
      let sum = 0;
      for (let x = c * step; x < end; x++) sum += film[y * width + x];
      coarse[from + c] += sum / (high * (end - c * step));
    }
  }
  coarse = blur(coarse, rows, columns, sigma / step);
  const place = (i, last) => {
    const at = Math.max(0, (i + 0.5) / step - 0.5), low = Math.floor(at);
    return [low, Math.min(low + 1, last), at - low];
  };
  const places = Array.from({ length: width }, (_, x) => place(x, columns - 1));
  const low = Int32Array.from(places, (p) => p[0]), next = Int32Array.from(places, (p) => p[1]);
  const share = Float64Array.from(places, (p) => p[2]);
  const out = new Float32Array(height * width), line = new Float64Array(columns);
  for (let y = 0; y < height; y++) {
    const [above, below, down] = place(y, rows - 1);
    for (let c = 0; c < columns; c++) line[c] = coarse[above * columns + c] * (1 - down) + coarse[below * columns + c] * down;
    for (let x = 0; x < width; x++) out[y * width + x] = line[low[x]] * (1 - share[x]) + line[next[x]] * share[x];
  }
  return out;
}

/** A beam as [share, attenuation of soft tissue, what bone adds to it]: one energy lies on a power law through the two. */
function beam({ beam: two, energies_kev: [from, to] }, energy) {
  if (energy === null) return two;
  const share = Math.log(energy / from) / Math.log(to / from), [low, high] = two;
  const soft = low[1] * (high[1] / low[1]) ** share;
  const cortex = (low[1] + low[2]) * ((high[1] + high[2]) / (low[1] + low[2])) ** share;
  return [[1, soft, cortex - soft]];
}

/** The pixels of a box: top, bottom, left, right. */
const cut = (film, width, [top, bottom, left, right]) =>
  Array.from({ length: bottom - top }, (_, i) => [...film.subarray((top + i) * width + left, (top + i) * width + right)]).flat();

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

/** Keep the last results of `make` by the settings that shaped them: now and the room's, each with and without noise. */
function remember(make) {
  const kept = new Map();
  return (settings, names, ...more) => {
    const key = JSON.stringify(names.map((name) => settings[name]));
    const found = kept.get(key) ?? make(settings, ...more);
    kept.delete(key);
    kept.set(key, found);
    if (kept.size > 4) kept.delete(kept.keys().next().value);
    return found;
  };
}

const STRAIGHT = ["energy_kev"], EXPECTED = [...STRAIGHT, "scatter", "grid", "heel"];
const COUNTED = [...EXPECTED, "photons", "noise", "blur_mm"], FLATTENED = [...COUNTED, "compress", "edge"];
const TONED = [...FLATTENED, "window", "gamma"];

/** What turns settings into a film: {grey, openBeam, scattered}; it computes only what has changed. */
function darkroom(data) {
  const { shape: [height, width], usual_mm, pixel_mm } = data, n = height * width;
  const wide = (film, mm) => broadly(film, height, width, mm / usual_mm);
  const depth = wide(data.soft, data.scatter_mm);

  const straight = remember(({ energy_kev }) => {
    const primary = new Float32Array(n), logs = new Float32Array(n);
    for (const [share, soft, bone] of beam(data, energy_kev))
      for (let i = 0; i < n; i++) primary[i] += share * Math.exp(-Math.max(0, soft * data.soft[i] + bone * data.bone[i]));
    for (let i = 0; i < n; i++) logs[i] = Math.log(Math.max(primary[i], 1e-7));
    const veil = wide(logs, data.scatter_mm); // of a patient whose tissue scatters one photon for each straight one
    for (let i = 0; i < n; i++) veil[i] = (Math.exp(veil[i]) * depth[i]) / data.scatter_depth_mm;
    return { primary, veil };
  });

  const expected = remember(({ scatter, grid, heel }, { primary, veil }) => {
    const signal = new Float32Array(n), left = scatter / grid;
    for (let y = 0, i = 0; y < height; y++) {
      const tube = 1 + heel * (y / (height - 1) - 0.5);
      for (let x = 0; x < width; x++, i++) signal[i] = (primary[i] + left * veil[i]) * tube;
    }
    const scattered = (left * mean(cut(veil, width, data.chamber))) / mean(cut(primary, width, data.chamber));
    return { signal, scattered, middle: mean(cut(signal, width, data.chamber)) };
  });

  const counted = remember(({ photons, noise, blur_mm }, { signal, middle }) => {
    const openBeam = photons / middle, one = 1 / (openBeam * pixel_mm ** 2), least = Math.min(one, 1e-2);
    let density = new Float32Array(n);
    for (let i = 0; i < n; i++)
      density[i] = Math.max(noise ? signal[i] + data.noise[i] * Math.sqrt(signal[i] * one) : signal[i], least);
    density = blur(density, height, width, blur_mm / usual_mm);
    for (let i = 0; i < n; i++) density[i] = -Math.log(hold(density[i], 1e-6, 1));
    return { density, openBeam, broad: wide(density, data.compress_mm), fine: wide(density, data.edge_mm) };
  });

  const flattened = remember(({ compress, edge }, { density, broad, fine }) => {
    const grey = new Float32Array(n);
    for (let i = 0; i < n; i++) grey[i] = density[i] * (1 + edge) - edge * fine[i] - compress * broad[i];
    return grey;
  });

  const toned = remember(({ window, gamma }, density, flat) => {
    const [low, high] = ends(density, flat, window), range = Math.max(high - low, 1e-3), over = 1 - data.knee;
    const grey = new Float32Array(n);
    for (let i = 0; i < n; i++) {
      let level = Math.max(0, (flat[i] - low) / range);
      if (level > data.knee) level = data.knee + over * Math.tanh((level - data.knee) / over);
      grey[i] = 255 * Math.min(level, 1) ** gamma;
    }
    return grey;
  });

  /** What is black and what is white: quantiles of a sample of the patient. */
  function ends(density, flat, window) {
    const patient = [];
    for (let i = 0; i < n; i += 29) if (density[i] > data.skin) patient.push(flat[i]);
    const sample = Float32Array.from(patient).sort(), last = sample.length - 1;
    return window.map((share) => sample[Math.floor(Math.fround(Math.fround(share) * last))]);
  }

  return (settings) => {
    const light = straight(settings, STRAIGHT), arrives = expected(settings, EXPECTED, light);
    const counts = counted(settings, COUNTED, arrives), flat = flattened(settings, FLATTENED, counts);
    return { grey: toned(settings, TONED, counts.density, flat), openBeam: counts.openBeam, scattered: arrives.scattered };
  };
}

// --- what is read off a film -----------------------------------------------------------------

/** Mean grey levels as they are shown, the noise in L3, and the photons. */
function readOff(develop, data, settings) {
  const width = data.shape[1], { grey, openBeam, scattered } = develop(settings);
  const shown = (box) => (settings.inverted ? 255 - mean(cut(grey, width, box)) : mean(cut(grey, width, box)));
  const [noisy, clean] = [grey, develop({ ...settings, noise: false }).grey].map((film) => cut(film, width, data.l3));
  const added = noisy.map((level, i) => level - clean[i]), off = mean(added);
  const noise = Math.sqrt(mean(added.map((each) => (each - off) ** 2)));
  const l3 = shown(data.l3), beside = shown(data.beside), apart = Math.abs(l3 - beside);
  return { l3, beside, apart, noise, times: settings.noise ? apart / noise : null, openBeam, scattered };
}

const count = (value) => Number(value.toPrecision(3)).toLocaleString("en");
const READINGS = {
  l3: ["grey level in L3", (v) => show(v, 1, "")],
  beside: ["in front of L3", (v) => show(v, 1, "")],
  apart: ["difference", (v) => show(v, 1, "")],
  noise: ["noise in L3 (SD)", (v) => show(v, 1, "")],
  times: ["difference / noise", (v) => show(v, 1, "")],
  photons: ["photons / mm², middle", count],
  openBeam: ["photons / mm², open beam", count],
  scattered: ["scattered / straight", (v) => show(v, 2, "")],
};

function words(now, usual, same) {
  const than = (a, b) => (Math.abs(a / b - 1) < 0.05 ? "as much as" : a < b ? "less than" : "more than");
  const how = now.times === null || usual.times === null ? than(now.apart, usual.apart) : than(now.times, usual.times);
  const noise = now.times === null ? "without noise" : `${show(now.times, 1, "")} times the noise`;
  const opening = same ? "This is the room's film:" : `L3 stands out ${how} in the room's film:`;
  return `${opening} L3 and the tissue in front of it differ by ${show(now.apart, 1, "")} grey levels, ${noise}.`;
}

// --- the page ----------------------------------------------------------------------------------

const round = (value) => Number(value.toFixed(3));
const percent = (decimals) => (v) => show(100 * v, decimals, " %");
const CONTROLS = { // of numbers, in groups; a slider works on the logarithm where `log` is set
  "Beam and counts": [
    { name: "energy_kev", label: "Energy", wide: true, format: (v) => `${show(v, 1, "")} keV` },
    { name: "photons", label: "Photons per mm²", wide: true, log: true, format: count },
    { name: "scatter", label: "Scatter", format: (v) => show(v, 1, "") },
    { name: "grid", label: "Grid", format: (v) => `1 / ${show(v, 1, "")}` },
    { name: "heel", label: "Heel", format: percent(0) },
    { name: "blur_mm", label: "Blur", format: (v) => show(v, 2, " mm") },
  ],
  Processing: [
    { name: "low", label: "Black", end: 0, format: percent(1) },
    { name: "high", label: "White", end: 1, format: percent(1) },
    { name: "compress", label: "Flattening", format: percent(0) },
    { name: "edge", label: "Edges", format: (v) => show(v, 2, "") },
    { name: "gamma", label: "Gamma", wide: true, log: true, format: (v) => show(v, 2, "") },
  ],
};
const help = (data) => ({
  energy_kev: "one energy instead of the room's two",
  photons: "detected behind the middle of the patient",
  scatter: `scattered for each straight photon behind ${data.scatter_depth_mm} mm of soft tissue, without a grid`,
  grid: "the share of the scatter that the grid lets through",
  heel: "share of the open beam lost from the lower to the upper edge: the anode is at the head end",
  blur_mm: "point spread of the detector, standard deviation",
  low: "share of the patient that is black",
  high: "share of the patient above which all is white",
  compress: `share that is taken from all that is wider than ${data.compress_mm} mm`,
  edge: `how much is added to all that is finer than ${data.edge_mm} mm`,
  gamma: "of the display curve: above 1 the middle is darker",
});
const DEEP = 100; // height of the profile in its own units

function buildScreen(root, data) {
  const [height, width] = data.shape;
  const view = node("div", { class: "view" }, root), screen = node("div", { class: "screen" }, view);
  const canvas = node("canvas", { width, height, role: "img" }, screen);
  const over = node("svg", { class: "over", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Row of the profile" }, screen);
  const boxes = ["l3", "beside"].map((name) => ["box under", `box ${name}`].map((kind) => node("path", { class: kind }, over)));
  const names = ["L3", "in front of L3"].map((name) => node("text", { class: "casing", "text-anchor": "middle" }, over, name));
  const line = node("g", { class: "line", tabindex: 0, role: "slider", "aria-orientation": "vertical", "aria-label": "Row of the profile",
    "aria-valuemin": 1, "aria-valuemax": height }, over);
  node("rect", { class: "hit", x: 0, y: -18, width, height: 36 }, line);
  node("path", { class: "under", d: `M0 0H${width}` }, line);
  node("path", { class: "row", d: `M0 0H${width}` }, line);
  for (const [x, way] of [[0, 1], [width, -1]]) node("path", { class: "grip", d: `M${x} -9L${x + 14 * way} 0L${x} 9Z` }, line);
  const badge = node("p", { class: "badge", hidden: "" }, screen, "the room's film");
  const profile = node("svg", { class: "profile", viewBox: `0 0 ${width} ${DEEP + 16}`, "aria-hidden": true }, view);
  for (const level of [0, 128, 255]) {
    const y = 8 + DEEP * (1 - level / 255);
    node("path", { class: "level", d: `M26 ${y}H${width}` }, profile);
    node("text", { x: 22, y, "text-anchor": "end" }, profile, level);
  }
  const spans = ["l3", "beside"].map((name) => node("rect", { class: `span ${name}`, y: 8, height: DEEP }, profile));
  const curves = ["usual", "now"].map((name) => node("path", { class: name }, profile));
  const key = node("p", { class: "key help" }, view);
  node("span", { class: "dash now", "aria-hidden": true }, key);
  node("span", {}, key, "along the line");
  node("span", { class: "dash usual", "aria-hidden": true }, key);
  node("span", {}, key, "in the room's film");
  const says = node("div", { class: "says" }, view), output = node("output", { "aria-live": "polite" }, says);
  const table = node("table", {}, says), top = node("tr", {}, node("thead", {}, table)), body = node("tbody", {}, table);
  for (const title of ["", "now", "room"]) node(title ? "th" : "td", title ? { scope: "col" } : {}, top, title);
  const cells = Object.entries(READINGS).map(([name, [title]]) => {
    const row = node("tr", {}, body);
    node("th", { scope: "row" }, row, title);
    return ["now", "room"].map((which) => node("td", { "data-reading": `${name} ${which}` }, row));
  });
  return { canvas, over, boxes, names, line, badge, spans, curves, output, cells };
}

/** The room, the sliders and the switches; each act changes some settings. */
function buildPanel(root, data, { change, enter, reset, busy }) {
  const panel = node("div", { class: "panel" }, root), label = node("label", { class: "room" }, panel);
  node("span", {}, label, "Room");
  const select = node("select", { "aria-label": "Room" }, label);
  for (const [name, { title }] of Object.entries(data.rooms)) node("option", { value: name }, select, title);
  select.addEventListener("change", () => enter(select.value));
  const buttons = node("p", { class: "buttons" }, panel), peek = node("button", { type: "button", "aria-pressed": false }, buttons, "Hold to see the room's film");
  button(buttons, "Reset", reset);
  const sliders = Object.entries(CONTROLS).flatMap(([title, controls]) => {
    const group = node("fieldset", { class: "group" }, panel);
    node("legend", {}, group, title);
    return controls.map(({ name, label, wide, log, end, format }) => {
      const [min, max] = data.limits[name].map((v) => (log ? Math.log10(v) : v));
      const valueAt = (u) => (log ? Number((10 ** u).toPrecision(3)) : round(u));
      const made = slider(group, { label, min, max, value: min, format: (u) => format(valueAt(u)), act: (u) => change((settings) => {
        const value = hold(valueAt(u), ...data.limits[name]);
        if (end === undefined) return { [name]: value };
        return { window: settings.window.map((old, i) => (i === end ? value : old)) };
      }) });
      made.box.title = help(data)[name];
      made.input.setAttribute("aria-description", help(data)[name]);
      if (wide) made.box.classList.add("wide");
      made.input.addEventListener("input", () => busy(true));
      made.input.addEventListener("change", () => busy(false));
      return (settings) => {
        const value = end === undefined ? settings[name] : settings.window[end];
        made.set(log ? Math.log10(value) : value ?? min);
        if (value !== null) return;
        made.box.querySelector("output").textContent = "two, as in the room";
        made.input.setAttribute("aria-valuetext", "two, as in the room");
      };
    });
  });
  const group = node("fieldset", { class: "switches" }, panel);
  node("legend", {}, group, "Switches");
  const switches = [
    ["Two energies", (s) => s.energy_kev === null, (s) => ({ energy_kev: s.energy_kev === null ? data.energies_kev[0] : null })],
    ["Noise", (s) => s.noise, (s) => ({ noise: !s.noise })],
    ["Bone dark", (s) => s.inverted, (s) => ({ inverted: !s.inverted })],
    ["Faces right", (s) => s.anterior === "right", (s) => ({ anterior: s.anterior === "right" ? "left" : "right" })],
  ].map(([title, on, next]) => {
    const made = button(group, title, () => change(next));
    return (settings) => made.setAttribute("aria-pressed", on(settings));
  });
  node("p", { class: "help" }, panel, "Drag the line over the film, or Tab to it and use the arrow keys (Shift: 10 rows). " +
    "Geometry stays: no control moves a landmark. The patient is slim. A real grid also stops part of the straight photons; " +
    "ours does not. Not for clinical use.");
  return { select, peek, controls: [...sliders, ...switches] };
}

/** Press and hold, by pointer or by key; `act(true)` at the press, `act(false)` at the release. */
function whilePressed(target, act) {
  const set = (on) => {
    if (target.getAttribute("aria-pressed") === String(on)) return;
    target.setAttribute("aria-pressed", on);
    act(on);
  };
  target.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    target.setPointerCapture(event.pointerId);
    set(true);
  });
  for (const end of ["lostpointercapture", "blur"]) target.addEventListener(end, () => set(false));
  target.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (!event.repeat) set(true);
  });
  target.addEventListener("keyup", () => set(false));
  target.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press on a phone
}

async function inflated(data) {
  const layers = ["soft", "bone", "noise"].map(async (name) => {
    const { low, step, data: packed } = data[name];
    return [name, Float32Array.from(await unpacked(packed, Uint16Array), (v) => low + step * v)];
  });
  return { ...data, ...Object.fromEntries(await Promise.all(layers)) };
}

async function render({ model, el }) {
  const first = Object.fromEntries(["room", "settings", "line_px"].map((name) => [name, model.get(name)]));
  const root = shell(el, "darkroom"), status = node("p", { role: "status" }, root, "The film is on its way …");
  let data;
  try {
    data = await inflated(await load(model, "darkroom"));
  } catch {
    root.dataset.without = "";
    status.textContent = "The film could not be loaded: it comes with the book, or with a running kernel.";
    return () => {};
  }
  status.remove();
  const [height, width] = data.shape, develop = darkroom(data);
  const { canvas, over, boxes, names, line, badge, spans, curves, output, cells } = buildScreen(root, data);
  const paper = canvas.getContext("2d", { willReadFrequently: true }), image = paper.createImageData(width, height);
  const usual = () => data.rooms[model.get("room")].settings;
  /** The room's settings, seen from the same side. */
  const compared = () => ({ ...usual(), anterior: model.get("settings").anterior });
  let held = false;

  const { select, peek, controls } = buildPanel(root, data, {
    change: (next) => keep(model, { settings: { ...model.get("settings"), ...next(model.get("settings")) } }),
    enter: (room) => {
      const { inverted, anterior } = model.get("settings");
      model.set("room", room);
      keep(model, { settings: { ...usual(), inverted, anterior } });
    },
    reset: () => keep(model, first),
    busy: (on) => (on ? output.setAttribute("aria-busy", "true") : output.removeAttribute("aria-busy")),
  });
  whilePressed(peek, (on) => {
    held = on;
    badge.hidden = !on;
    print(on ? compared() : model.get("settings"));
  });

  /** Grey levels of a film as they are shown: polarity and side. */
  function level(settings) {
    const { grey } = develop(settings), right = settings.anterior === "right";
    return (x, y) => {
      const value = Math.round(grey[y * width + (right ? width - 1 - x : x)]);
      return settings.inverted ? 255 - value : value;
    };
  }

  function print(settings) {
    const at = level(settings), pixels = new Uint32Array(image.data.buffer);
    for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++, i++) pixels[i] = 0xff000000 | (at(x, y) * 0x010101);
    paper.putImageData(image, 0, 0);
  }

  function drawLine(settings) {
    const y = model.get("line_px"), right = settings.anterior === "right";
    line.setAttribute("transform", `translate(0 ${y + 0.5})`);
    line.setAttribute("aria-valuenow", y + 1);
    line.setAttribute("aria-valuetext", `row ${y + 1} of ${height}`);
    [compared(), settings].forEach((each, i) => {
      const at = level(each);
      const points = Array.from({ length: width - 26 }, (_, k) => [k + 26.5, 8 + DEEP * (1 - at(k + 26, y) / 255)]);
      curves[i].setAttribute("d", path([points]));
    });
    ["l3", "beside"].forEach((name, i) => {
      const [top, bottom, from, to] = data[name], [a, b] = right ? [width - to, width - from] : [from, to];
      boxes[i].forEach((box) => box.setAttribute("d", `M${a} ${top}H${b}V${bottom}H${a}Z`));
      names[i].setAttribute("x", (a + b) / 2);
      names[i].setAttribute("y", top - 9);
      spans[i].setAttribute("x", a);
      spans[i].setAttribute("width", y >= top && y < bottom ? b - a : 0);
    });
  }

  function draw() {
    const settings = model.get("settings"), room = compared();
    const readings = [settings, room].map((each) => ({ ...readOff(develop, data, each), photons: each.photons }));
    print(held ? room : settings);
    drawLine(settings);
    Object.entries(READINGS).forEach(([name, [, format]], i) =>
      readings.forEach((found, k) => { cells[i][k].textContent = format(found[name]); }));
    const said = words(...readings, TONED.every((name) => String(settings[name]) === String(room[name])));
    if (output.textContent !== said) output.textContent = said;
    canvas.setAttribute("aria-label", `Lateral film of a lumbar spine, the patient facing ${settings.anterior}. ${said}`);
    select.value = model.get("room");
    controls.forEach((set) => set(settings));
  }

  const move = (y) => keep(model, { line_px: hold(Math.round(y), 0, height - 1) });
  drag(over, line, { begin: () => model.get("line_px"), move: (base, from, at) => move(base + at[1] - from[1]) });
  arrows(line, ([, dy]) => move(model.get("line_px") + dy));

  const undo = [
    follow(model, ["room", "settings"], draw),
    follow(model, ["line_px"], () => drawLine(model.get("settings"))),
  ];
  return () => undo.forEach((each) => each());
}

export default { render };
