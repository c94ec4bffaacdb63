// A question with a place for the answer.  Taught in four_angles.

import { button, follow, group, judge, keep, memory, node, read, shell } from "./core.js";

const OPENINGS = { right: "✓ Right.", wrong: "✗ Not quite.", "not yet": "Not yet.", compared: "" };

// A field is {answer(): what it holds or null, set(value), fits(value)}: what a page remembers may be of an earlier edition.

/** A field for a number; hands on what was written. */
function numberField(form, question) {
  const label = node("label", {}, form);
  node("span", {}, label, `${question.label ?? "Your answer"} `);
  const input = node("input", { type: "text", inputmode: "decimal", autocomplete: "off", size: 8 }, label);
  if (question.unit.trim()) node("span", {}, label, ` ${question.unit.trim()}`);
  return {
    answer: () => read(input.value),
    set: (value) => { if (value === null || read(input.value) !== value) input.value = value ?? ""; },
    fits: Number.isFinite,
  };
}

function choiceField(form, question) {
  const name = group();
  const box = node("fieldset", { class: "options" }, form);
  node("legend", {}, box, question.label ?? "Choose one");
  const inputs = question.options.map((words, i) => {
    const label = node("label", {}, box);
    const input = node("input", { type: "radio", name, value: i }, label);
    node("span", {}, label, words);
    return input;
  });
  return {
    answer: () => {
      const chosen = inputs.findIndex((input) => input.checked);
      return chosen < 0 ? null : chosen;
    },
    set: (value) => inputs.forEach((input, i) => { input.checked = i === value; }),
    fits: (value) => Number.isInteger(value) && value in inputs,
  };
}

/** Items that buttons move up and down. */
function orderField(form, question) {
  const box = node("div", { class: "order", role: "group", "aria-label": question.label ?? "Put them in order" }, form);
  if (question.label) node("p", {}, box, question.label);
  const list = node("ol", {}, box), all = question.items.map((_, i) => i);
  let order = all, touched = false;
  function move(at, by) {
    const to = at + by;
    if (to < 0 || to >= order.length) return;
    order = order.map((item, i) => (i === at ? order[to] : i === to ? order[at] : item));
    touched = true;
    draw();
    form.dispatchEvent(new Event("input")); // what was said was said of another order
    list.children[to].querySelectorAll("button")[by < 0 ? 0 : 1].focus();
  }
  function draw() {
    list.replaceChildren();
    order.forEach((item, at) => {
      const line = node("li", {}, list);
      for (const [by, sign, words] of [[-1, "↑", "up"], [1, "↓", "down"]])
        button(line, sign, () => move(at, by)).setAttribute("aria-label",
          `${question.items[item]}, place ${at + 1} of ${order.length}: move ${words}`);
      node("span", {}, line, question.items[item]);
    });
  }
  draw();
  return {
    answer: () => (touched ? order : null),
    set: (value) => {
      touched = value !== null;
      order = value ?? all;
      draw();
    },
    fits: (value) => Array.isArray(value) && value.length === all.length && all.every((item) => value.includes(item)),
  };
}

const FIELDS = { number: numberField, prediction: numberField, choice: choiceField, order: orderField };

function render({ model, el }) {
  const root = shell(el, "exercises"), question = model.get("question"), name = model.get("name");
  const form = node("form", {}, root);
  const field = FIELDS[question.kind](form, question);
  node("button", { type: "submit" }, form, question.kind === "prediction" ? "Compare" : "Check");
  const again = button(form, "Start again", () => answered(null));
  const says = node("p", { class: "says", role: "status" }, root);

  function say(verdict, words) {
    says.dataset.verdict = verdict;
    says.textContent = `${OPENINGS[verdict]} ${words}`.trim();
  }

  function draw() {
    const answer = model.get("answer"), { verdict, says: words } = judge(question, answer);
    field.set(answer);
    again.hidden = answer === null;
    if (answer === null) says.textContent = "";
    else say(verdict, words);
  }

  function answered(answer) {
    memory.set(name, answer);
    keep(model, { answer });
    draw();
  }

  form.addEventListener("input", () => { says.textContent = ""; });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const answer = field.answer();
    if (answer === null) say("not yet", question.ask);
    else answered(answer);
  });
  const before = model.send ? null : memory.get(name); // a kernel is not told what another day's reader wrote
  if (model.get("answer") === null && before !== null && field.fits(before)) keep(model, { answer: before });
  return follow(model, ["answer"], draw);
}

export default { render };
