// The live update and the switch of colours. The page is whole without it.
"use strict";

const root = document.documentElement;
const live = document.getElementById("live");
const theme = document.getElementById("theme");
const trouble = document.getElementById("trouble");
const seconds = Number(document.body.dataset.seconds);

theme.hidden = live.hidden = false;

theme.addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme || system) === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* kept for this page alone */ }
});

live.addEventListener("click", () => {
  const on = live.getAttribute("aria-pressed") !== "true";
  live.setAttribute("aria-pressed", String(on));
  if (on) update();
});

// A choice of days ends a range, and the other way round.
const form = document.querySelector("form");
for (const name of ["since", "until"]) {
  form.elements[name].addEventListener("input", () => { form.elements.range.value = ""; });
}
form.addEventListener("submit", () => {
  if (form.elements.range.value) form.elements.since.disabled = form.elements.until.disabled = true;
});

// What a person has opened, scrolled or focused stays so when a section is put in anew.
function remembered(holder) {
  const all = (selector) => [...holder.querySelectorAll(selector)];
  const focusable = all("a, summary, [tabindex]");
  return {
    open: all("details").map((each) => each.open),
    scrolled: all(".scroll, pre").map((each) => [each.scrollLeft, each.scrollTop]),
    focus: focusable.indexOf(document.activeElement),
  };
}

function restore(holder, state) {
  const all = (selector) => [...holder.querySelectorAll(selector)];
  all("details").forEach((each, number) => { each.open = state.open[number] || false; });
  all(".scroll, pre").forEach((each, number) => each.scrollTo(...(state.scrolled[number] || [0, 0])));
  if (state.focus >= 0) all("a, summary, [tabindex]")[state.focus]?.focus({ preventScroll: true });
}

function put(section) {
  const holder = document.querySelector(`.holder[data-name="${section.name}"]`);
  if (!holder || holder.contains(getSelection().anchorNode) && !getSelection().isCollapsed) return;
  const state = remembered(holder);
  // The text is HTML in which the server has escaped every value.
  holder.replaceChildren(new DOMParser().parseFromString(section.html, "text/html").body.firstElementChild);
  holder.dataset.version = section.version;
  restore(holder, state);
}

let waiting;
async function update() {
  clearTimeout(waiting);
  if (live.getAttribute("aria-pressed") === "true" && !document.hidden) {
    const have = [...document.querySelectorAll(".holder")].map((each) => `have=${each.dataset.version}`).join("&");
    try {
      const answer = await fetch(`/sections?${document.body.dataset.query}&${have}`);
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const found = await answer.json();
      found.sections.forEach(put);
      document.getElementById("at").textContent = found.at;
      if (trouble.textContent) trouble.textContent = "";
    } catch (error) {
      const words = `The live update does not get through (${error.message}); it is tried again.`;
      if (trouble.textContent !== words) trouble.textContent = words;
    }
  }
  clearTimeout(waiting);
  waiting = setTimeout(update, seconds * 1000);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
waiting = setTimeout(update, seconds * 1000);
