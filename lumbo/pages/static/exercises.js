// A question with a place for the answer.  Taught in four_angles.

import { button, follow, judge, keep, memory, node, read, shell } from "./core.js";

const OPENINGS = { right: "✓ Right.", wrong: "✗ Not quite.", "not yet": "Not yet.", compared: "" };

/** A field for a number; hands on what was written. */
function numberField(form, question) {
  const label = node("label", {}, form);
  node("span", {}, label, `${question.label ?? "Your answer"} `);
  const input = node("input", { type: "text", inputmode: "decimal", autocomplete: "off", size: 8 }, label);
  if (question.unit.trim()) node("span", {}, label, ` ${question.unit.trim()}`);
  return {
    answer: () => read(input.value),
    set: (value) => { if (read(input.value) !== value) input.value = value ?? ""; },
  };
}

function choiceField(form, question, name) {
  const box = node("fieldset", { class: "options" }, form);
  node("legend", {}, box, question.label ?? "Choose one");
  const inputs = question.options.map((words, i) => {
    const label = node("label", {}, box);
    const input = node("input", { type: "radio", name: `lumbo-${name}`, value: i }, label);
    node("span", {}, label, words);
    return input;
  });
  return {
    answer: () => {
      const chosen = inputs.findIndex((input) => input.checked);
      return chosen < 0 ? null : chosen;
    },
    set: (value) => inputs.forEach((input, i) => { input.checked = i === value; }),
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
    list.children[to].querySelectorAll("button")[by < 0 ? 0 : 1].focus();
  }
  function draw() {
    list.replaceChildren();
    order.forEach((item, at) => {
      const line = node("li", {}, list);
      for (const [by, sign, words] of [[-1, "↑", "up"], [1, "↓", "down"]])
        button(line, sign, () => move(at, by)).setAttribute("aria-label", `${question.items[item]}: move ${words}`);
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
  };
}

const FIELDS = { number: numberField, prediction: numberField, choice: choiceField, order: orderField };

function render({ model, el }) {
  const root = shell(el, "exercises"), question = model.get("question"), name = model.get("name");
  const form = node("form", {}, root);
  const field = FIELDS[question.kind](form, question, name);
  node("button", { type: "submit" }, form, question.kind === "prediction" ? "Compare" : "Check");
  const says = node("p", { class: "says", role: "status" }, root);
  let asked = false;

  function draw() {
    const answer = model.get("answer");
    field.set(answer);
    const { verdict, says: words } = judge(question, answer);
    says.dataset.verdict = verdict;
    says.textContent = answer === null && !asked ? "" : `${OPENINGS[verdict]} ${words}`.trim();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    asked = true;
    const answer = field.answer();
    if (answer === null) {
      says.dataset.verdict = "not yet";
      says.textContent = `${OPENINGS["not yet"]} ${question.ask}`;
      return;
    }
    memory.set(name, answer);
    keep(model, { answer });
    draw();
  });
  const before = model.get("answer") === null ? memory.get(name) : null;
  if (before !== null) keep(model, { answer: before });
  return follow(model, ["answer"], draw);
}

export default { render };
