"use strict";
// The chain of factors from the loss down to the chosen weight, for the example that has just been through.

function drawFactors(now) {
  const box = byId("factors");
  if (now.k < 1 || now.k > now.step.shown) {
    byId("chain-head").textContent = "The chain of factors";
    const text = now.k < 1
      ? "No example has been through yet. Move to the first one, and its factors appear here."
      : "The batch is through. Move back to one of its examples to see its factors.";
    box.replaceChildren(make("p", { class: "hint", text }));
    return;
  }
  const k = now.k - 1;
  const { l, source, unit } = now;
  const name = parameterName(l, source, unit);
  byId("chain-head").textContent = `The chain of factors, for example ${now.k} of ${now.step.batch}`;
  const factors = [...deltaFactors(now, k, l, unit), lastFactor(now, k, l, source, unit)];
  const product = source === null ? deltaOf(now.step, l, k, unit) : inputOf(now.step, l, k, source) * deltaOf(now.step, l, k, unit);
  const list = make("ol", { class: "chain" });
  for (const factor of factors) list.append(card(factor, now));
  const result = make("p", { class: "result", "data-value": product },
    fraction("L", name), ` = ${factors.map((factor) => signed(factor.value)).join(" · ")} = `, make("strong", { text: show(product) }));
  box.replaceChildren(list, result);
}

const signed = (value, n) => (value < 0 && n !== 0 ? `(${show(value)})` : show(value));

const fraction = (top, bottom) => make("span", { class: "fraction" },
  make("span", { class: "top", text: `∂${top}` }), make("span", { class: "bar", text: "/" }), make("span", { class: "bottom", text: `∂${bottom}` }));

function card(factor, now) {
  const letters = factor.filled && factor.filled !== factor.letters && factor.filled !== show(factor.value)
    ? `${factor.letters} = ${factor.filled}` : factor.letters;
  const item = make("li", { class: factor.kind, "data-value": factor.value, "data-symbol": `∂${factor.top}/∂${factor.bottom}` },
    fraction(factor.top, factor.bottom),
    make("span", { class: "formula", text: letters }),
    make("span", { class: "value", text: `= ${show(factor.value)}` }),
    make("span", { class: "words", text: factor.words }));
  if (factor.paths) item.append(opened(factor, now));
  return item;
}

// --- the same chain that bl.explain writes ---------------------------------------------------------------------------

function deltaFactors(now, k, l, unit) {
  const layer = layerOf(now.step, l);
  if (l === layerCount - 1) {
    if (page.joined) return [lossFactor(now, k, unit)];
    if (page.activations[l] === "softmax") {
      const { letters, words } = page.wording.softmax;
      return [{ kind: "backward", top: "L", bottom: nameOf("z", l + 1, unit + 1), letters, words, value: at(layer.delta, k, unit) }];
    }
    return [lossFactor(now, k, unit), ...slopeFactor(now, k, l, unit)];
  }
  if (page.sizes[l + 2] === 1) {
    const bottom = nameOf("a", l + 1, unit + 1);
    const weight = {
      kind: "parameter", top: nameOf("z", l + 2, 1), bottom, letters: parameterName(l + 1, unit, 0),
      value: parameterOf(now.step, parameterIndex(l + 1, unit, 0), false),
      words: "z above is a weighted sum, so it changes with this activation by the weight between them",
    };
    return [...deltaFactors(now, k, l + 1, 0), weight, ...slopeFactor(now, k, l, unit)];
  }
  const gathered = {
    kind: "backward", top: "L", bottom: nameOf("a", l + 1, unit + 1), letters: page.wording.above.letters,
    words: page.wording.above.words, value: at(layer.up, k, unit), paths: { k, l, unit },
  };
  return [gathered, ...slopeFactor(now, k, l, unit)];
}

function lossFactor(now, k, unit) {
  const l = layerCount - 1;
  const layer = layerOf(now.step, l);
  const values = { a: at(layer.a, k, unit), y: at(now.step.y, k, unit), n: page.sizes[l + 1], Y: at(now.step.ySum, k) };
  return {
    kind: "backward", top: "L", bottom: nameOf(page.joined ? "z" : "a", l + 1, unit + 1), letters: page.wording.loss.letters,
    filled: filled(page.wording.loss, values), words: page.wording.loss.words, value: at(layer.up, k, unit),
  };
}

function slopeFactor(now, k, l, unit) {
  if (page.activations[l] === "linear") return [];
  const layer = layerOf(now.step, l);
  const wording = page.wording.slopes[l];
  const values = { z: at(layer.z, k, unit), a: at(layer.a, k, unit) };
  return [{
    kind: "slope", top: nameOf("a", l + 1, unit + 1), bottom: nameOf("z", l + 1, unit + 1), letters: wording.letters,
    filled: filled(wording, values), words: wording.words, value: at(layer.slope, k, unit),
  }];
}

function lastFactor(now, k, l, source, unit) {
  const top = nameOf("z", l + 1, unit + 1);
  if (source === null) {
    return { kind: "forward", top, bottom: parameterName(l, null, unit), letters: "1", value: 1, words: "a bias is added as it is: z changes as it does" };
  }
  return {
    kind: "forward", top, bottom: parameterName(l, source, unit), letters: inputName(l, source), value: inputOf(now.step, l, k, source),
    words: "the weight multiplies what comes in through it, so z changes with it by that much",
  };
}

/** The paths that a gathered factor adds up, each with a way to the weight it runs through. */
function opened({ paths: { k, l, unit } }, now) {
  const count = page.sizes[l + 2];
  const order = Array.from({ length: count }, (_, j) => j);
  const weight = (j) => parameterOf(now.step, parameterIndex(l + 1, unit, j), false);
  const share = (j) => deltaOf(now.step, l + 1, k, j) * weight(j);
  order.sort((a, b) => Math.abs(share(b) || 0) - Math.abs(share(a) || 0));
  const shown = order.slice(0, 20);
  const rows = shown.map((j) => ({ cells: [
    { node: make("button", { type: "button", class: "link", text: unitLabel(l + 1, j), onclick: () => now.choose({ l: l + 1, source: unit, unit: j }) }) },
    numeric(deltaOf(now.step, l + 1, k, j), "backward"),
    numeric(weight(j), "parameter"),
    numeric(share(j)),
  ] }));
  const more = count > shown.length ? ` The ${shown.length} with the largest shares are shown.` : "";
  return make("details", {},
    make("summary", { text: `Open the ${count} paths` }),
    table(`Each unit above sends back its δ through the weight that leads to it.${more} A name opens that weight.`,
      ["to", "δ", "weight", "δ·weight"], rows));
}
