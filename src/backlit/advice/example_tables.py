"""How a report on examples looks on a terminal, and what its page says in the same words. No measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .tables import new_table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from .examples import Example, ExampleReport, IdleUnits

MOST_CLASSES, ACROSS = 20, 10  # longer and wider tables fit no screen
AGREEMENT = (
    "agreement of two classes: the cosine between their mean gradients; below 0, what helps one harms the other"
)


def printed(value: Any) -> str:
    """A label, a number or several as short text on one line, whatever it holds."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(f"{number:.4g}" for number in value[:4]) + (", …" if len(value) > 4 else "")
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in str(value))
    return text if len(text) <= 40 else f"{text[:39]}…"


def times(example: Example) -> str:
    """How many times the median its gradient is long: 2.34, and 1,800 rather than 1.8e+03."""
    value = example.times
    return "–" if not np.isfinite(value) else f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def headline(report: ExampleReport) -> str:
    """What was looked at, and how the lengths spread."""
    middle, most = float(np.median(report.norms)), float(report.norms.max())
    share = float((np.sort(report.norms**2)[::-1][: max(1, len(report.norms) // 100)]).sum() / (report.norms**2).sum())
    text = f"{len(report.norms):,} rows; a gradient is {middle:.3g} long at the median, {most:.3g} at most."
    if len(report.norms) >= 100 and np.isfinite(share):
        text += f" One row in a hundred holds {100 * share:.0f} % of all the squared length."
    return text


def listed(report: ExampleReport) -> str:
    """What the listed rows are: ``the longest gradients``."""
    from .examples import BY

    return BY[report.by]


def disagreeing(report: ExampleReport) -> str:
    """How many of the listed are predicted otherwise than they are labelled; nothing for numbers."""
    if not report.classes:
        return ""
    count = sum(example.label != example.prediction for example in report.largest)
    return f"{count} of these {len(report.largest)} are taken for another class than their label: look at them first."


def idle_sentences(report: ExampleReport) -> list[str]:
    """``layer 1: 2 of 30 units are dead on all rows: 4, 7``; or that there are none."""
    return [_idle(units) for units in report.idle] or ["No hidden unit is dead or saturated on all rows."]


def _idle(units: IdleUnits) -> str:
    some = ", ".join(map(str, units.units[:12])) + (", …" if len(units.units) > 12 else "")
    are = "units is" if len(units.units) == 1 else "units are"
    return f"layer {units.layer}: {len(units.units)} of {units.of} {are} {units.what} on all rows: {some}"


def opposed(report: ExampleReport) -> str:
    """The two classes that pull hardest against each other; nothing where none do."""
    if report.agreement is None or len(report.classes) < 2:
        return ""
    upper = np.where(np.triu(np.ones_like(report.agreement), 1) > 0, report.agreement, np.nan)
    if not np.isfinite(upper).any() or np.nanmin(upper) >= 0:
        return ""
    c, d = np.unravel_index(int(np.nanargmin(upper)), upper.shape)
    a, b = printed(report.classes[c].name), printed(report.classes[d].name)
    return f"{a} and {b} pull hardest against each other: {upper[c, d]:.2f}."


def agreement_cell(report: ExampleReport, c: int, d: int) -> str:
    """One entry of the agreement, empty on the diagonal."""
    assert report.agreement is not None
    value = report.agreement[c, d]
    return "" if c == d else f"{value:+.2f}" if np.isfinite(value) else "–"


def example_tables(report: ExampleReport) -> Group:
    """The longest gradients, the classes and their agreement, and the idle units."""
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(headline(report)), _largest_table(report), Text(disagreeing(report))]
    if report.classes and len(report.classes) <= MOST_CLASSES:
        parts.append(_class_table(report))
        if report.agreement is not None and len(report.classes) <= ACROSS:
            parts.append(_agreement_table(report))
        parts.append(Text(opposed(report)))
    return Group(*parts, *map(Text, idle_sentences(report)))


def _largest_table(report: ExampleReport) -> Table:
    from rich.text import Text

    columns = "row", "label", "prediction", "loss", "‖g‖", "× median"
    table = new_table(f"\n{listed(report)} (rows counted from 0)", *columns)
    for e in report.largest:
        words = printed(e.label), printed(e.prediction)
        numbers = f"{e.loss:.4g}", f"{e.norm:.4g}", times(e)
        table.add_row(f"{e.row:,}", *map(Text, words), *numbers)
    return table


def _class_table(report: ExampleReport) -> Table:
    from rich.text import Text

    table = new_table("\nthe classes", "class", "rows", "mean loss", "‖g‖, root mean square")
    for summary in report.classes:
        numbers = (f"{summary.loss:.3g}", f"{summary.norm:.3g}") if summary.rows else ("–", "–")
        table.add_row(Text(printed(summary.name)), f"{summary.rows:,}", *numbers)
    return table


def _agreement_table(report: ExampleReport) -> Table:
    from rich.text import Text

    table = new_table(f"\n{AGREEMENT}")
    table.padding = (0, 1, 0, 0)
    for name in ("", *(printed(summary.name) for summary in report.classes)):
        table.add_column(Text(name), justify="right", no_wrap=True)
    for c, summary in enumerate(report.classes):
        cells = [agreement_cell(report, c, d) for d in range(len(report.classes))]
        table.add_row(Text(printed(summary.name)), *cells)
    return table
