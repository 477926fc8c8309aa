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

function parameterOf(step, index, after) {
  const whole = after ? step.after : step.before;
  return whole === null ? ofListed(step, after ? "listedAfter" : "listedBefore", index) : at(whole, index);
}

/** The parameter as it stands after k examples: still as before; inside the loop it has moved k times. */
function parameterNow(step, index, k, inside) {
  const done = k > step.shown;
  if (inside) return done ? ofListed(step, "insideEnd", index) : ofListed(step, "inside", index, k);
  return parameterOf(step, index, done);
}

// --- the arithmetic of this page: a product, and a running sum ---------------------------------------------------

/** What example k adds to the gradient of a parameter: input times delta; for a bias the delta. */
const entryOf = (step, l, source, unit, k) =>
  source === null ? countedOf(step, l, k, unit) : inputOf(step, l, k, source) * countedOf(step, l, k, unit);

/** The sum of the first k entries. */
function runningSum(step, l, source, unit, k) {
  let sum = 0;
  for (let n = 0; n < k; n++) sum += entryOf(step, l, source, unit, n);
  return sum;
}
