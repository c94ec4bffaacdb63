// A box that scrolls sideways can be scrolled by keyboard: tables on a narrow page, wide output, wide formulas.
function reach() {
  for (const box of document.querySelectorAll(".bd-article :is(div:has(> table), pre, mjx-container, .math)")) {
    const hides = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
    if (hides && !box.hasAttribute("tabindex")) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Scrolls sideways");
    }
  }
}
addEventListener("load", () => (globalThis.MathJax?.startup?.promise ?? Promise.resolve()).then(reach));
addEventListener("resize", reach);
addEventListener("toggle", reach, true);
