"use strict";
// Small things that every part uses: elements, numbers as text, names of quantities. Text is set as text, never as markup.

function make(tag, attributes = {}, ...children) {
  return fit(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fit(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fit(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

const byId = (id) => document.getElementById(id);

/** A number in so many significant digits, as printf's %g writes it, with a true minus. */
function show(value, digits = 6) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  let text;
  if (power < -5 || power >= digits) text = `${Number(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  else text = String(Number(value.toPrecision(digits)));
  return text.replace(/-/g, "−");
}

// --- names: a⁽²⁾₁, counted from 1 as people do ----------------------------------------------------------------------

const raised = (n) => String(n).replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);
const lowered = (n) => String(n).replace(/\d/g, (d) => "₀₁₂₃₄₅₆₇₈₉"[d]);
const places = (...at) => lowered(at.join(Math.max(...at) < 10 ? "" : ","));
const nameOf = (letter, layer, ...at) => `${letter}⁽${raised(layer)}⁾${places(...at)}`;
const inputName = (l, i) => (l === 0 ? `x${places(i + 1)}` : nameOf("a", l, i + 1));
const parameterName = (l, source, unit) =>
  source === null ? nameOf("b", l + 1, unit + 1) : nameOf("w", l + 1, source + 1, unit + 1);

/** What a unit is called: a column, a class, or its number. Layer -1 is the inputs. */
function unitLabel(l, i) {
  if (l < 0) return page.columns ? page.columns[i] : `input ${i + 1}`;
  if (l === layerCount - 1) return page.outputs ? page.outputs[i] : `output ${i + 1}`;
  return `unit ${i + 1}`;
}

const shapeText = (...sizes) => `(${sizes.join(", ")}${sizes.length === 1 ? "," : ""})`;

/** The formula of a derivative with its numbers; a negative one that follows an operator stands in brackets. */
function filled(wording, values) {
  const template = wording.otherwise && !(values.z > 0) ? wording.otherwise : wording.filled;
  return template.replace(/(− |·|\+ )?\{(\w+)\}(²)?/g, (_, before = "", name, square = "") => {
    const text = show(values[name]);
    return before + (text.startsWith("−") && (before || square) ? `(${text})` : text) + square;
  });
}

/** A table with a caption and heads; rows are lists of cells: texts, or {text, value, className}. */
function table(caption, heads, rows, className = "") {
  const cell = (content, n) => {
    const record = typeof content === "object" ? content : { text: content };
    const tag = n === 0 ? "th" : "td";
    const element = make(tag, { scope: n === 0 ? "row" : null, class: record.className, "data-value": record.value });
    element.append(record.node || document.createTextNode(record.text));
    if (record.span) element.colSpan = record.span;
    return element;
  };
  return make("table", { class: className },
    make("caption", {}, ...[].concat(caption)),
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", text: head })))),
    make("tbody", {}, ...rows.map((row) => make("tr", { class: row.className }, ...row.cells.map(cell)))));
}

const numeric = (value, className, digits) => ({ text: show(value, digits), value, className });

/** The largest finite size among the values; 1 if all are 0. */
function strongest(values) {
  let most = 0;
  for (const value of values) if (Number.isFinite(value) && Math.abs(value) > most) most = Math.abs(value);
  return most || 1;
}

/** How dark or long a mark is: 0 to 1 of the largest size; 0 for what is not a finite number. */
const strength = (value, most) => (Number.isFinite(value) ? Math.abs(value) / most : 0);
