"""A Trace as tables: forward, back, the sum that grows, the one update. Long layers are folded, largest first.

The tables are plain texts; ``rich_tables`` lays them out for a terminal, ``html_tables`` for a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import chain
from ..optimizers import SGD, AdamW
from ..state import Floats
from ..trace import Trace
from .factors import explain
from .wording import describe, division, number, parameter_at, weight_name

if TYPE_CHECKING:
    from rich.console import Group

COLUMNS = 5  # units or parameters side by side: what 80 characters hold
EXAMPLES = 6  # examples shown one by one
DIGITS = 4
STYLES = {"forward": "blue", "backward": "dark_orange3", "sum": "bold", "still": "dim", "moved": "bold green"}
COLORS = {"forward": "#2563eb", "backward": "#c2570c", "sum": "", "still": "#888", "moved": "#15803d"}


class Row(NamedTuple):
    """A line of numbers: its name, what it belongs to (a key of STYLES), its cells."""

    name: str
    kind: str
    cells: Sequence[str]


class Table(NamedTuple):
    """A title, the heads of the columns after the first, and the rows."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Row]


def tables(trace: Trace) -> list[Table]:
    """All the tables of a step, from its inputs to the parameters after."""
    layers = [_layer_table(trace, number) for number in range(1, len(trace.layers) + 1)]
    return [_inputs_table(trace), *layers, _loss_table(trace), _sum_table(trace)]


def headline(trace: Trace) -> str:
    """What was trained, how, and where in the run this step is."""
    return (
        f"update {trace.before.step + 1} (step {trace.before.step}) of {describe(trace.network)} · batch of "
        f"{len(trace.x)} · {type(trace.optimizer).__name__}, rate {number(trace.rate)}"
    )


def shown_examples(count: int) -> list[int]:
    """The first ones and the last one of a long batch, all of a short one."""
    return list(range(count)) if count <= EXAMPLES else [*range(EXAMPLES - 3), count - 1]


def largest(sizes: Floats, keep: int) -> list[int]:
    """All places in order if there are few, otherwise those of the largest sizes, largest first."""
    if len(sizes) <= keep:
        return list(range(len(sizes)))
    return [int(place) for place in np.argsort(-sizes, kind="stable")[:keep]]


def _folded(what: str, total: int, shown: int) -> str:
    return f" · the {shown} of {total} {what}" if shown < total else ""


def _inputs_table(trace: Trace) -> Table:
    units = largest(np.abs(trace.x).sum(0), COLUMNS)
    title = f"x, the inputs {trace.x.shape}{_folded('with the largest values', trace.x.shape[1], len(units))}"
    return Table(title, [f"input {j + 1}" for j in units], _rows(trace, [("x", "forward", trace.x)], units))


def _layer_table(trace: Trace, number: int) -> Table:
    layer, net = trace.layers[number - 1], trace.network
    units = largest(np.abs(layer.delta).sum(0), COLUMNS)
    kind = "output" if number == len(trace.layers) else "unit"
    fold = _folded(f"{kind}s with the largest deltas", net.sizes[number], len(units))
    title = f"layer {number}, {net.activations[number - 1]}: z, a, delta δ = ∂L/∂z, each {layer.z.shape}{fold}"
    arrays = [("z", "forward", layer.z), ("a", "forward", layer.a), ("δ", "backward", layer.delta)]
    return Table(title, [f"{kind} {j + 1}" for j in units], _rows(trace, arrays, units))


def _rows(trace: Trace, arrays: list[tuple[str, str, Floats]], units: list[int]) -> list[Row]:
    rows: list[Row] = []
    for i in _with_gap(len(trace.x)):
        if i is None:
            rows.append(_gap(len(trace.x), len(units)))
            continue
        for symbol, kind, values in arrays:
            rows.append(Row(f"example {i + 1}  {symbol}", kind, [number(values[i, j], DIGITS) for j in units]))
    return rows


def _with_gap(count: int) -> list[int | None]:
    shown: list[int | None] = [*shown_examples(count)]
    return [*shown[:-1], None, shown[-1]] if len(shown) < count else shown


def _gap(count: int, columns: int) -> Row:
    return Row(f"… {count - len(shown_examples(count))} more", "still", [""] * columns)


def _loss_table(trace: Trace) -> Table:
    """The loss of each example, and of the batch."""
    shown = shown_examples(len(trace.x))[:COLUMNS]
    title = f"loss of each example {trace.example_losses.shape}{_folded('examples', len(trace.x), len(shown))}"
    cells = [number(trace.example_losses[i], DIGITS) for i in shown]
    batch = f"their {trace.network.reduction}"
    row = Row("L", "forward", [*cells, number(trace.loss, DIGITS)])
    return Table(title, [*(f"example {i + 1}" for i in shown), batch], [row])


def _sum_table(trace: Trace) -> Table:
    """The sum after each example, the one division, the one update: for the parameters with the largest gradients."""
    net, s, count = trace.network, trace.sample_weight, len(trace.x)
    chosen = largest(np.abs(trace.gradient.flat), COLUMNS)
    places = [parameter_at(net, p) for p in chosen]

    def line(name: str, kind: str, values: Floats) -> Row:
        return Row(name, kind, [number(value, DIGITS) for value in values])

    rows = [line("sum before", "still", np.zeros(len(chosen)))]
    for i in _with_gap(count):
        if i is None:
            rows.append(_gap(count, len(chosen)))
            continue
        added = np.array([float(s[i]) * explain(trace, *at, example=i).product for at in places])
        rows.append(line(f"example {i + 1} adds", "backward", added))
        rows.append(line("sum so far", "sum", trace.running_sum(i + 1).flat[chosen]))
    reduced = trace.running_sum(count).flat * chain.batch_factor(net, s)
    rows.append(line(division(net, [float(v) for v in s]), "sum", reduced[chosen]))
    if not isinstance(trace.optimizer, AdamW) and trace.optimizer.l2:
        rows.append(line("with L2", "sum", trace.gradient.flat[chosen]))
    plain = isinstance(trace.optimizer, SGD) and not trace.optimizer.momentum
    name = f"times -{number(trace.rate)} = update" if plain else f"{type(trace.optimizer).__name__}'s update"
    rows.append(line(name, "moved", trace.update.flat[chosen]))
    rows.append(line("before", "still", trace.before.parameters[chosen]))
    rows.append(line("after", "moved", trace.after.parameters[chosen]))
    fold = _folded("with the largest gradients", net.n_parameters, len(chosen))
    title = f"the sum of the gradients grows, the parameters stand still; then they move, once{fold}"
    return Table(title, [str(weight_name(*at)) for at in places], rows)


def rich_tables(trace: Trace) -> Group:
    """The tables for a terminal."""
    from rich import box
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

    laid_out: list[Text | RichTable] = [Text(headline(trace), style="bold")]
    for table in tables(trace):
        laid_out.append(Text(table.title, style="italic"))  # as a title of the table it would be broken at its width
        shown = RichTable(box=box.SIMPLE)
        shown.add_column("", no_wrap=True)
        for head in table.heads:
            shown.add_column(Text(head), justify="right", no_wrap=True)
        for row in table.rows:
            shown.add_row(
                *(Text(cell) for cell in (row.name, *row.cells)),
                style=STYLES[row.kind],
                end_section=row.name.endswith(("δ", "far")),
            )
        laid_out.append(shown)
    return Group(*laid_out)


def html_tables(trace: Trace) -> str:
    """The same tables for a notebook; every text is escaped."""
    parts = [f"<p><b>{escape(headline(trace))}</b></p>"]
    for table in tables(trace):
        heads = "".join(f'<th scope="col">{escape(head)}</th>' for head in ("", *table.heads))
        rows = "".join(_html_row(row) for row in table.rows)
        caption = f'<caption style="text-align:left">{escape(table.title)}</caption>'
        parts.append(f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
    return f'<div class="backlit-trace">{"".join(parts)}</div>'


def _html_row(row: Row) -> str:
    color = f' style="color:{COLORS[row.kind]}"' if COLORS[row.kind] else ""
    cells = "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in row.cells)
    return f'<tr{color}><th scope="row" style="text-align:left">{escape(row.name)}</th>{cells}</tr>'
