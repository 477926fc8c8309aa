"use strict";
// The whole layer of the chosen weight: the sum that grows beside the parameters that stand still; and tables of the example.

const ENTRIES = 80; // up to so many weights of a layer are written out; larger layers show what leads to the chosen unit

function drawMatrices(now, choose) {
  const { step, l } = now;
  const [fanIn, fanOut] = [page.sizes[l], page.sizes[l + 1]];
  const small = (fanIn + 1) * fanOut <= ENTRIES && fanOut <= 12;
  const seen = Math.min(now.k, step.shown);
  const sum = (i, j) => (now.k > step.shown ? totalSum(step, l, i, j) : runningSum(step, l, i, j, seen));
  const value = (i, j) => {
    const index = parameterIndex(l, i, j);
    return parameterNow(step, index, now.k, now.inside && listedPlace(step, index) >= 0);
  };
  const moving = now.inside ? "inside the loop they move with every example" : now.k > step.shown ? "moved, once" : "standing still";
  const parts = [
    { head: `The sum of ∂L/∂W⁽${raised(l + 1)}⁾ and ∂L/∂b⁽${raised(l + 1)}⁾`, note: now.k > step.shown ? "complete" : `after ${seen} of ${step.batch} examples`, read: sum, kind: "backward" },
    { head: `W⁽${raised(l + 1)}⁾ and b⁽${raised(l + 1)}⁾`, note: moving, read: value, kind: "parameter" },
  ];
  const shape = `${shapeText(fanIn, fanOut)} and ${shapeText(fanOut)}`;
  byId("matrices").replaceChildren(...parts.map((part) => (small ? written(part, shape, l, now, choose) : field(part, l, now))));
}

function written({ head, note, read, kind }, shape, l, now, choose) {
  const [fanIn, fanOut] = [page.sizes[l], page.sizes[l + 1]];
  const sources = [...Array(fanIn).keys(), null];
  const most = strongest(sources.flatMap((i) => Array.from({ length: fanOut }, (_, j) => read(i, j))));
  const cell = (i, j) => {
    const value = read(i, j);
    const chosen = now.source === i && now.unit === j;
    const button = make("button", {
      type: "button", class: `entry ${chosen ? "chosen" : ""}`, text: show(value, 4), "aria-pressed": String(chosen),
      "aria-label": `${parameterName(l, i, j)}: ${show(value, 4)}`, onclick: () => choose({ l, source: i, unit: j }),
    });
    button.style.setProperty("--strength", String(strength(value, most)));
    return { node: button, value, className: `${kind} ${value < 0 ? "less" : ""}` };
  };
  const rows = sources.map((i) => ({ cells: [i === null ? "bias" : unitLabel(l - 1, i), ...Array.from({ length: fanOut }, (_, j) => cell(i, j))] }));
  const caption = [make("strong", { text: head }), ` ${shape}, ${note}`];
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": head },
    table(caption, ["", ...Array.from({ length: fanOut }, (_, j) => unitLabel(l, j))], rows, `matrix ${kind}`));
}

/** All that leads to the chosen unit, as a field of cells or as a picture. */
function field({ head, note, read, kind }, l, now) {
  const fanIn = page.sizes[l];
  const across = l === 0 && page.image ? page.image[1] : Math.min(fanIn, 32);
  const down = Math.ceil(fanIn / across);
  const values = Array.from({ length: fanIn }, (_, i) => read(i, now.unit));
  const most = strongest(values);
  const size = Math.max(4, Math.min(20, Math.floor(280 / across)));
  const to = unitLabel(l, now.unit);
  const canvas = make("canvas", {
    width: across * size, height: down * size, role: "img",
    "aria-label": `${head}, the ${fanIn} numbers that lead to ${to}; the largest size is ${show(most, 3)}`,
  });
  const style = getComputedStyle(document.documentElement);
  const [more, less] = kind === "backward" ? ["--backward", "--sum"] : ["--positive", "--negative"];
  const pen = canvas.getContext("2d");
  values.forEach((value, i) => {
    pen.globalAlpha = strength(value, most);
    pen.fillStyle = style.getPropertyValue(value < 0 ? less : more);
    pen.fillRect((i % across) * size, Math.floor(i / across) * size, size, size);
  });
  const words = `${shapeText(page.sizes[l], page.sizes[l + 1])}: the column that leads to ${to}, ${note}. Darkest: ${show(most, 3)}.`;
  return make("figure", {}, canvas, make("figcaption", {}, make("strong", { text: head }), ` ${words}`));
}

// --- all numbers of the example --------------------------------------------------------------------------------------

const ROWS = 20;

function drawTables(now) {
  const k = now.k - 1;
  const box = byId("tables");
  if (k < 0 || k >= now.step.shown) {
    box.replaceChildren(make("p", { class: "hint", text: "Move to an example to see its numbers." }));
    return;
  }
  const made = [];
  made.push(unitTable(`Inputs x, row ${now.k} of ${shapeText(now.step.batch, page.sizes[0])}`, page.sizes[0], -1, ["x"], (i) => [at(now.step.x, k, i)]));
  for (let l = 0; l < layerCount; l++) {
    const layer = layerOf(now.step, l);
    const top = l === layerCount - 1;
    const heads = ["z", "a", "δ = ∂L/∂z", ...(top ? ["target y"] : [])];
    const read = (i) => [at(layer.z, k, i), at(layer.a, k, i), at(layer.delta, k, i), ...(top ? [at(now.step.y, k, i)] : [])];
    made.push(unitTable(`Layer ${l + 1}, row ${now.k} of ${shapeText(now.step.batch, page.sizes[l + 1])}`, page.sizes[l + 1], l, heads, read));
  }
  box.replaceChildren(...made);
}

function unitTable(caption, count, l, heads, read) {
  const kinds = { x: "forward", z: "forward", a: "forward", "δ = ∂L/∂z": "backward" };
  const order = Array.from({ length: count }, (_, i) => i);
  const size = (i) => Math.abs(read(i)[Math.min(heads.length - 1, 2)]);
  if (count > ROWS) order.sort((a, b) => size(b) - size(a));
  const rows = order.slice(0, ROWS).map((i) => ({ cells: [unitLabel(l, i), ...read(i).map((value, n) => numeric(value, kinds[heads[n]]))] }));
  const fold = count > ROWS ? `: the ${ROWS} of ${count} with the largest ${heads[Math.min(heads.length - 1, 2)]}` : "";
  return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, table(caption + fold, ["", ...heads], rows));
}
