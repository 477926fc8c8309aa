"use strict";
// The ledger of the chosen weight: what each example adds, the running total, the one division, the one update.

function drawLedger(now) {
  const { step, k, l, source, unit, inside } = now;
  const index = parameterIndex(l, source, unit);
  const narrow = window.innerWidth < 640; // a phone holds fewer digits, and no bars
  const digits = narrow ? 3 : 4;
  const bars = !narrow && !inside;
  const span = inside ? 1 : bars ? 4 : 3; // of the columns between the name of a row and the sum
  const number = (value, className) => numeric(value, className, digits);
  const done = k > step.shown;
  const entries = Array.from({ length: step.shown }, (_, n) => entryOf(step, l, source, unit, n));
  const most = strongest(entries);
  const before = parameterOf(step, index, false);
  const rows = [{ className: "still", cells: ["before", { text: "", span }, number(0, "sum"), ...(inside ? [number(before, "inside")] : [])] }];
  entries.forEach((entry, n) => {
    const seen = n < k;
    const factors = [
      number(source === null ? 1 : inputOf(step, l, n, source), "forward"), number(countedOf(step, l, n, unit), "backward"),
    ];
    const cells = [
      exampleHead(step, n, narrow), ...(inside ? [] : factors), number(entry, "entry"), ...(bars ? [{ node: bar(entry, most), className: "bar-cell" }] : []),
      seen ? number(runningSum(step, l, source, unit, n + 1), "sum") : { text: "", className: "sum" },
    ];
    if (inside) cells.push(seen ? number(parameterNow(step, index, n + 1, true), "inside") : { text: "", className: "inside" });
    rows.push({ cells, className: `example ${seen ? "" : "unseen"} ${n + 1 === k ? "current" : ""}` });
  });
  rows.push(...closing(now, index, done, number, span));
  const name = parameterName(l, source, unit);
  const factorHeads = [source === null ? "1" : inputName(l, source), `${step.weighted ? "s·" : ""}${nameOf("δ", l + 1, unit + 1)}`];
  const heads = [narrow ? "no." : "example", ...(inside ? [] : factorHeads), "adds", ...(bars ? [" "] : []), narrow ? "sum" : "sum so far"];
  if (inside) heads.push(`${name} inside`);
  const caption = `What each of the ${step.batch} examples adds to ∂L/∂${name}. The ${source === null ? "bias" : "weight"} itself stands still until the batch is through.`;
  byId("ledger").replaceChildren(table(caption, heads, rows, "ledger"));
}

function exampleHead(step, n, narrow) {
  const node = make("span", { text: String(n + 1) });
  if (step.rows && !narrow) node.append(make("small", { text: ` row ${step.rows[n]}` }));
  return { node };
}

function bar(value, most) {
  const svg = draw("svg", { class: "bar", viewBox: "-50 0 100 12", width: 64, height: 12, "aria-hidden": "true", focusable: "false" });
  const length = 48 * strength(value, most);
  svg.append(draw("line", { x1: 0, y1: 0, x2: 0, y2: 12, class: "axis" }));
  svg.append(draw("rect", { x: value < 0 ? -length : 0, y: 2, width: length, height: 8, class: value < 0 ? "less" : "more" }));
  return svg;
}

/** The rows below the examples: divided, with L2, times the rate, old value and new value. */
function closing(now, index, done, numeric, span) {
  const { step, l, source, unit, inside } = now;
  const wait = done ? "" : "unseen";
  const columns = inside ? 1 : 0;
  const row = (className, name, value, note = "") => ({
    className: `${className} ${wait}`,
    cells: [name, { text: note, span, className: "note-cell" }, done ? numeric(value, "sum") : { text: "", className: "sum" }, ...Array(columns).fill("")],
  });
  const rows = [];
  if (step.rest !== null) rows.push(row("", "others", ofParameter(step, "rest", index), `examples ${step.shown + 1} to ${step.batch} together`));
  const difference = ofListed(step, "numeric", index);
  const beside = Number.isFinite(difference) ? `by central differences: ${show(difference)}` : "";
  rows.push({ ...row("divided", step.division, reducedOf(step, l, source, unit), beside) });
  if (step.gradient !== null && source !== null) rows.push(row("", "with L2", gradientOf(step, l, source, unit), "l2·W is added, once"));
  const rule = step.plain ? `times −${show(step.rate)}` : page.optimizer;
  rows.push(row("", rule, ofParameter(step, "update", index), step.plain ? "against the gradient: the update" : "the optimizer's update"));
  const old = parameterOf(step, index, false);
  rows.push({ className: "still", cells: ["old value", { text: "stands still", span, className: "note-cell" }, numeric(old, "sum"), ...Array(columns).fill("")] });
  const fresh = row("moved", "new value", parameterOf(step, index, true), "moved once");
  if (inside && done) fresh.cells[fresh.cells.length - 1] = numeric(ofListed(step, "insideEnd", index), "inside");
  rows.push(fresh);
  if (inside && done) {
    const gap = row("gap", "difference", NaN, "inside the loop, less the one update");
    gap.cells[2] = "";
    gap.cells[3] = numeric(ofListed(step, "insideGap", index), "inside");
    rows.push(gap);
  }
  return rows;
}
