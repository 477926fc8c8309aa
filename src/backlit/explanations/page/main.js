"use strict";
// Where the reader is, and what happens when they move.

const now = { stepNumber: 0, step: null, k: null, l: 0, source: 0, unit: 0, inside: false, choose: null };
let timer = null;

function choose(place) {
  const l = place.l ?? now.l;
  const source = place.source !== undefined ? place.source : l === now.l ? now.source : 0;
  now.unit = Math.min(place.unit ?? (l === now.l ? now.unit : 0), page.sizes[l + 1] - 1);
  now.source = source === null ? null : Math.min(source, page.sizes[l] - 1);
  now.l = l;
  redraw();
}
now.choose = choose;

function goTo(stepNumber, k) {
  now.stepNumber = Math.max(0, Math.min(page.steps.length - 1, stepNumber));
  now.step = page.steps[now.stepNumber];
  now.k = Math.max(0, Math.min(now.step.shown + 1, k));
  redraw();
}

function redraw() {
  drawControls();
  drawGraph(now, choose);
  drawFactors(now);
  drawLedger(now);
  drawMatrices(now, choose);
  drawTables(now);
}

// --- where we are ----------------------------------------------------------------------------------------------------

function drawControls() {
  const { step, k } = now;
  const steps = page.steps.length;
  const stepText = `${now.stepNumber + 1} of ${steps} watched · update ${step.step + 1} · loss ${show(step.loss, 4)}`;
  setRange("step", steps - 1, now.stepNumber, stepText);
  byId("step-box").hidden = steps === 1;
  const name = k === 0 ? "before the first" : k > step.shown ? "the update" : `${k} of ${step.batch}${targetText(step, k - 1)}`;
  setRange("example", step.shown + 1, k, name);
  byId("step-back").disabled = now.stepNumber === 0;
  byId("step-on").disabled = now.stepNumber === steps - 1;
  byId("example-back").disabled = k === 0;
  byId("example-on").disabled = k === step.shown + 1;
  byId("play").textContent = timer ? "Pause" : "Play";
  byId("said").textContent = sentence();
  fillChooser();
}

function setRange(id, most, value, text) {
  const input = byId(id);
  input.max = most;
  input.value = value;
  input.setAttribute("aria-valuetext", text);
  byId(`${id}-name`).textContent = text;
}

/** Which class the example belongs to, if the outputs have names. */
function targetText(step, k) {
  if (!page.outputs || page.sizes[layerCount] < 2) return "";
  const row = Array.from({ length: page.sizes[layerCount] }, (_, j) => at(step.y, k, j));
  const one = row.indexOf(1);
  return one >= 0 && row.every((y, j) => y === (j === one ? 1 : 0)) ? ` · ${page.outputs[one]}` : "";
}

function sentence() {
  const { step, k, inside } = now;
  const divided = step.division.startsWith("÷") ? `The sum is divided by ${step.division.slice(2)}` : "The sum is not divided";
  if (inside) {
    const gap = `The largest difference to the one update is ${show(step.largestGap, 3)}, of ${step.largestGapAt}; the largest move of a parameter was ${show(step.largestMove, 3)}.`;
    const memory = step.plain ? "" : " Both are plain gradient descent at this rate: an optimizer with a memory has no equal small steps.";
    if (k === 0) return `Inside the loop, every example would move the parameters at once, so each later one would see other parameters.${memory}`;
    if (k <= step.shown) return `Inside the loop, the parameters would have moved ${k} ${k === 1 ? "time" : "times"} by now. Lines and W show them moved; the example gradients are those of the real step.`;
    return `Updating inside the loop is not the same. ${gap}${memory}`;
  }
  if (k === 0) return `A batch of ${step.batch} examples comes in. The sum of the gradients is 0; the parameters are as the last step left them.`;
  if (k <= step.shown) return `Example ${k} of ${step.batch} went forward and back; its gradient was added to the sum. The parameters stand still. Its loss: ${show(at(step.losses, k - 1), 4)}.`;
  return `${divided}, and every parameter moves, once. Then the next batch comes in.`;
}

// --- choosing a weight -----------------------------------------------------------------------------------------------

function fillChooser() {
  const { l, source, unit } = now;
  options("layer", Array.from({ length: layerCount }, (_, n) => [n, String(n + 1)]), l);
  options("source", [...Array.from({ length: page.sizes[l] }, (_, i) => [i, unitLabel(l - 1, i)]), ["bias", "bias"]], source === null ? "bias" : source);
  options("unit", Array.from({ length: page.sizes[l + 1] }, (_, j) => [j, unitLabel(l, j)]), unit);
  byId("weight-head").textContent = `One ${source === null ? "bias" : "weight"}: ${parameterName(l, source, unit)}`;
  const place = source === null ? `b[${unit}] of b ${shapeText(page.sizes[l + 1])}` : `W[${source}, ${unit}] of W ${shapeText(page.sizes[l], page.sizes[l + 1])}`;
  const value = parameterNow(now.step, parameterIndex(l, source, unit), now.k, now.inside);
  const missing = now.inside ? "its values inside the loop are not on this page" : "not carried by this page";
  const said = Number.isFinite(value) ? `now ${show(value)}` : missing;
  const typed = `${l + 1}:${source === null ? "b" : source}:${unit}`;
  byId("weight-where").replaceChildren(`Layer ${l + 1}, ${place}: `,
    make("strong", { id: "weight-now", "data-value": value, text: said }), " · on the command line ", make("code", { text: `--weight ${typed}` }));
}

function options(id, entries, chosen) {
  const select = byId(id);
  const key = `${now.l}:${entries.length}`;
  if (select.dataset.key !== key) {
    select.replaceChildren(...entries.map(([value, text]) => make("option", { value, text })));
    select.dataset.key = key;
  }
  select.value = String(chosen);
}

function moveBy(key) {
  const rows = page.sizes[now.l] + 1; // the bias is below the last
  const row = now.source === null ? rows - 1 : now.source;
  const next = {
    ArrowUp: { source: (row + rows - 1) % rows }, ArrowDown: { source: (row + 1) % rows },
    ArrowLeft: { unit: Math.max(0, now.unit - 1) }, ArrowRight: { unit: Math.min(page.sizes[now.l + 1] - 1, now.unit + 1) },
    PageUp: { l: Math.max(0, now.l - 1) }, PageDown: { l: Math.min(layerCount - 1, now.l + 1) },
  }[key];
  if (next && next.source === rows - 1) next.source = null;
  return next;
}

function chooseSteepest() {
  const size = (index) => Math.abs(ofListed(now.step, "reduced", index));
  const steepest = (indices) => indices.reduce((best, index) => (size(index) > size(best) ? index : best));
  const weights = now.step.listed.filter((index) => parameterPlace(index).source !== null);
  choose(parameterPlace(steepest(weights.length ? weights : now.step.listed)));
}

// --- beginning -------------------------------------------------------------------------------------------------------

const LEGEND = [
  ["forward", "a", "going forward: inputs x and activations a"],
  ["backward", "δ", "going backward: δ = ∂L/∂z, how much the example's loss changes with the unit's z"],
  ["positive", "line", "a positive weight: a solid line, thicker the larger it is"],
  ["negative", "line", "a negative weight: a dashed line"],
  ["halo", "line", "the chosen weight"],
  ["cells", "cells", "a unit of a long layer: left a, right δ, darker the larger they are; a dot marks a negative one"],
  ["sum", "Σ", "the sum over the examples so far; as a field of cells orange above 0, violet below"],
  ["fields", "fields", "weights as a field of cells: green above 0, pink below, darker the larger they are"],
];

function drawLegend() {
  byId("legend").replaceChildren(...LEGEND.map(([kind, mark, words]) => {
    const svg = draw("svg", { viewBox: "0 0 34 16", width: 34, height: 16, "aria-hidden": "true", focusable: "false" });
    if (mark === "line") {
      if (kind === "halo") svg.append(draw("line", { x1: 2, y1: 8, x2: 32, y2: 8, class: "halo" }));
      svg.append(draw("line", { x1: 2, y1: 8, x2: 32, y2: 8, class: `weight ${kind === "halo" ? "positive" : kind}`, "stroke-width": 3 }));
    } else if (mark === "cells") {
      svg.append(draw("rect", { x: 3, y: 1, width: 14, height: 14, class: "cell forward", "fill-opacity": 0.8 }));
      svg.append(draw("rect", { x: 17, y: 1, width: 14, height: 14, class: "cell backward", "fill-opacity": 0.4 }));
      svg.append(draw("circle", { cx: 24, cy: 8, r: 2, class: "minus" }));
    } else if (mark === "fields") {
      svg.append(draw("rect", { x: 3, y: 1, width: 14, height: 14, class: "cell above" }));
      svg.append(draw("rect", { x: 17, y: 1, width: 14, height: 14, class: "cell below" }));
    } else svg.append(draw("text", { x: 17, y: 13, class: `${kind} number`, text: mark }));
    return make("li", {}, svg, make("span", { text: words }));
  }));
}

function drawNotes() {
  const notes = [...page.leftOut];
  const differences = page.steps.map((step) => step.difference).filter((difference) => difference !== null);
  if (differences.length) {
    notes.push(`These steps were replayed by the plain formulas. The largest difference of a parameter to what the engine made of them: ${show(Math.max(...differences), 3)}.`);
  }
  byId("notes").replaceChildren(...notes.map((text) => make("li", { text })));
}

function play() {
  if (timer) {
    clearInterval(timer);
    timer = null;
    drawControls();
    return;
  }
  const on = () => {
    if (now.k <= now.step.shown) goTo(now.stepNumber, now.k + 1);
    else if (now.stepNumber < page.steps.length - 1) goTo(now.stepNumber + 1, 0);
    else play();
  };
  timer = setInterval(on, 1300);
  if (now.k > now.step.shown && now.stepNumber === page.steps.length - 1) goTo(0, 0);
  else on();
}

function setTheme(dark) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(dark));
  if (now.k !== null) drawMatrices(now, choose);
}

function listen() {
  byId("step").addEventListener("input", (event) => goTo(Number(event.target.value), 0));
  byId("example").addEventListener("input", (event) => goTo(now.stepNumber, Number(event.target.value)));
  byId("step-back").addEventListener("click", () => goTo(now.stepNumber - 1, 0));
  byId("step-on").addEventListener("click", () => goTo(now.stepNumber + 1, 0));
  byId("example-back").addEventListener("click", () => goTo(now.stepNumber, now.k - 1));
  byId("example-on").addEventListener("click", () => goTo(now.stepNumber, now.k + 1));
  byId("play").addEventListener("click", play);
  byId("inside").addEventListener("change", (event) => { now.inside = event.target.checked; redraw(); });
  byId("layer").addEventListener("change", (event) => choose({ l: Number(event.target.value), source: 0, unit: 0 }));
  byId("source").addEventListener("change", ({ target }) => choose({ source: target.value === "bias" ? null : Number(target.value) }));
  byId("unit").addEventListener("change", (event) => choose({ unit: Number(event.target.value) }));
  byId("choose").addEventListener("submit", (event) => event.preventDefault());
  byId("steepest").addEventListener("click", chooseSteepest);
  byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme !== "dark"));
  byId("graph").addEventListener("keydown", (event) => {
    const place = moveBy(event.key);
    if (!place) return;
    event.preventDefault();
    choose(place);
  });
  new ResizeObserver(() => { drawGraph(now, choose); drawLedger(now); }).observe(byId("graph"));
}

async function begin() {
  const which = page.steps.length > 1 ? "" : `update ${page.steps[0].step + 1} · `; // of several, the slider tells
  const about = `${which}${page.network} · ${page.optimizer}, rate ${show(page.steps[0].rate)}`;
  byId("about").textContent = about;
  document.title = `backlit: ${page.network}`;
  if (typeof DecompressionStream === "undefined") {
    byId("said").textContent = "This browser is too old to open the page's numbers. Any browser of 2023 or later can.";
    return;
  }
  await openStore(page.store);
  document.querySelector("main").hidden = false;
  setTheme(window.matchMedia("(prefers-color-scheme: dark)").matches);
  drawLegend();
  drawNotes();
  listen();
  now.step = page.steps[0];
  now.k = 1;
  if (page.steps.length > 1) byId("title").textContent = `${page.steps.length} training steps, opened`;
  choose(parameterPlace(page.opening));
  document.documentElement.dataset.ready = "yes";
}

begin();
