"use strict";
const tip = document.getElementById("tip");

function show(mark) {
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const at = mark.getBoundingClientRect(), box = tip.getBoundingClientRect();
  const left = Math.min(Math.max(at.left + at.width / 2 - box.width / 2, 6), window.innerWidth - box.width - 6);
  const above = at.top - box.height - 10;
  tip.style.left = left + "px";
  tip.style.top = (above > 6 ? above : at.bottom + 10) + "px";
}

function light(trial, on) {
  for (const mark of document.querySelectorAll(`[data-trial="${CSS.escape(trial)}"]`)) mark.classList.toggle("lit", on);
}

for (const kind of ["pointerover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    const mark = event.target.closest("[data-tip], [data-trial]") || event.target.querySelector?.(":scope > [data-tip]");
    if (!mark) return;
    if (mark.dataset.tip) show(mark);
    if (mark.dataset.trial) light(mark.dataset.trial, true);
  });
}
for (const kind of ["pointerout", "focusout"]) {
  document.addEventListener(kind, () => {
    tip.hidden = true;
    for (const mark of document.querySelectorAll(".lit")) mark.classList.remove("lit");
  });
}

function open() {
  const target = location.hash.startsWith("#trial-") && document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}
window.addEventListener("hashchange", open);
open();
