// The Hospitals figure: one patient in six rooms, and one factor of variety at a time.  Taught in four_hospitals.
//
// Films come as payloads: "scanners-rooms", and "scanners-FACTOR" for each factor.  Everything is drawn in one
// SVG whose unit is a pixel of the first film; a film that is aligned is scaled and shifted, never turned.

import { ANGLES, button, choices, drag, follow, hold, keep, load, node, shell, show, slider } from "./core.js";
import { len, mid, sub } from "./geometry.js";

const ROOMS = "scanners-rooms";
const GAP = 12; // between two films side by side
const SEEN = 3, FULL = 40; // grey levels: a smaller change is not painted, a larger one no more strongly
const BRIGHTER = [255, 152, 40], DARKER = [70, 160, 255];
const GROUPS = { // of factors, as in scanners.py
  Bone: { "body.sag": "Depth of the concave plates", "bone.young": "Density of spongy bone", "arch.foramen": "Foramina",
    "sacrum.remnant": "Remnant of the disc S1-S2" },
  "Soft tissue": { "trunk.depth": "Depth of the belly", "trunk.fat": "Fat", "trunk.grain": "Unevenness of soft tissue",
    "soft.cloud": "Broad patches of tissue", "bowel.stool": "Stool in the bowel" },
  "Taking the film": { "field.zoom": "Size of the field", "field.turn": "Turn of the pelvis", "field.tilt": "Lean of the patient" },
  Processing: { "processing.gamma": "Gamma", "processing.edge": "Edge enhancement", "processing.local": "Local flattening" },
};

const payloadOf = (factor) => (factor ? `scanners-${factor.replace(".", "-")}` : ROOMS);
const amountWords = (amount) => (amount ? `${amount > 0 ? "+" : "−"}${Math.abs(amount)} SD` : "the mean");
const capital = (words) => words[0].toUpperCase() + words.slice(1);

/** What takes the S1 plate of `from` onto that of `to`, middle on middle and as long: {scale, shift}. */
function alignment(to, from) {
  const scale = len(sub(to[0], to[1])) / len(sub(from[0], from[1]));
  const [a, b] = [mid(to[0], to[1]), mid(from[0], from[1])];
  return { scale, shift: [a[0] - scale * b[0], a[1] - scale * b[1]] };
}

const moved = ([x, y], { scale, shift }) => [scale * x + shift[0], scale * y + shift[1]];

/** The grey levels of an image. */
async function greys(source, [wide, high]) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const pad = Object.assign(document.createElement("canvas"), { width: wide, height: high }).getContext("2d");
  pad.drawImage(image, 0, 0);
  return pad.getImageData(0, 0, wide, high).data.filter((_, i) => i % 4 === 0);
}

/** A picture of where `now` is brighter and where it is darker than `before`. */
async function overlay(now, before, size) {
  const [a, b] = await Promise.all([now, before].map((source) => greys(source, size)));
  const canvas = Object.assign(document.createElement("canvas"), { width: size[0], height: size[1] });
  const pad = canvas.getContext("2d"), paint = pad.createImageData(...size);
  for (let i = 0; i < a.length; i++) {
    const change = a[i] - b[i], far = Math.abs(change);
    if (far >= SEEN) paint.data.set([...(change > 0 ? BRIGHTER : DARKER), Math.round(220 * Math.min(1, 0.2 + far / FULL))], 4 * i);
  }
  pad.putImageData(paint, 0, 0);
  return canvas.toDataURL();
}

/** A table to fill: {table, fill(head, rows)}. */
function buildTable(parent, label) {
  const table = node("table", { "aria-label": label }, parent);
  const fill = (head, rows) => {
    table.replaceChildren();
    const top = node("tr", {}, node("thead", {}, table));
    head.forEach((words) => node(words ? "th" : "td", words ? { scope: "col" } : {}, top, words));
    const body = node("tbody", {}, table);
    for (const [name, ...cells] of rows) {
      const row = node("tr", {}, body);
      node("th", { scope: "row" }, row, name);
      cells.forEach((words) => node("td", {}, row, words));
    }
  };
  return { table, fill };
}

// --- the page ----------------------------------------------------------------------------------

function build(root) {
  const top = node("div", { class: "top-row" }, root), rooms = node("div", { class: "pick rooms" }, root);
  const factors = node("div", { class: "pick factors" }, root), left = node("div", { class: "left" }, root);
  const thumbs = node("div", { class: "thumbs", role: "group", "aria-label": "The room of the film" }, rooms);
  const stage = node("svg", { class: "stage", role: "img" }, left);
  const films = [buildFilm(stage), buildFilm(stage)];
  const knob = node("g", { class: "knob", "aria-hidden": true }, stage);
  node("rect", { class: "hit", x: -22, width: 44 }, knob);
  node("path", { class: "divider" }, knob);
  node("circle", { r: 13 }, knob);
  node("path", { class: "grip", d: "M-3 -5L-8 0L-3 5M3 -5L8 0L3 5" }, knob);
  const note = node("p", { class: "note", role: "status" }, left);
  const under = node("div", { class: "under" }, left);
  const panel = node("div", { class: "panel" }, root);
  return { top, rooms, thumbs, factors, left, stage, films, knob, note, under, panel };
}

/** A film with its landmarks, in a window of its own: a nested SVG clips what it holds. */
function buildFilm(stage) {
  const pane = node("svg", { class: "pane" }, stage), inside = node("g", {}, pane);
  const image = node("image", { class: "shot" }, inside), change = node("image", { class: "change" }, inside);
  const marks = node("g", { class: "marks" }, inside), tag = node("text", { class: "tag", x: 10, y: 20 }, pane);
  return { pane, inside, image, change, marks, tag };
}

/** A list to choose from, with its name. */
function menu(parent, label, fill, act) {
  const box = node("label", { class: "menu" }, parent);
  node("span", {}, box, label);
  const select = node("select", { "aria-label": label }, box);
  fill(select);
  select.addEventListener("change", () => act(select.value));
  return select;
}

/** What the reader sets: fields of the model, and in `looks` how films are shown; `draw` and `drawFilms` show it. */
function buildControls(page, model, looks, { draw, drawFilms, share }) {
  const mode = choices(page.top, {
    label: "One patient:", options: { rooms: "in six rooms", factors: "one factor at a time" }, value: "rooms",
    act: (which) => keep(model, which === "rooms" ? { factor: null } : { factor: looks.factor, amount: looks.amount }),
  });
  const other = menu(page.rooms, "Compare with", (select) => {
    node("option", { value: "" }, select, "no other room");
  }, (value) => keep(model, { other: value || null }));
  const view = choices(page.rooms, { label: "Show both", options: { wipe: "with a slider", beside: "side by side" },
    value: looks.view, act: (which) => { looks.view = which; draw(); } });
  const factor = menu(page.factors, "Factor", (select) => {
    for (const [group, members] of Object.entries(GROUPS)) {
      const box = node("optgroup", { label: group }, select);
      for (const [name, words] of Object.entries(members)) node("option", { value: name }, box, words);
    }
  }, (value) => keep(model, { factor: value }));
  const amount = slider(page.factors, { label: "Away from its mean", min: -2, max: 2, step: 1, value: 0, format: amountWords,
    act: (value) => keep(model, { amount: value }) });
  const ticks = node("span", { class: "ticks", "aria-hidden": true }, amount.box);
  for (const words of ["−2", "−1", "mean", "+1", "+2"]) node("span", {}, ticks, words);
  const wipe = slider(page.under, { label: "Border", min: 0, max: 100, value: looks.wiped, format: share,
    act: (value) => { looks.wiped = value; drawFilms(); } });
  const toggles = Object.entries({ aligned: "Align at S1", changed: "Show what changed", marked: "Landmarks" }).map(
    ([name, words]) => [name, button(page.under, words, () => { looks[name] = !looks[name]; draw(); })]);
  const key = node("p", { class: "key" }, page.under);
  for (const [kind, word] of [["brighter", "brighter than at the mean"], ["darker", "darker"]]) {
    node("i", { class: kind }, key);
    node("span", {}, key, word);
  }
  return { mode, other, view, factor, amount, wipe, toggles: Object.fromEntries(toggles), key, thumbs: {} };
}

/** Where the numbers and the words go. */
function buildText(panel) {
  const output = node("output", { "aria-live": "polite" }, panel);
  const heading = node("p", { class: "heading" }, output), says = node("p", { class: "says" }, output);
  const angles = buildTable(panel, "Angles"), lines = buildTable(panel, "The room's file");
  const meanings = node("details", {}, panel);
  node("summary", {}, meanings, "What these lines mean");
  const words = node("dl", {}, meanings), source = node("p", { class: "source help" }, panel);
  node("p", { class: "help" }, panel, "One synthetic patient of Aspen's; every factor that is not moved has its mean. Not for clinical use.");
  return { heading, says, angles, lines, meanings, words, source };
}

// --- the controls as they stand ------------------------------------------------------------------

/** Show the controls of what is asked for; `here` : whether its films have come, `rooms` : those that have. */
function drawControls(page, controls, model, looks, here, rooms) {
  const name = model.get("factor"), [a, b] = [model.get("room"), model.get("other")], two = !name && b && b !== a;
  const { mode, view, factor, amount, wipe, toggles, key } = controls;
  if (name) [looks.factor, looks.amount] = [name, model.get("amount")];
  mode.set(name ? "factors" : "rooms");
  page.rooms.hidden = Boolean(name) || !here;
  page.factors.hidden = !name;
  [page.stage, page.under, page.panel].forEach((part) => part.toggleAttribute("hidden", !here));
  if (name) {
    factor.value = name;
    amount.set(model.get("amount"));
  } else if (here) drawThumbs(page.thumbs, controls, model, rooms);
  view.box.hidden = !two;
  wipe.box.hidden = !two || looks.view !== "wipe";
  wipe.set(looks.wiped);
  view.set(looks.view);
  toggles.aligned.hidden = !two;
  toggles.changed.hidden = !name;
  key.hidden = !(name && looks.changed);
  for (const [which, control] of Object.entries(toggles)) control.setAttribute("aria-pressed", looks[which]);
}

function drawThumbs(parent, { thumbs, other }, model, rooms) {
  const [a, b] = [model.get("room"), model.get("other")];
  for (const [name, room] of Object.entries(rooms)) {
    if (!thumbs[name]) {
      thumbs[name] = button(parent, "", () => keep(model, { room: name }));
      node("img", { src: room.image, alt: "" }, thumbs[name]);
      node("span", {}, thumbs[name], room.title);
      node("option", { value: name }, other, room.title);
    }
    thumbs[name].setAttribute("aria-pressed", name === a);
    thumbs[name].toggleAttribute("data-other", name === b && b !== a);
  }
  other.value = b ?? "";
  for (const option of other.options) option.disabled = option.value === a;
}

// --- the films ---------------------------------------------------------------------------------

/** Where each film stands on the stage, and which part of it begins there: {x, width, start}. */
function places(two, beside, wide, cut) {
  if (!two) return [{ x: 0, width: wide, start: 0 }];
  if (beside) return [0, 1].map((i) => ({ x: i * (wide + GAP), width: wide, start: 0 }));
  return [{ x: 0, width: cut, start: 0 }, { x: cut, width: wide - cut, start: cut }];
}

function drawStage({ left, stage, films, knob }, some, [wide, high], { view, wiped, aligned, marked }) {
  const two = some.length > 1, beside = two && view === "beside", cut = (wide * wiped) / 100;
  const where = places(two, beside, wide, cut), same = { scale: 1, shift: [0, 0] };
  stage.setAttribute("viewBox", `0 0 ${beside ? 2 * wide + GAP : wide} ${high}`);
  left.toggleAttribute("data-beside", beside);
  films.forEach((film, i) => {
    film.pane.toggleAttribute("hidden", !some[i]);
    if (!some[i]) return;
    const fit = two && aligned && i ? alignment(some[0].landmarks_px, some[i].landmarks_px) : same;
    drawFilm(film, some[i].image, where[i], fit, [wide, high]);
    drawMarks(film.marks, some[i].landmarks_px, marked);
    film.tag.textContent = two ? some[i].title : "";
    film.tag.setAttribute("x", !beside && i ? wide - 10 : 10);
    film.tag.setAttribute("text-anchor", !beside && i ? "end" : "start");
  });
  knob.toggleAttribute("hidden", !two || beside);
  knob.setAttribute("transform", `translate(${cut} ${high / 2})`);
  knob.querySelector(".hit").setAttribute("y", -high / 2);
  knob.querySelector(".hit").setAttribute("height", high);
  knob.querySelector(".divider").setAttribute("d", `M0 ${-high / 2}V${high / 2}`);
}

/** Put a film into its pane, scaled and shifted as `fit` says. */
function drawFilm({ pane, inside, image, change, marks }, address, { x, width, start }, fit, [wide, high]) {
  for (const [key, value] of Object.entries({ x, y: 0, width, height: high,
    viewBox: `${start} 0 ${Math.max(width, 0.01)} ${high}` })) pane.setAttribute(key, value);
  // An SVG pixel's middle lies half a unit inside it, a film's at whole numbers.
  const { scale, shift: [right, down] } = fit, half = 0.5 - 0.5 * scale;
  inside.setAttribute("transform", `translate(${right + half} ${down + half}) scale(${scale})`);
  for (const picture of [image, change]) {
    picture.setAttribute("width", wide);
    picture.setAttribute("height", high);
  }
  if (image.getAttribute("href") !== address) image.setAttribute("href", address);
  marks.setAttribute("transform", "translate(0.5 0.5)");
}

function drawMarks(marks, landmarks, on) {
  marks.replaceChildren();
  if (!on) return;
  const at = (points) => `M${points.map((p) => p.join(" ")).join("L")}`;
  const [s1Front, s1Back, l1Front, l1Back, near, far] = landmarks, S1 = mid(s1Front, s1Back), hips = mid(near, far);
  node("path", { class: "leg", d: at([S1, hips]) }, marks);
  for (const plate of [[s1Front, s1Back], [l1Front, l1Back]]) node("path", { class: "plate", d: at(plate) }, marks);
  for (const [x, y] of landmarks.slice(0, 4)) node("circle", { class: "corner", cx: x, cy: y, r: 3.5 }, marks);
  for (const [x, y] of [near, far]) node("path", { class: "head", d: `M${x - 7} ${y}H${x + 7}M${x} ${y - 7}V${y + 7}` }, marks);
  for (const [name, [x, y]] of [["L1", l1Back], ["S1", s1Back]]) node("text", { x: x + 10, y }, marks, name);
}

// --- what is said --------------------------------------------------------------------------------

/** What the stage shows, for those who do not see it; `facts` : of the factor, where there is one. */
function describe(some, facts, amount) {
  const read = (film) => ANGLES.map((name, i) => `${name} ${show(film.angles_deg[i])}`).join(", ");
  if (facts) return `Film in Aspen's room, ${facts.title} at ${amountWords(amount)}: ${read(some[0])}`;
  return `The same patient: ${some.map((room) => `${room.title}'s film, ${read(room)}`).join("; ")}`;
}

const row = (name, degrees) => [name, ...degrees.map((value) => show(value))];

function sayRooms(text, { patient_deg: true_deg, lines: names }, some, aligned) {
  const [a, b] = some, { heading, says, angles, lines, meanings, words, source } = text;
  heading.textContent = b ? `${a.title} and ${b.title}` : `${a.title}: ${a.kind}`;
  says.textContent = b ? compare(a, b, aligned)
    : `LL reads ${show(a.angles_deg[3])} on this film; in the patient it is ${show(true_deg[3])}. This patient has a scoliosis ` +
      "that turns L1 out of the film's plane, so each room projects it a little differently. S1 lies in that plane.";
  angles.fill(["", ...ANGLES], [row("in the patient", true_deg), ...some.map((room) => row(`${room.title}'s film`, room.angles_deg))]);
  const every = [["Pixel, mm", ...some.map((room) => show(room.pixel_mm, 2, ""))],
    ...names.map(([label], i) => [label, ...some.map((room) => room.lines[i])])];
  lines.fill(["The room", ...some.map((room) => room.title)], every.filter(([, one, two]) => !b || one !== two));
  for (const part of [lines.table, meanings]) part.hidden = false;
  source.hidden = true;
  if (words.childElementCount) return;
  for (const [label, meaning] of names) {
    node("dt", {}, words, label);
    node("dd", {}, words, meaning);
  }
}

function compare(a, b, aligned) {
  if (!aligned) return "The two films as they are: each has its own scale.";
  const fit = alignment(a.landmarks_px, b.landmarks_px), there = b.landmarks_px.map((p) => moved(p, fit));
  const apart = (i, j) => show(len(sub(mid(there[i], there[j]), mid(a.landmarks_px[i], a.landmarks_px[j]))) * a.pixel_mm, 1, " mm");
  return `${b.title}'s film is drawn × ${show(fit.scale, 2, "")} and shifted until the S1 plates coincide. ` +
    `L1 is then ${apart(2, 3)} apart, the hip axis ${apart(4, 5)}.`;
}

function sayFactor({ heading, says, angles, lines, meanings, source }, facts, amount) {
  const at = amount + 2, usual = facts.law === "log" ? "the middle value" : "the mean"; // of logarithms, the mean is the middle
  const value = (i) => show(facts.values[i], 3, "").replace(/\.?0+$/, "");
  heading.textContent = capital(facts.title);
  says.textContent = amount ? `At ${amountWords(amount)} it is ${value(at)}; ${usual} is ${value(2)}. ` +
    `A pixel differs by ${show(facts.differs[at], 2, "")} of 255 grey levels on average: ` +
    `${show(100 * facts.brighter[at], 1, " %")} of the film is more than four levels brighter, ${show(100 * facts.darker[at], 1, " %")} darker.`
    : `${capital(usual)} is ${value(2)}. Move the slider.`;
  angles.fill(["", ...ANGLES], [row("at the mean", facts.films[2].angles_deg),
    ...(amount ? [row(`at ${amountWords(amount)}`, facts.films[at].angles_deg)] : [])]);
  const share = facts.share === 1 ? "" : ` Aspen's room takes ${facts.share} of this spread.`;
  source.textContent = `SD between ${facts.between ? "patients or films" : "the pieces of one patient, all moved at once"}` +
    `${facts.law === "log" ? ", of the logarithm" : ""}.${share} Source: ${facts.source}.`;
  for (const part of [lines.table, meanings]) part.hidden = true;
  source.hidden = false;
}

// --- the figure ----------------------------------------------------------------------------------

function render({ model, el }) {
  const root = shell(el, "scanners"), page = build(root), { stage, films, knob, note } = page;
  const shelf = {}, asked = {}; // payloads that are here, and those on their way
  const paints = {}; // overlays by their factor and amount
  const looks = { view: "wipe", wiped: 50, aligned: true, marked: false, changed: false, // how films are shown
    factor: model.get("factor") ?? Object.keys(GROUPS.Bone)[0], amount: model.get("amount") || 2 }; // to come back to
  const controls = buildControls(page, model, looks, { draw, drawFilms, share });
  const text = buildText(page.panel);

  /** How much of each film the border leaves. */
  function share(value) {
    const { rooms } = shelf[ROOMS] ?? {}, [a, b] = [model.get("room"), model.get("other")];
    if (!rooms || !b) return "";
    return `${rooms[a].title} ${Math.round(value)} %, ${rooms[b].title} ${100 - Math.round(value)} %`;
  }

  const wanted = () => payloadOf(model.get("factor"));

  /** The films that are shown: one or two of rooms, or one of a factor. */
  function shown() {
    const { films: some, rooms } = shelf[wanted()], [a, b] = [model.get("room"), model.get("other")];
    if (some) return [some[model.get("amount") + 2]];
    return b && b !== a ? [rooms[a], rooms[b]] : [rooms[a]];
  }

  function draw() {
    const name = wanted();
    drawControls(page, controls, model, looks, Boolean(shelf[name]), shelf[ROOMS]?.rooms);
    if (!shelf[name]) return ask(name);
    root.removeAttribute("aria-busy");
    delete root.dataset.without;
    note.textContent = "";
    drawFilms();
    if (model.get("factor")) sayFactor(text, shelf[name], model.get("amount"));
    else sayRooms(text, shelf[name], shown(), looks.aligned);
  }

  /** Ask for films, once, and draw when they have come. */
  function ask(name) {
    root.setAttribute("aria-busy", "true");
    note.textContent = "Loading the films …";
    asked[name] ??= load(model, name).then((payload) => { shelf[name] = payload; }).finally(() => { delete asked[name]; });
    asked[name].then(draw, () => {
      if (name !== wanted()) return; // the hand went on
      root.removeAttribute("aria-busy");
      root.dataset.without = "";
      note.textContent = "The films are not here: they come with the book, or with a running kernel.";
    });
  }

  function drawFilms() {
    const some = shown(), facts = shelf[wanted()];
    drawStage(page, some, facts.size_px, looks);
    stage.setAttribute("aria-label", describe(some, model.get("factor") && facts, model.get("amount")));
    drawChange();
  }

  /** Paint what the factor changed, once the films are read. */
  async function drawChange() {
    const name = model.get("factor"), { change: paint } = films[0];
    const at = `${name} ${model.get("amount")}`, on = Boolean(name && looks.changed && model.get("amount"));
    root.toggleAttribute("data-changed", on);
    paint.toggleAttribute("hidden", true);
    if (!on) return;
    const { films: some, size_px: size } = shelf[payloadOf(name)];
    paints[at] ??= overlay(some[model.get("amount") + 2].image, some[2].image, size);
    const href = await paints[at];
    if (at !== `${model.get("factor")} ${model.get("amount")}` || !looks.changed) return; // the hand went on
    paint.setAttribute("href", href);
    paint.toggleAttribute("hidden", false);
  }

  drag(stage, knob, {
    begin: () => looks.wiped,
    move: (base, from, to) => {
      const [wide] = shelf[ROOMS].size_px;
      looks.wiped = hold(base + (100 * (to[0] - from[0])) / wide, 0, 100);
      controls.wipe.set(looks.wiped);
      drawFilms();
    },
  });
  return follow(model, ["room", "other", "factor", "amount"], draw);
}

export default { render };
