"""``explorer``: one self-contained HTML page from its plain sources in page/ and the steps that it shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network import Network
from ..trace import Trace
from .factors import Replayed, as_trace
from .labels import Labels
from .page_data import (
    BYTES,
    EXAMPLES,
    LEDGER_ALL,
    LISTED,
    NUMBERS,
    Store,
    image_shape,
    numbers_of,
    opening_of,
    step_record,
)
from .wording import (
    ABOVE,
    ACTIVATION_SLOPES,
    CROSS_ENTROPY_OF_ANY_SUM,
    LOSS_SLOPES,
    SOFTMAX_SLOPES,
    Wording,
    describe,
    joined,
)

SCRIPTS = ("data.js", "marks.js", "graph.js", "matrices.js", "factors.js", "ledger.js", "main.js")
# Inside <script> these could end it, or end a line of JavaScript; JSON may write them as escapes.
ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Page(str):
    """The HTML of a whole page: a str, which an interpreter shows in one line, and a notebook as the page itself."""

    def __repr__(self) -> str:
        return f"Page({len(self):,} characters of HTML: write them to a file, and open it in a browser)"

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self)}" title="The explorer" style="width: 100%; height: 45rem"></iframe>'


def explorer(traces: Trace | Replayed | Iterable[Trace | Replayed]) -> str:
    """A page that opens the given steps of one run in a browser, without a network or a server; notebooks show it.

    traces: Traces, or watched steps of a run (``Progress.watched``), whose names of columns and classes are shown, and
            the difference between the replay and the engine's own result. Everything that comes from data is text.

    A page holds about a million numbers (5 MB): 20 steps of a 784-30-10 network with batches of 10. What goes beyond
    is left out, and the page says so. Raises BadInput for no steps, for steps of different networks, and for a
    network of which not even one step fits.
    """
    if not _is_one(traces) and not isinstance(traces, Iterable):
        as_trace("explorer", traces)
    given: list[Trace | Replayed] = [traces] if _is_one(traces) else list(traces)  # type: ignore[arg-type, list-item]
    if not given:
        raise BadInput("explorer: at least one Trace is wanted, as bl.step gives it; got none.")
    steps = sorted(given, key=lambda step: as_trace("explorer", step).before.step)
    first = as_trace("explorer", steps[0])
    for step in steps:
        if as_trace("explorer", step).network != first.network:
            raise BadInput("explorer: all steps must be of one network. Make a page for each.")
    page = (files(__package__) / "page" / "explorer.html").read_text("utf-8")
    parts = {
        "STYLE": _source("explorer.css"),
        "SCRIPT": "\n".join(_source(name) for name in SCRIPTS),
        "DATA": embedded(_content(first.network, steps)),
    }
    for name, text in parts.items():
        before, _, behind = page.partition(f"/*{name}*/")
        page = before + text + behind
    return Page(page)


def _is_one(given: object) -> bool:
    return isinstance(given, Trace) or hasattr(given, "trace")


def embedded(value: Any) -> str:
    """JSON that can stand inside a <script> element whatever its texts are."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")).translate(ESCAPES)


def _source(name: str) -> str:
    return (files(__package__) / "page" / name).read_text("utf-8")


def _content(net: Network, steps: list[Trace | Replayed]) -> dict[str, Any]:
    first, data = as_trace("explorer", steps[0]), getattr(steps[0], "data", None)
    whole = numbers_of(first, whole=True) <= NUMBERS
    need = numbers_of(first, whole)
    if need > NUMBERS:
        raise BadInput(
            f"explorer: one step of {'-'.join(map(str, net.sizes))} with a batch of {len(first.x)} has about {need:,} "
            f"numbers without its parameters; a page holds {NUMBERS:,}. Trace a smaller batch."
        )
    opening = opening_of(first)
    records, packed, short = _packed(steps[: NUMBERS // need], whole, opening)
    kept = steps[: len(records)]
    labels = Labels.of(net, data)
    return {
        "network": describe(net),
        "sizes": net.sizes,
        "activations": net.activations,
        "joined": joined(net),
        "optimizer": type(first.optimizer).__name__,
        "columns": labels.columns,
        "outputs": labels.outputs,
        "image": image_shape(first.x, labels.columns),
        "wording": _wordings(first),
        "leftOut": _left_out(steps, kept, net, whole, short),
        "opening": opening,
        "steps": records,
        "store": packed,
    }


def _packed(
    steps: list[Trace | Replayed], whole: bool, opening: int
) -> tuple[list[dict[str, Any]], dict[str, Any], bool]:
    """(records of the steps, all their arrays, whether numbers were shortened): as many steps as a page holds."""
    store, records, ends = Store(), list[dict[str, Any]](), list[int]()
    last: tuple[Trace, dict[str, Any]] | None = None
    for step in steps:
        trace = as_trace("explorer", step)
        with np.errstate(all="ignore"):  # a step that leaves the finite numbers is worth looking at, too
            records.append(step_record(store, step, whole, opening, last))
        ends.append(len(store.arrays))
        last = trace, records[-1]
    count, short = len(records), False
    packed = store.packed(ends[-1])
    while (size := len(packed["data"])) > BYTES and (count > 1 or not short):
        if short:  # six digits have not been enough: fewer steps
            count = max(1, min(count - 1, count * BYTES // size))
        short = True
        packed = store.packed(ends[count - 1], short)
    return records[:count], packed, short


def _wordings(trace: Trace) -> dict[str, Any]:
    net = trace.network
    loss = LOSS_SLOPES[net.loss]
    if net.loss == "cross_entropy" and (trace.y.sum(1) != 1).any():
        loss = CROSS_ENTROPY_OF_ANY_SUM
    if net.output == "linear":
        loss = loss._replace(words=loss.words + "; the output is linear, a = z, and adds no factor")
    slopes = [ACTIVATION_SLOPES.get(name, Wording("", "", "")) for name in net.activations]
    return {
        "loss": loss._asdict(),
        "slopes": [slope._asdict() for slope in slopes],
        "above": ABOVE._asdict(),
        "softmax": SOFTMAX_SLOPES._asdict(),
    }


def _left_out(
    steps: list[Trace | Replayed], kept: list[Trace | Replayed], net: Network, whole: bool, short: bool
) -> list[str]:
    """Sentences on what the page doesn't hold."""
    said = []
    if len(kept) < len(steps):
        names = ", ".join(str(as_trace("explorer", step).before.step) for step in steps[len(kept) :][:10])
        more = " and more" if len(steps) - len(kept) > 10 else ""
        said.append(f"{len(steps) - len(kept)} of {len(steps)} steps don't fit and are left out: step {names}{more}.")
    if any(len(as_trace("explorer", step).x) > EXAMPLES for step in kept):
        said.append(f"The first {EXAMPLES} examples of each batch are shown one by one; the sum counts all of them.")
    if short:
        said.append("Numbers are carried to six digits.")
    if not whole:
        said.append(
            f"The network has {net.n_parameters:,} parameters: only the {LISTED} with the largest gradient of each "
            "step have their old and new values, the update, the difference quotient and the values inside the loop "
            "here; what the examples add, and their sum, is here for all."
        )
    elif net.n_parameters > LEDGER_ALL:
        said.append(
            f"The difference quotient and the values inside the loop are here for the {LISTED} parameters with the "
            "largest gradient of each step; the whole ledger for all."
        )
    elif net.n_parameters > LISTED:
        said.append(f"The difference quotient is here for the {LISTED} parameters with the largest gradient.")
    return said
