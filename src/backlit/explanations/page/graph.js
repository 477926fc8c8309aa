"use strict";
// The network as a graph: units in columns, weights as lines. Long layers are fields of cells, pictures are pictures.

const FEW = 12; // up to so many units of a layer are drawn with their numbers
const LINES = 64; // up to so many lines between two layers, all are drawn; otherwise those on the way through the chosen weight
const STRONGEST = 30;

function columnsOf(width) {
  const narrow = width < 560;
  const room = (width - 8 - (page.sizes.length - 1) * 40) / page.sizes.length;
  const nodeWidth = Math.max(74, Math.min(96, room));
  const columns = page.sizes.map((count, c) => {
    if (c === 0 && page.image) return cells(count, page.image[1], narrow ? 112 / page.image[1] : 224 / page.image[1], true, 1);
    if (count <= FEW) return { count, kind: "nodes", w: nodeWidth, h: 50, pitch: 64, height: count * 64 };
    const rows = Math.min(count, Math.max(20, Math.ceil(Math.sqrt(count))));
    const [across, parts] = [Math.ceil(count / rows), c === 0 ? 1 : 2];
    return cells(count, across, Math.max(3, Math.min(18, 400 / rows, 240 / (across * parts))), false, parts);
  });
  const needed = columns.reduce((sum, column) => sum + column.w, 0) + (columns.length - 1) * (narrow ? 30 : 40);
  const total = Math.max(width, needed);
  const height = Math.max(...columns.map((column) => column.height)) + 64;
  const gap = columns.length > 1 ? (total - columns.reduce((sum, column) => sum + column.w, 0) - 8) / (columns.length - 1) : 0;
  let x = 4;
  for (const column of columns) {
    column.x = x;
    column.y = 52 + (height - 64 - column.height) / 2;
    x += column.w + gap;
  }
  return { columns, width: total, height };
}

/** A field of cells, row by row; each shows one number (a), or two side by side (a and δ). */
function cells(count, across, size, picture, parts) {
  const wide = size * parts + (picture ? 0 : 2);
  const down = Math.ceil(count / across);
  return { count, kind: "cells", across, size, wide, parts, picture, w: across * wide, height: down * (size + (picture ? 0 : 2)) };
}

function spot(column, i) {
  if (column.kind === "nodes") {
    const y = column.y + i * column.pitch + column.pitch / 2;
    return { left: column.x, right: column.x + column.w, y, top: y - column.h / 2 };
  }
  const pitch = column.size + (column.picture ? 0 : 2);
  const left = column.x + (i % column.across) * column.wide;
  const top = column.y + Math.floor(i / column.across) * pitch;
  const ends = column.picture ? { left, right: left + column.wide / 2 } : { left: column.x, right: column.x + column.w };
  return { ...ends, y: top + column.size / 2, top, corner: left };
}

function drawGraph(now, choose) {
  const box = byId("graph");
  const { columns, width, height } = columnsOf(box.clientWidth || 700);
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": graphSentence(now) });
  for (let l = 0; l < layerCount; l++) drawLines(svg, columns, l, now, choose);
  columns.forEach((column, c) => drawColumn(svg, column, c, now, choose));
  box.replaceChildren(svg);
}

function graphSentence(now) {
  const layers = page.sizes.map((count, c) => `${count} ${c === 0 ? "inputs" : c === layerCount ? "outputs" : "units"}`);
  return `${layers.join(", then ")}. Chosen: ${placeSentence(now)}.`;
}

function placeSentence({ l, source, unit }) {
  const to = `${unitLabel(l, unit)}${l < layerCount - 1 ? ` of layer ${l + 1}` : ""}`;
  if (source === null) return `${parameterName(l, source, unit)}, the bias of ${to}`;
  return `${parameterName(l, source, unit)}, from ${unitLabel(l - 1, source)}${l > 0 ? ` of layer ${l}` : ""} to ${to}`;
}

// --- lines ----------------------------------------------------------------------------------------------------------

function drawLines(svg, columns, l, now, choose) {
  const [below, above] = [columns[l], columns[l + 1]];
  const group = draw("g", { class: "lines" });
  const pairs = linesOf(l, now);
  const value = (pair) => parameterNow(now.step, parameterIndex(l, ...pair), now.k, now.inside && onList(now, l, pair));
  const most = strongest(pairs.map(value));
  const all = pairs.map((pair) => ({ pair, w: value(pair) }));
  const chosen = (pair) => now.l === l && pair[0] === now.source && pair[1] === now.unit;
  for (const { pair, w } of all.sort((a, b) => chosen(a.pair) - chosen(b.pair))) {
    const [from, to] = [spot(below, pair[0]), spot(above, pair[1])];
    const ends = { x1: from.right, y1: from.y, x2: to.left, y2: to.y };
    const sign = w < 0 ? "negative" : "positive";
    const moved = now.k > now.step.shown || (now.inside && now.k > 0) ? " moved" : "";
    if (chosen(pair)) group.append(draw("line", { ...ends, class: "halo" }));
    group.append(draw("line", { ...ends, class: `weight ${sign}${moved}`, "stroke-width": 0.8 + 4.2 * strength(w, most) }));
    group.append(draw("line", {
      ...ends, class: "hit", "data-edge": `${l}:${pair[0]}:${pair[1]}`,
      onclick: () => choose({ l, source: pair[0], unit: pair[1] }),
    }, draw("title", { text: `${parameterName(l, ...pair)} = ${show(w)}` })));
  }
  svg.append(group);
}

const onList = (now, l, pair) => listedPlace(now.step, parameterIndex(l, ...pair)) >= 0;

function linesOf(l, now) {
  const [fanIn, fanOut] = [page.sizes[l], page.sizes[l + 1]];
  const pairs = [];
  if (fanIn * fanOut <= LINES) {
    for (let i = 0; i < fanIn; i++) for (let j = 0; j < fanOut; j++) pairs.push([i, j]);
    return pairs;
  }
  // Above the chosen weight: the paths on which the loss comes back to it. Below and beside it: what leads there.
  if (l === now.l + 1) for (let j = 0; j < fanOut; j++) pairs.push([now.unit, j]);
  else if (l === now.l) for (let i = 0; i < fanIn; i++) pairs.push([i, now.unit]);
  else if (l === now.l - 1 && now.source !== null) for (let i = 0; i < fanIn; i++) pairs.push([i, now.source]);
  const example = Math.min(Math.max(now.k - 1, 0), now.step.shown - 1);
  const strengths = new Map(pairs.map((pair) => [pair,
    Math.abs(parameterOf(now.step, parameterIndex(l, ...pair), false) * inputOf(now.step, l, example, pair[0])) || 0]));
  pairs.sort((a, b) => strengths.get(b) - strengths.get(a));
  const kept = pairs.slice(0, STRONGEST);
  if (l === now.l && now.source !== null && !kept.some(([i]) => i === now.source)) kept.push([now.source, now.unit]);
  return kept;
}

// --- units ----------------------------------------------------------------------------------------------------------

function drawColumn(svg, column, c, now, choose) {
  const l = c - 1;
  const group = draw("g", { class: "column" });
  const title = c === 0 ? "inputs x" : c === layerCount ? "output" : `layer ${c}`;
  const kind = c === 0 ? "" : `${page.activations[l].replace("_", " ")} `;
  // The first and the last heading stay inside the picture.
  const [x, anchor] = c === 0 ? [column.x, "start"] : c === layerCount ? [column.x + column.w, "end"] : [column.x + column.w / 2, "middle"];
  group.append(draw("text", { x, y: 18, class: `head ${anchor}`, text: title }));
  group.append(draw("text", { x, y: 34, class: `shape ${anchor}`, text: kind + shapeText(now.step.batch, page.sizes[c]) }));
  const example = now.k >= 1 && now.k <= now.step.shown ? now.k - 1 : null;
  const read = (number, i) => (example === null ? NaN : at(number, example, i));
  const forward = Array.from({ length: column.count }, (_, i) => read(c === 0 ? now.step.x : layerOf(now.step, l).a, i));
  const backward = c === 0 ? null : Array.from({ length: column.count }, (_, i) => read(layerOf(now.step, l).delta, i));
  const scale = { least: Math.min(0, ...forward.filter(Number.isFinite)), forward: strongest(forward), backward: backward && strongest(backward) };
  for (let i = 0; i < column.count; i++) {
    const pick = () => choose(c === 0 ? { l: 0, source: i } : { l, unit: i });
    const chosen = (l === now.l && i === now.unit) || (l === now.l - 1 && i === now.source);
    const unit = draw("g", { class: `unit${chosen ? " chosen" : ""}`, onclick: pick, "data-unit": `${c}:${i}` });
    if (column.kind === "nodes") drawNode(unit, column, i, c, forward[i], backward && backward[i]);
    else if (column.picture) drawPixel(unit, column, i, c, forward[i], scale);
    else drawCell(unit, column, i, c, forward[i], backward && backward[i], scale);
    group.append(unit);
  }
  if (column.picture) group.append(draw("rect", { x: column.x, y: column.y, width: column.w, height: column.height, class: "frame" }));
  svg.append(group);
}

function drawNode(unit, column, i, c, a, delta) {
  const { left, y, top } = spot(column, i);
  const label = unitLabel(c - 1, i);
  unit.append(draw("rect", { x: left, y: top, width: column.w, height: column.h, rx: 9, class: "node" }));
  const line = (dy, className, text) => draw("text", { x: left + column.w / 2, y: y + dy, class: className, text });
  const most = Math.max(4, Math.floor(column.w / 7.5));
  unit.append(line(c === 0 ? -5 : -11, "name", label.length > most ? `${label.slice(0, most - 1)}…` : label));
  unit.append(line(c === 0 ? 12 : 4, "forward number", `${c === 0 ? "" : "a "}${show(a, 3)}`));
  if (c > 0) unit.append(line(19, "backward number", `δ ${show(delta, 3)}`));
  unit.append(draw("title", { text: unitSentence(label, c, a, delta) }));
}

function drawCell(unit, column, i, c, a, delta, scale) {
  const { corner, top } = spot(column, i);
  const part = (n, value, kind) => {
    const x = corner + n * column.size;
    unit.append(draw("rect", {
      x, y: top, width: column.size, height: column.size, class: `cell ${kind}`,
      "fill-opacity": strength(value, scale[kind]),
    }));
    if (value < 0) unit.append(draw("circle", { cx: x + column.size / 2, cy: top + column.size / 2, r: column.size / 7, class: "minus" }));
  };
  part(0, a, "forward");
  if (column.parts === 2) part(1, delta, "backward");
  unit.append(draw("title", { text: unitSentence(unitLabel(c - 1, i), c, a, delta) }));
}

/** Pictures are shown from white for the smallest value to black for the largest. */
function drawPixel(unit, column, i, c, a, { least, forward }) {
  const { corner, top } = spot(column, i);
  unit.append(draw("rect", {
    x: corner, y: top, width: column.size, height: column.size, class: "cell pixel forward",
    "fill-opacity": Number.isFinite(a) ? (a - least) / (forward - least) : 0,
  }, draw("title", { text: unitSentence(unitLabel(c - 1, i), c, a) })));
}

function unitSentence(label, c, a, delta) {
  return c === 0 ? `${label}: ${show(a)}` : `${label}: a = ${show(a)}, δ = ${show(delta)}`;
}
