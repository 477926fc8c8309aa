"use strict";
// What the page carries, and how its arrays are reached. The only arithmetic of the page is at the end of this file.

const page = JSON.parse(document.getElementById("data").textContent);
const layerCount = page.sizes.length - 1;
let arrays = []; // of {values, shape}, by number

async function openStore(packed) {
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const width = packed.bytes;
  const count = planes.length / width;
  const plain = new Uint8Array(planes.length);
  for (let plane = 0; plane < width; plane++) {
    for (let i = plane, from = plane * count; i < plain.length; i += width, from++) plain[i] = planes[from];
  }
  let start = 0;
  const pieces = packed.shapes.map((shape) => {
    const size = shape.reduce((a, b) => a * b, 1) * width;
    start += size;
    return plain.subarray(start - size, start);
  });
  // An array that hardly differs from an earlier one is kept as the difference of their bits.
  packed.like.forEach((like, n) => {
    if (like === null) return;
    const [piece, other] = [pieces[n], pieces[like]];
    for (let i = 0; i < piece.length; i++) piece[i] ^= other[i];
  });
  const Kind = width === 8 ? Float64Array : Float32Array;
  arrays = pieces.map((piece, n) => ({ values: new Kind(piece.slice().buffer), shape: packed.shapes[n] }));
}

// --- where a parameter is in the flat vector: of each layer W row by row, then b --------------------------------

const starts = [0];
for (let l = 0; l < layerCount; l++) starts.push(starts[l] + (page.sizes[l] + 1) * page.sizes[l + 1]);

const parameterIndex = (l, source, unit) =>
  starts[l] + (source === null ? page.sizes[l] : source) * page.sizes[l + 1] + unit;

function parameterPlace(index) {
  const l = starts.findIndex((start, n) => index < starts[n + 1]);
  const row = Math.floor((index - starts[l]) / page.sizes[l + 1]);
  return { l, source: row === page.sizes[l] ? null : row, unit: (index - starts[l]) % page.sizes[l + 1] };
}

// --- reading numbers; what the page doesn't carry is NaN ---------------------------------------------------------

const at = (number, ...places) => {
  if (number === null || number === undefined) return NaN;
  const { values, shape } = arrays[number];
  return values[places.reduce((index, place, n) => index * shape[n] + place, 0)];
};

const layerOf = (step, l) => step.layers[l];
const inputOf = (step, l, k, i) => (l === 0 ? at(step.x, k, i) : at(layerOf(step, l - 1).a, k, i));
const deltaOf = (step, l, k, j) => at(layerOf(step, l).delta, k, j);
const countedOf = (step, l, k, j) => at(layerOf(step, l)[step.weighted ? "counted" : "delta"], k, j);

function listedPlace(step, index) {
  if (!step.places) step.places = new Map(step.listed.map((parameter, n) => [parameter, n]));
  return step.places.has(index) ? step.places.get(index) : -1;
}

function ofListed(step, name, index, row) {
  const place = listedPlace(step, index);
  if (place < 0 || step[name] === null) return NaN;
  return row === undefined ? at(step[name], place) : at(step[name], row, place);
}

// --- the arithmetic of this page: products of two numbers that it carries, and their running sums ----------------

/** What example k adds to the gradient of a parameter: input times delta; for a bias the delta. */
const entryOf = (step, l, source, unit, k) =>
  source === null ? countedOf(step, l, k, unit) : inputOf(step, l, k, source) * countedOf(step, l, k, unit);

/** The sum of the first k entries. */
function runningSum(step, l, source, unit, k) {
  let sum = 0;
  for (let n = 0; n < k; n++) sum += entryOf(step, l, source, unit, n);
  return sum;
}

/** The sum over the whole batch; of more examples than are shown, the rest is carried. */
function totalSum(step, l, source, unit) {
  const sum = runningSum(step, l, source, unit, step.shown);
  return step.rest === null ? sum : sum + ofParameter(step, "rest", parameterIndex(l, source, unit));
}

/** The sum divided, once; carried for the listed parameters. */
function reducedOf(step, l, source, unit) {
  const carried = ofListed(step, "reduced", parameterIndex(l, source, unit));
  return Number.isFinite(carried) ? carried : totalSum(step, l, source, unit) * step.factor;
}

/** What the optimizer is given: with L2, l2·W is added. */
function gradientOf(step, l, source, unit) {
  const index = parameterIndex(l, source, unit);
  const carried = ofListed(step, "gradient", index);
  if (Number.isFinite(carried)) return carried;
  return reducedOf(step, l, source, unit) + (source === null ? 0 : step.l2 * parameterOf(step, index, false));
}

/** A parameter as the step found it, and as it left it: before plus the update, in the precision of the run. */
function parameterOf(step, index, after) {
  const before = ofParameter(step, "before", index);
  if (!after) return before;
  const sum = before + ofParameter(step, "update", index);
  return step.single ? Math.fround(sum) : sum;
}

/** "before", "update" or "rest" of a parameter: of all in a whole step, otherwise of the listed ones. */
function ofParameter(step, name, index) {
  if (!step.whole) return ofListed(step, name, index);
  if (name === "before" && step.before === null) return parameterOf(page.steps[page.steps.indexOf(step) - 1], index, true);
  return at(step[name], index);
}

/** The parameter as it stands after k examples: still as before; inside the loop it has moved k times. */
function parameterNow(step, index, k, inside) {
  const done = k > step.shown;
  if (inside) return done ? ofListed(step, "insideEnd", index) : ofListed(step, "inside", index, k);
  return parameterOf(step, index, done);
}
