// What the living figures share: geometry, drawing, hands and keys, answers, and data on demand.
//
// A figure's module begins with one line that imports from here; `lumbo.pages.living` joins the two
// and the style sheets into the one module that a page or a widget runs.
//
// Landmarks are [x, y], y down, in the order of lumbo.angles.LANDMARKS.  What is measured or drawn
// of a patient is in the patient frame [forward, up], so that one sign convention serves both sides.

export const ANGLES = ["SS", "PT", "PI", "LL"];
export const NAMES = { SS: "sacral slope", PT: "pelvic tilt", PI: "pelvic incidence", LL: "lumbar lordosis" };

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
export const hold = (value, low, high) => Math.min(Math.max(value, low), high);

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

/** A number with a true minus and never "-0.0"; a dash where there is none. */
export const show = (value, decimals = 1, sign = "°") =>
  value === null || !Number.isFinite(value) ? "–"
    : `${(Number(value.toFixed(decimals)) + 0).toFixed(decimals)}${sign}`.replace("-", "−");

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

// --- the page ------------------------------------------------------------------------------

/** Make an element (of SVG inside SVG) at the end of `parent`. */
export function node(tag, attributes = {}, parent = undefined, text = undefined) {
  const drawn = parent instanceof SVGElement || tag === "svg";
  const made = drawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  parent?.append(made);
  return made;
}

/** The root of a figure, with its style: STYLE is written above this module when it is joined. */
export function shell(el, name) {
  const root = node("div", { class: `lumbo lumbo-${name}` }, el);
  node("style", {}, root, STYLE);
  return root;
}

export const button = (parent, words, act) => {
  const made = node("button", { type: "button" }, parent, words);
  made.addEventListener("click", act);
  return made;
};

/** A slider with its name and its value, which it also says: {input, set(value)}. */
export function slider(parent, { label, min, max, step = "any", value, format = (v) => show(v, 1, ""), act }) {
  const box = node("label", { class: "slider" }, parent), top = node("span", { class: "top" }, box);
  node("span", {}, top, label);
  const shown = node("output", { "aria-hidden": true }, top);
  const input = node("input", { type: "range", min, max, step, "aria-label": label }, box);
  const set = (next) => {
    input.value = next;
    shown.textContent = format(Number(next));
    input.setAttribute("aria-valuetext", format(Number(next)));
  };
  input.addEventListener("input", () => {
    set(Number(input.value));
    act(Number(input.value));
  });
  set(value);
  return { box, input, set };
}

/** A choice of few: a named group of radio buttons, {"value": "words"}; returns {box, set(value)}. */
export function choices(parent, { label, options, value, act }) {
  const box = node("fieldset", { class: "choices" }, parent), name = `lumbo-group-${++groups}`;
  node("legend", {}, box, label);
  const inputs = Object.entries(options).map(([key, words]) => {
    const line = node("label", {}, box);
    const input = node("input", { type: "radio", name, value: key }, line);
    node("span", {}, line, words);
    input.addEventListener("change", () => act(key));
    return input;
  });
  const set = (next) => inputs.forEach((input) => { input.checked = input.value === String(next); });
  set(value);
  return { box, set };
}
let groups = 0; // names of groups must differ on a page

export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Call `move(step)` with [dx, dy] at each arrow key, ten times as far with Shift. */
export function arrows(target, move) {
  target.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    move(mul(ARROWS[event.key], event.shiftKey ? 10 : 1));
  });
}

/** Where an event lies on `film`, an SVG, in its own units. */
export function place(film, { clientX, clientY }) {
  const p = new DOMPoint(clientX, clientY).matrixTransform(film.getScreenCTM().inverse());
  return [p.x, p.y];
}

/** Follow one pointer from press to release: `begin(at)`, then `move(base, from, at)`, `end()` at the last. */
export function drag(film, target, { begin = () => {}, move, end = () => {} }) {
  // Chromium heeds touch-action on the svg only, not inside; the rest of the film must still scroll the page.
  target.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  target.addEventListener("pointerdown", (press) => {
    if (press.button) return;
    press.preventDefault();
    target.focus();
    target.setPointerCapture(press.pointerId);
    const from = place(film, press), base = begin(from);
    target.onpointermove = (event) => event.pointerId === press.pointerId && move(base, from, place(film, event));
    target.onlostpointercapture = () => {
      target.onpointermove = target.onlostpointercapture = null;
      end();
    };
  });
}

/** Redraw at each change of the model's fields, and now; returns what undoes it. */
export function follow(model, fields, draw) {
  const events = fields.map((field) => `change:${field}`);
  events.forEach((event) => model.on(event, draw));
  draw();
  return () => events.forEach((event) => model.off(event, draw));
}

/** Set fields of the model and hand them on. */
export function keep(model, fields) {
  for (const [field, value] of Object.entries(fields)) model.set(field, value);
  model.save_changes();
}

/** What a page remembers of its reader, as far as the browser lets it. */
export const memory = {
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(`lumbo.${name}`));
    } catch {
      return null;
    }
  },
  set(name, value) {
    try {
      localStorage.setItem(`lumbo.${name}`, JSON.stringify(value));
    } catch {
      // a page from a file may not remember
    }
  },
};

// --- data on demand: from the kernel, or from a file of the book ----------------------------

const WAIT_MS = 60_000;

/** What Python calls `name` among the figure's payloads, an object; rejected where neither kernel nor book has it. */
export function load(model, name) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => done(reject, new Error("no answer")), WAIT_MS);
    const done = (settle, value) => {
      clearTimeout(late);
      settle(value);
    };
    if (model.send) {
      const hear = (message) => {
        if (message?.loaded !== name) return;
        model.off("msg:custom", hear);
        if (message.error) done(reject, new Error(message.error));
        else done(resolve, message.payload);
      };
      model.on("msg:custom", hear);
      model.send({ load: name });
      return;
    }
    const shelf = (globalThis.lumboPayloads ??= {});
    if (shelf[name]) return done(resolve, shelf[name]);
    const root = document.documentElement.dataset.content_root ?? "";
    const script = node("script", { src: `${root}_static/lumbo/${name}.js` });
    script.onload = () => (shelf[name] ? done(resolve, shelf[name]) : done(reject, new Error("no such data")));
    script.onerror = () => done(reject, new Error("the data is neither in this page's book nor in a kernel"));
    document.head.append(script);
  });
}

/** Whole numbers from a payload's base64 of deflated bytes, as `Type` has them (Uint8Array, Uint16Array …). */
export async function unpacked(base64, Type) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Type(await new Response(stream).arrayBuffer());
}

// --- answers: as lumbo.pages.exercises judges them ------------------------------------------

const near = (a, b, tolerance) => Math.abs(a - b) <= tolerance + 1e-9;

/** What was typed as a number, or null: "−3,2°" is -3.2. */
export function read(text) {
  const plain = String(text).trim().replace("−", "-").replace(",", ".").replace(/\s*[°%a-zA-Z²/]*$/, "");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? Number(plain) : null;
}

/** Judge an answer: {verdict: "right" | "wrong" | "not yet" | "compared", says}. */
export function judge(question, answer) {
  const { kind, hints = [], otherwise = "" } = question;
  const right = { verdict: "right", says: question.right };
  const wrong = (hint) => ({ verdict: "wrong", says: hint?.hint ?? otherwise });
  const same = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);
  if (answer === null || answer === undefined) return { verdict: "not yet", says: question.ask };
  if (kind === "prediction") {
    const off = answer - question.answer, size = show(Math.abs(off), question.decimals, question.unit);
    const how = near(off, 0, question.tolerance) ? "That is as close as one can ask." : `You are ${size} too ${off > 0 ? "high" : "low"}.`;
    return { verdict: "compared", says: `It is ${show(question.answer, question.decimals, question.unit)}. ${how} ${question.right}` };
  }
  if (kind === "number") {
    if (near(answer, question.answer, question.tolerance)) return right;
    return wrong(hints.find((hint) => near(answer, hint.answer, hint.tolerance)));
  }
  if (kind === "choice") return answer === question.answer ? right : wrong(hints.find((hint) => hint.answer === answer));
  if (kind === "order") return same(answer, question.answer) ? right : wrong(hints.find((hint) => same(hint.answer, answer)));
  if (kind === "pose") { // a pose is its angles
    const fits = (goal) => ANGLES.every((name) => !(name in goal) || near(answer[name], goal[name], question.tolerance));
    return fits(question.answer) ? right : wrong(hints.find((hint) => fits(hint.answer)));
  }
  throw new Error(`kind ${kind}`);
}
