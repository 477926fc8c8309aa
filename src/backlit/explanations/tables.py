"""A Trace as tables: forward, back, the sum that grows, the one update. Long layers are folded, largest first.

The tables are plain texts; ``RichTables`` lays them out for a terminal, ``html_tables`` for a notebook.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import chain
from ..optimizers import SGD, AdamW
from ..state import Floats
from ..trace import Trace
from .factors import Replayed, as_trace, explain
from .labels import Labels
from .wording import describe, division, number, parameter_at, typed, weight_name

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table as RichTable

COLUMNS = 5  # units or parameters side by side where nothing says how wide it is: what 80 characters hold
WIDEST = 16  # side by side at most
NAMES, NUMBER = 20, 10  # characters of the names of rows, and of a number
EXAMPLES = 6  # examples shown one by one
DIGITS = 4
STYLES = {"forward": "blue", "backward": "dark_orange3", "sum": "bold", "still": "dim", "moved": "bold green"}
COLORS = {"forward": "#2563eb", "backward": "#c2570c", "sum": "", "still": "#888", "moved": "#15803d"}


class Row(NamedTuple):
    """A line of numbers: its name, what it belongs to (a key of STYLES), its cells, the letter of what they are."""

    name: str
    kind: str
    cells: Sequence[str]
    symbol: str = ""


class Table(NamedTuple):
    """A title, the heads of the columns after the first, their places as one types them, and the rows."""

    title: str
    heads: Sequence[str]
    places: Sequence[str]
    rows: Sequence[Row]


def tables(given: Trace | Replayed, columns: int = COLUMNS) -> list[Table]:
    """All the tables of a step, from its inputs to the parameters after; ``columns`` numbers side by side."""
    trace = as_trace("tables", given)
    labels = Labels.of(trace.network, getattr(given, "data", None))
    layers = [_layer_table(trace, labels, number, columns) for number in range(1, len(trace.layers) + 1)]
    return [_inputs_table(trace, labels, columns), *layers, _loss_table(trace, columns), _sum_table(trace, columns)]


def headline(trace: Trace) -> str:
    """What was trained, how, and where in the run this step is."""
    return (
        f"update {trace.before.step + 1} (step {trace.before.step}) of {describe(trace.network)} · batch of "
        f"{len(trace.x)} · {type(trace.optimizer).__name__}, rate {number(trace.rate)}"
    )


HINT = (
    "In brackets: places in the arrays, from 0, as they are typed. 2:0:1 is W[0, 1] of layer 2, 2:b:1 its bias b[1]; "
    "layers count from 1."
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


def _inputs_table(trace: Trace, labels: Labels, columns: int) -> Table:
    units = largest(np.abs(trace.x).sum(0), columns)
    title = f"x, the inputs {trace.x.shape}{_folded('with the largest values', trace.x.shape[1], len(units))}"
    heads = [labels.unit(0, j) for j in units]
    return Table(title, heads, [f"[{j}]" for j in units], _rows(trace, [("x", "forward", trace.x)], units))


def _layer_table(trace: Trace, labels: Labels, number: int, columns: int) -> Table:
    layer, net = trace.layers[number - 1], trace.network
    units = largest(np.abs(layer.delta).sum(0), columns)
    top = number == len(trace.layers)
    fold = _folded(f"{'outputs' if top else 'units'} with the largest deltas", net.sizes[number], len(units))
    also = ", target y" if top else ""
    title = f"layer {number}, {net.activations[number - 1]}: z, a{also}, delta δ = ∂L/∂z, each {layer.z.shape}{fold}"
    target = [("y", "still", trace.y)] if top else []
    arrays = [("z", "forward", layer.z), ("a", "forward", layer.a), *target, ("δ", "backward", layer.delta)]
    heads = [labels.unit(number, j) for j in units]
    return Table(title, heads, [f"[{j}]" for j in units], _rows(trace, arrays, units))


def _rows(trace: Trace, arrays: list[tuple[str, str, Floats]], units: list[int]) -> list[Row]:
    rows: list[Row] = []
    for i in _with_gap(len(trace.x)):
        if i is None:
            rows.append(_gap(len(trace.x), len(units)))
            continue
        for symbol, kind, values in arrays:
            rows.append(Row(example_name(i), kind, [number(values[i, j], DIGITS) for j in units], symbol))
    return rows


def example_name(i: int) -> str:
    """``example 1 [0]``: as people count, and its place in the batch."""
    return f"example {i + 1} [{i}]"


def _with_gap(count: int) -> list[int | None]:
    shown: list[int | None] = [*shown_examples(count)]
    return [*shown[:-1], None, shown[-1]] if len(shown) < count else shown


def _gap(count: int, columns: int) -> Row:
    return Row(f"… {count - len(shown_examples(count))} more", "still", [""] * columns)


def _loss_table(trace: Trace, columns: int) -> Table:
    """The loss of each example, and of the batch."""
    shown = shown_examples(len(trace.x))[:columns]
    title = f"loss of each example {trace.example_losses.shape}{_folded('examples', len(trace.x), len(shown))}"
    cells = [number(trace.example_losses[i], DIGITS) for i in shown]
    heads = [*(f"example {i + 1}" for i in shown), f"the batch: {trace.network.reduction}"]
    row = Row("L", "forward", [*cells, number(trace.loss, DIGITS)])
    return Table(title, heads, [*(f"[{i}]" for i in shown), ""], [row])


def _sum_table(trace: Trace, columns: int) -> Table:
    """The sum after each example, the one division, the one update: for the parameters with the largest gradients."""
    net, s, count = trace.network, trace.sample_weight, len(trace.x)
    chosen = largest(np.abs(trace.gradient.flat), columns)
    places = [parameter_at(net, p) for p in chosen]

    def line(name: str, kind: str, values: Floats) -> Row:
        return Row(name, kind, [number(value, DIGITS) for value in values])

    rows = [line("sum before", "still", np.zeros(len(chosen)))]
    for i in _with_gap(count):
        if i is None:
            rows.append(_gap(count, len(chosen)))
            continue
        added = np.array([float(s[i]) * explain(trace, *at, example=i).product for at in places])
        rows.append(line(f"{example_name(i)} adds", "backward", added))
        rows.append(line("sum so far", "sum", trace.running_sum(i + 1).flat[chosen]))
    reduced = trace.running_sum(count).flat * chain.batch_factor(net, s)
    rows.append(line(division(net, [float(v) for v in s]), "sum", reduced[chosen]))
    if not isinstance(trace.optimizer, AdamW) and trace.optimizer.l2:
        rows.append(line("with L2", "sum", trace.gradient.flat[chosen]))
    plain = isinstance(trace.optimizer, SGD) and not trace.optimizer.momentum
    name = f"× -{number(trace.rate)} = update" if plain else f"{type(trace.optimizer).__name__}'s update"
    rows.append(line(name, "moved", trace.update.flat[chosen]))
    rows.append(line("before", "still", trace.before.parameters[chosen]))
    rows.append(line("after", "moved", trace.after.parameters[chosen]))
    fold = _folded("with the largest gradients", net.n_parameters, len(chosen))
    title = f"the sum of the gradients grows, the parameters stand still; then they move, once{fold}"
    return Table(title, [str(weight_name(*at)) for at in places], [typed(*at) for at in places], rows)


class RichTables:
    """The tables for a terminal: as many columns as its width holds, names as plain text whatever is in them."""

    def __init__(self, given: Trace | Replayed) -> None:
        self.given = given

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text

        yield Text(headline(as_trace("step", self.given)), style="bold")
        yield Text(HINT, style="dim")
        columns = max(1, min(WIDEST, (options.max_width - NAMES) // (NUMBER + 2)))
        for table in tables(self.given, columns):
            yield Text(table.title, style="italic")  # as a title of the table it would be broken at its width
            yield _rich_table(table)


def _rich_table(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=box.SIMPLE, pad_edge=False)
    shown.add_column("", overflow="fold")
    for head, place in zip(_wrapped(table.heads), table.places, strict=True):
        shown.add_column(Text(f"{head}\n{place}" if place else head), justify="right", no_wrap=True)
    before = ""
    for row, following in zip_longest(table.rows, table.rows[1:]):
        name = " " * len(row.name) if row.symbol and row.name == before else row.name
        before = row.name
        ends = row.name.endswith("far") or bool(row.symbol and following and following.name != row.name)
        cells = (Text(f"{name}  {row.symbol}".rstrip()), *map(Text, row.cells))
        shown.add_row(*cells, style=STYLES[row.kind], end_section=ends and row.symbol != "x")
    return shown


def _wrapped(heads: Sequence[str]) -> list[str]:
    """Heads of one height and of the width of a number: broken, and cut where they are longer than three lines."""
    parts = [wrap(head, NUMBER, max_lines=3, placeholder="…") or [""] for head in heads]
    height = max(map(len, parts))
    return ["\n".join([*[""] * (height - len(lines)), *lines]) for lines in parts]


def html_tables(given: Trace | Replayed) -> str:
    """The same tables for a notebook; every text is escaped."""
    parts = [f"<p><b>{escape(headline(as_trace('step', given)))}</b></p><p>{escape(HINT)}</p>"]
    for table in tables(given):
        titles = ["", *(f"{head} {place}".strip() for head, place in zip(table.heads, table.places, strict=True))]
        heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in titles)
        rows = "".join(_html_row(row) for row in table.rows)
        caption = f'<caption style="text-align:left">{escape(table.title)}</caption>'
        parts.append(f"<table>{caption}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")
    return f'<div class="backlit-trace">{"".join(parts)}</div>'


def _html_row(row: Row) -> str:
    color = f' style="color:{COLORS[row.kind]}"' if COLORS[row.kind] else ""
    cells = "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in row.cells)
    name = escape(f"{row.name}  {row.symbol}".rstrip())
    return f'<tr{color}><th scope="row" style="text-align:left">{name}</th>{cells}</tr>'
