"""How advice on batch size and rate looks on a terminal and in a notebook. Sentences only, no measurements."""

from __future__ import annotations

import statistics
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from .batch_size import BatchAdvice, Trial
    from .rate import RangeTest

GUIDANCE = (
    "The noise scale is guidance for plain gradient descent (SGD), not a law: it takes every batch size at its own "
    "best rate, the noise as it was in this brief training (it grows as the loss falls), and a loss that is alike "
    "curved in all directions. For Adam it says less: its steps hardly grow with the gradient. So here is a measured "
    "check, from the state after a quarter of the brief training:"
)


def duration(seconds: float) -> str:
    """``310 ns``, ``4.2 µs``, ``1.3 s``, ``5 min``."""
    if not seconds < np.inf:
        return "–"
    for unit, size, most in (("ns", 1e-9, 1e-6), ("µs", 1e-6, 1e-3), ("ms", 1e-3, 1.0), ("s", 1.0, 120.0)):
        if seconds < most:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 60:,.0f} min"


def scale_text(noise_scale: float) -> str:
    """A noise scale as people need it: two digits, or that it is too large to be measured."""
    if not noise_scale < np.inf:
        return "too large to be measured"
    return f"{float(f'{noise_scale:.2g}'):,.0f}" if noise_scale >= 10 else f"{noise_scale:.2g}"


def as_text(shown: Any) -> str:
    """What a terminal of 110 columns would show, as plain text."""
    from rich.console import Console

    stream = StringIO()
    Console(file=stream, width=110, color_system=None).print(shown)
    return stream.getvalue()


def as_html(shown: Any) -> str:
    """The same for a notebook, with everything escaped."""
    from html import escape

    return f'<pre style="line-height: 1.2">{escape(as_text(shown))}</pre>'


def new_table(title: str, *columns: str) -> Table:
    """An empty table with numbers to the right."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=len(column.split()) < 2)
    return table


def batch_tables(advice: BatchAdvice) -> Group:
    """The brief training, the table of batch sizes, what follows, and the measured check."""
    from rich.console import Group
    from rich.text import Text

    begin, end = advice.noise_curve[0], advice.noise_scale
    lines = [
        f"Trained briefly: {advice.updates:,} updates of {advice.batch} rows by SGD at rate {advice.rate:.3g}; the "
        f"loss went from {advice.loss_before:.4g} to {advice.loss:.4g}.",
        f"Noise scale tr Σ/‖G‖²: {scale_text(begin)} at the beginning, {scale_text(end)} over the second half. "
        "That is the batch size at which noise and signal are equal.",
    ]
    low, high = advice.nearly_as_fast
    near = f"; {low} to {high} are within 25 % of it" if low < high else ""
    after = (
        f"Shortest on this machine: batch size {advice.fastest.batch}, {duration(advice.fastest.total)} to a loss of "
        f"{advice.loss:.4g}{near}. {_plain_rule(advice)}"
    )
    parts: list[Any] = [*map(Text, lines), _sizes_table(advice), Text(f"{after}\n"), Text(GUIDANCE)]
    return Group(*parts, _check_table(advice), Text(_check_sentence(advice)))


def _plain_rule(advice: BatchAdvice) -> str:
    noise = advice.noise_scale
    if not noise < np.inf:
        return "Noise outweighs the signal by far: every doubling of the batch nearly halves the updates."
    return (
        f"Well below {scale_text(noise)} rows a doubled batch nearly halves the updates; well above, it saves few "
        "of them and costs nearly twice the rows."
    )


def _sizes_table(advice: BatchAdvice) -> Table:
    title = f"\nto a loss of {advice.loss:.4g}; · as trained, ◀ shortest"
    columns = "batch size", "progress an update", "time an example", "an update", "updates", "all of it", ""
    table = new_table(title, *columns)
    for size in advice.sizes:
        mark = "◀" if size is advice.fastest else "·" if size.batch == advice.batch else ""
        table.add_row(
            f"{size.batch:,}",
            f"{100 * size.progress:.3g} %" if advice.noise_scale < np.inf else "–",
            duration(size.seconds),
            duration(size.seconds * size.batch),
            f"{size.updates:,.0f}",
            duration(size.total),
            mark,
        )
    table.columns[-1].justify = "left"
    return table


def _check_table(advice: BatchAdvice) -> Table:
    orders = len(advice.check[0].losses)
    title = f"\nfrom one state (loss {advice.check_loss:.4g}), equal rows, {orders} orders of the rows"
    table = new_table(title, "batch size", "rate", "updates", "loss after", "fell by", "formula expects")
    first = advice.check_loss - statistics.fmean(advice.check[0].losses)
    for trial in advice.check:
        expected = "" if trial.expected is None or first <= 0 else f"{trial.expected * first:.3g}"
        expected = "the measure" if trial is advice.check[0] else expected
        table.add_row(f"{trial.batch:,}", f"{trial.rate:.3g}", str(trial.updates), *_fall(advice, trial), expected)
    return table


def _fall(advice: BatchAdvice, trial: Trial) -> tuple[str, str]:
    if max(trial.losses) == np.inf:
        return "diverged", ""
    mean, spread = statistics.fmean(trial.losses), statistics.stdev(trial.losses)
    return f"{mean:.4g} ± {spread:.1g}", f"{advice.check_loss - mean:.3g}"


def _check_sentence(advice: BatchAdvice) -> str:
    first, second = advice.check[:2]
    rows = f"Over {first.updates * first.batch:,} rows each"
    if max(first.losses + second.losses) == np.inf:
        return f"{rows}: a rate that the formula gives has diverged; here it is a rate for smaller batches."
    small, large = (advice.check_loss - statistics.fmean(trial.losses) for trial in (first, second))
    if small <= 2 * statistics.stdev(first.losses):
        return f"{rows}, the loss fell by less than it depends on the order of the rows: this check tells nothing here."
    if large <= 0:
        return (
            f"{rows}, the loss rose at the rate that the formula gives for {second.batch} ({second.rate:.2g}): here "
            "the curvature limits the rate, not the noise, and larger batches won't bring what the table promises."
        )
    expected = f"; the formula expects {100 * (second.expected or 0):.0f} %"
    return (
        f"{rows}, batches of {second.batch} took half the updates and fell {100 * large / small:.0f} % as far as "
        f"batches of {first.batch}{expected}."
    )


def rate_tables(test: RangeTest) -> Group:
    """The loss along the rates, folded, and the marked ones."""
    from rich.console import Group
    from rich.text import Text

    table = new_table(
        f"{test.optimizer}, batches of {test.batch}", "rate", "loss, smoothed", ""
    )
    marks = {int(np.argmin(np.abs(test.rates - test.steepest))): "◀ steepest fall"}
    if test.diverging is not None:
        marks[len(test.rates) - 1] = "◀ runs away"
    bottom = int(np.argmin(test.smooth))
    marks.setdefault(bottom, "· smallest")
    even = np.linspace(0, len(test.rates) - 1, min(12, len(test.rates))).astype(int).tolist()
    for place in sorted({*even, *marks}):
        table.add_row(f"{test.rates[place]:.3g}", f"{test.smooth[place]:.4g}", marks.get(place, ""))
    table.columns[-1].justify = "left"
    far = "at none up to the highest" if test.diverging is None else f"at {test.diverging:.2g}"
    return Group(
        table,
        Text(
            f"The loss falls fastest at a rate of {test.steepest:.2g} and runs away {far}.\n"
            f"Begin with a rate of {test.suggestion:.2g}."
        ),
    )
