// Turn the pages: arrow keys, the keys of a clicker, Home and End; N shows the speaker's notes.
const all = [...document.querySelectorAll("main > section")], place = document.getElementById("place");
let now = 0;

/** Find the largest text with which a slide holds all it shows, and the figure keeps two fifths of the height. */
function fit(section) {
  const slide = section.querySelector(".slide"), picture = section.querySelector(".figure > figure > img");
  const living = section.querySelector(".lumbo-static");
  const large = !picture && (!living || section.matches(".asked"));
  for (let size = large ? 1.5 : 1; size > 0.4; size -= 0.05) {
    slide.style.setProperty("--fit", size);
    const seen = living ? zoomed(living) : picture ? picture.clientHeight / (0.4 * innerHeight) : 1;
    if (seen < 1 && size > 0.75) continue;
    if ([slide, ...slide.children].every((box) => box.scrollWidth <= box.clientWidth) &&
      slide.scrollHeight <= slide.clientHeight) break;
  }
}

/** Zoom a living figure into the room it has, laid out narrow or wide; returns how near it comes to its size, at most 1. */
function zoomed(living) {
  const room = living.parentElement;
  living.style.setProperty("--zoom", 1);
  const [narrow, wide] = [false, true].map((on) => {
    living.toggleAttribute("data-wide", on);
    const box = living.getBoundingClientRect();
    return Math.min(room.clientHeight / box.height, room.clientWidth / box.width, 1.8);
  });
  const zoom = Math.max(narrow, wide);
  living.toggleAttribute("data-wide", wide > narrow);
  living.style.setProperty("--zoom", zoom);
  return Math.min(zoom / 0.9, 1);
}

function go(to) {
  now = Math.min(Math.max(to, 0), all.length - 1);
  all.forEach((section, i) => {
    section.classList.toggle("now", i === now);
    section.inert = i !== now;
  });
  fit(all[now]);
  place.textContent = `${now + 1} / ${all.length}`;
  history.replaceState(null, "", `#${now + 1}`);
}

const notes = document.querySelector("[data-notes]");
function toggle() {
  notes.setAttribute("aria-pressed", document.body.classList.toggle("with-notes"));
  fit(all[now]);
}
notes.addEventListener("click", toggle);
document.querySelectorAll("[data-go]").forEach((button) =>
  button.addEventListener("click", () => go(now + Number(button.dataset.go))));

const TURNS = { ArrowRight: 1, ArrowDown: 1, PageDown: 1, ArrowLeft: -1, ArrowUp: -1, PageUp: -1 };
addEventListener("keydown", (event) => {
  const page = event.key.startsWith("Page"), within = event.target.closest?.(".lumbo, pre, .notes, summary");
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || (within && !page)) return;
  if (event.key in TURNS) go(now + TURNS[event.key]);
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(all.length - 1);
  else if (event.key.toLowerCase() === "n") toggle();
  else return;
  event.preventDefault();
});
addEventListener("resize", () => fit(all[now]));
addEventListener("beforeprint", () => all.forEach(fit));
addEventListener("hashchange", () => go(Number(location.hash.slice(1) || 1) - 1));
// Figures and formulas that arrive later change the room there is.
new MutationObserver(() => fit(all[now])).observe(document.querySelector("main"), { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
addEventListener("load", () => (globalThis.MathJax?.startup?.promise ?? Promise.resolve()).then(() => fit(all[now])));
go(Number(location.hash.slice(1) || 1) - 1);
