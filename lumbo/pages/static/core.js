// What the living figures share: numbers, the page, hands and keys, answers, and data on demand.
//
// A figure's module begins with lines that import from here and from geometry.js; `lumbo.pages.living` joins
// what it needs, and the style sheets, into the one module that a page or a widget runs.

export const ANGLES = ["SS", "PT", "PI", "LL"];
export const NAMES = { SS: "sacral slope", PT: "pelvic tilt", PI: "pelvic incidence", LL: "lumbar lordosis" };

export const hold = (value, low, high) => Math.min(Math.max(value, low), high);

/** A number with a true minus and never "-0.0"; a dash where there is none. */
export const show = (value, decimals = 1, sign = "°") =>
  value === null || !Number.isFinite(value) ? "–"
    : `${(Number(value.toFixed(decimals)) + 0).toFixed(decimals)}${sign}`.replace("-", "−");

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

/** A name for a group of radio buttons that no other figure of the page has: each figure is a module of its own. */
export const group = () => `lumbo-group-${(globalThis.lumboGroups = (globalThis.lumboGroups ?? 0) + 1)}`;

/** A choice of few: a named group of radio buttons, {"value": "words"}; returns {box, set(value)}. */
export function choices(parent, { label, options, value, act }) {
  const box = node("fieldset", { class: "choices" }, parent), name = group();
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

export const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Call `move(step)` with [dx, dy] at each arrow key, ten times as far with Shift. */
export function arrows(target, move) {
  target.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    move(ARROWS[event.key].map((v) => v * (event.shiftKey ? 10 : 1)));
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
    if (press.button || target.onlostpointercapture) return; // another finger has it
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

/**
 * What Python calls `name` among the figure's payloads, an object; rejected where neither kernel nor book has it.
 * A kernel may answer late: after "run all", what a page asks waits behind every cell.
 */
export function load(model, name) {
  return model.send ? fromKernel(model, name) : fromBook(name);
}

function fromKernel(model, name) {
  return new Promise((resolve, reject) => {
    const hear = (message) => {
      if (message?.loaded !== name) return;
      model.off("msg:custom", hear);
      if (message.error) reject(new Error(message.error));
      else resolve(message.payload);
    };
    model.on("msg:custom", hear);
    model.send({ load: name });
  });
}

function fromBook(name) {
  const shelf = (globalThis.lumboPayloads ??= {});
  if (shelf[name]) return Promise.resolve(shelf[name]);
  return new Promise((resolve, reject) => {
    const root = document.documentElement.dataset.content_root ?? "";
    const script = node("script", { src: `${root}_static/lumbo/${name}.js` });
    const missing = () => {
      script.remove();
      reject(new Error("the data is neither in this page's book nor in a kernel"));
    };
    script.onload = () => (shelf[name] ? resolve(shelf[name]) : missing());
    script.onerror = missing;
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
  const plain = String(text).trim().replace("−", "-").replace(",", ".");
  const found = /^([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?)\s*[°%a-zA-Zµ²³/]*$/i.exec(plain);
  return found && Number.isFinite(Number(found[1])) ? Number(found[1]) : null;
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
