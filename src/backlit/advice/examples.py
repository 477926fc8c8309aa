"""Which examples matter: the largest gradients, how the classes agree, and units that do nothing on any row.

The report and its numbers; how it looks is in example_tables.py (terminal) and example_page.py (browser).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import chain
from ..data import Dataset
from ..engines import examples as losses_and_squares
from ..engines import forward
from ..errors import BadInput
from ..evaluation import is_classification, middle_of
from ..explanations.page_data import image_shape
from ..explanations.units import idle
from ..network import Network
from ..state import Floats, State, check_state

if TYPE_CHECKING:
    from rich.console import Group

BLOCK = 4096  # rows at a time
# by what rows are listed -> what these are called
BY = {"gradient": "the longest gradients", "loss": "the largest losses"}
AGREEMENT_NUMBERS = 50_000_000  # classes · parameters that the mean gradients of the classes may take


class Example(NamedTuple):
    """One row of the data. row: its number, from 0. label, prediction: class or number; lists for several outputs.

    loss: of this example. norm: ‖g‖ of its gradient with respect to all parameters. times: norm over the median norm.
    """

    row: int
    label: Any
    prediction: Any
    loss: float
    norm: float
    times: float


class ClassSummary(NamedTuple):
    """A class: how many rows, their mean loss, and the root mean square of their gradients' lengths."""

    name: Any
    rows: int
    loss: float
    norm: float


class IdleUnits(NamedTuple):
    """Hidden units (from 1) of a layer (from 1) that are dead or saturated on every row."""

    layer: int
    what: str
    units: tuple[int, ...]
    of: int


@dataclass(frozen=True, eq=False)
class ExampleReport:
    """What ``example_report`` found. Show it by ``print(report)``, in a notebook, or as a page: ``report.html()``.

    losses, norms: (N,) of every row. largest: the examples with the longest gradients, longest first; or, ``by``
               "loss", with the largest losses.
    classes:   one line per class, none for numbers. agreement: (C, C), the cosine between the mean gradients of two
               classes, ⟨G_c, G_d⟩/(‖G_c‖·‖G_d‖): below 0, an update that helps one harms the other. None for numbers.
    idle:      hidden units that are dead or saturated on all rows.
    images:    (k, height, width), the inputs of the largest where they are square pictures, else None.
    """

    network: Network
    by: str
    losses: NDArray[np.float64]
    norms: NDArray[np.float64]
    largest: tuple[Example, ...]
    classes: tuple[ClassSummary, ...]
    agreement: NDArray[np.float64] | None
    idle: tuple[IdleUnits, ...]
    images: NDArray[np.float64] | None

    def record(self) -> dict[str, Any]:
        """Everything but the pictures as plain numbers, for JSON."""
        return {
            "rows": len(self.norms),
            "by": self.by,
            "largest": [example._asdict() for example in self.largest],
            "classes": [summary._asdict() for summary in self.classes],
            "agreement": None if self.agreement is None else self.agreement.tolist(),
            "idle": [{**units._asdict(), "units": list(units.units)} for units in self.idle],
        }

    def table(self) -> str:
        """The report as plain text."""
        from .tables import as_text

        return as_text(self.__rich__())

    __str__ = table

    def __repr__(self) -> str:
        first = ", ".join(str(example.row) for example in self.largest[:3])
        dots = ", …" if len(self.largest) > 3 else ""
        return f"ExampleReport({len(self.norms)} rows, {BY[self.by]} in rows {first}{dots})"

    def __rich__(self) -> Group:
        from .example_tables import example_tables

        return example_tables(self)

    def html(self) -> str:
        """A page of its own, with the pictures of the largest if there are any; all that comes from data is escaped."""
        from .example_page import page

        return page(self)

    def _repr_html_(self) -> str:
        from .example_page import fragment

        return fragment(self)

    def picture(self) -> Any:
        """The pictures of the largest as a matplotlib Figure (extra ``plot``). BadInput where rows are no pictures."""
        from ..explanations.advice_pictures import examples
        from .example_tables import printed

        if self.images is None:
            raise BadInput("example_report: the rows are not square pictures, so there is nothing to draw.")
        captions = [f"row {e.row}\n{printed(e.label)}, read {printed(e.prediction)}" for e in self.largest]
        title = f"{BY[self.by]} of {len(self.norms):,} rows: label, and what the network reads"
        return examples(self.images, captions, title)


def example_report(net: Network, state: State, data: Any, largest: int = 50, by: str = "gradient") -> ExampleReport:
    """Which examples of ``data`` pull hardest at the parameters of ``state``, and who pulls against whom.

    data:    a Dataset or a pair (x, y): N rows.
    largest: how many rows are listed: those with the longest gradients, or with by="loss" the largest losses.

    The length of an example's gradient needs its activations and deltas only: ‖gᵢ‖² = Σ over layers (‖aᵢ‖² + 1)·‖δᵢ‖²
    (Goodfellow, 2015, arXiv 1510.01799). Once a network has learned most rows, the longest gradients belong to what
    contradicts the rest: wrong labels, broken inputs, rare cases. Lengths are of the example's own loss, before sample
    weights; the mean gradients of the classes are weighted. For wrong labels alone the loss is as good a sign, or a
    better one; the length of the gradient says whom the parameters follow. Raises BadInput for what doesn't fit.
    """
    check_state("example_report", net, state)
    dataset = Dataset.of(data)
    dataset.check_inputs(net)
    if isinstance(largest, bool) or not isinstance(largest, int | np.integer) or largest < 1:
        raise BadInput(f"example_report: largest must be a whole number of at least 1; got {largest!r}.")
    if by not in BY:
        raise BadInput(f"example_report: by must be 'gradient' or 'loss'; got {by!r}.")
    targets = dataset.targets(net)
    with np.errstate(all="ignore"):
        losses, squares = losses_and_squares(net, state, dataset.x, targets)
    norms = np.sqrt(squares)
    if not np.isfinite(norms).all():
        raise BadInput(
            f"example_report: the gradient of row {int(np.argmin(np.isfinite(norms)))} is not finite: the state has "
            "run away, or its inputs are huge."
        )
    codes = _classes_of(net, dataset, targets)
    # Without labels, as many classes as the network can tell apart: some may have no row.
    names = () if codes is None else tuple(dataset.classes or range(max(2, net.sizes[-1])))
    agreement, units = _passes(net, state, dataset, targets, codes, len(names))
    rows = np.argsort(-(norms if by == "gradient" else losses), kind="stable")[:largest]
    return ExampleReport(
        net, by, losses, norms, _listed(net, state, dataset, targets, names, losses, norms, rows),
        _summaries(names, codes, losses, norms), agreement, units, _images(dataset, rows),
    )  # fmt: skip


def _classes_of(net: Network, data: Dataset, targets: Floats) -> NDArray[np.int64] | None:
    """(N,) the class of each row, as its place; None where the targets are no classes."""
    if not is_classification(net, data):
        return None
    if targets.shape[1] == 1:
        return (targets[:, 0] > middle_of(targets)).astype(np.int64)
    return targets.argmax(axis=1) if data.y.ndim == 1 or (targets.sum(axis=1) == 1).all() else None


def _listed(
    net: Network, state: State, data: Dataset, targets: Floats, names: tuple[Any, ...],
    losses: NDArray[np.float64], norms: NDArray[np.float64], rows: NDArray[np.int64],
) -> tuple[Example, ...]:  # fmt: skip
    middle = float(np.median(norms)) or np.nan
    outputs, between = forward(net, state, np.asarray(data.x[rows])), middle_of(targets)
    found = []
    for row, output in zip(rows.tolist(), outputs, strict=True):
        label, prediction = _words(targets[row], names, between), _words(output, names, between)
        norm = float(norms[row])
        found.append(Example(row, label, prediction, float(losses[row]), norm, norm / middle))
    return tuple(found)


def _words(output: Floats, names: tuple[Any, ...], between: float) -> Any:
    """A class if there are any, the second of two above ``between``; else the number, or the numbers."""
    if names and len(output) > 1:
        return names[int(output.argmax())]
    if names:
        return names[min(int(output[0] > between), len(names) - 1)]
    return float(output[0]) if len(output) == 1 else [float(value) for value in output]


def _summaries(
    names: tuple[Any, ...], codes: NDArray[np.int64] | None, losses: NDArray[np.float64], norms: NDArray[np.float64]
) -> tuple[ClassSummary, ...]:
    found: list[ClassSummary] = []
    if codes is None:
        return ()
    for code, name in enumerate(names):
        own: NDArray[np.bool_] = codes == code
        if own.any():
            size = float(np.sqrt((norms[own] ** 2).mean()))
            found.append(ClassSummary(name, int(own.sum()), float(losses[own].mean()), size))
        else:
            found.append(ClassSummary(name, 0, float("nan"), float("nan")))
    return tuple(found)


def _passes(
    net: Network, state: State, data: Dataset, targets: Floats, codes: NDArray[np.int64] | None, classes: int
) -> tuple[NDArray[np.float64] | None, tuple[IdleUnits, ...]]:
    """(agreement of the classes or None, idle units): one pass over all rows, in blocks."""
    wanted = codes is not None and classes > 1 and classes * net.n_parameters <= AGREEMENT_NUMBERS
    sums = np.zeros((classes, net.n_parameters)) if wanted else None
    idle_so_far: list[NDArray[np.bool_] | None] = [None] * len(net.hidden)
    names: list[str] = [""] * len(net.hidden)
    for start in range(0, len(data), BLOCK):
        rows = slice(start, start + BLOCK)
        x, y = (array[rows].astype(state.dtype, copy=False) for array in (data.x, targets))
        zs, activations = chain.forward(net, state.layers, x)
        for l, activation in enumerate(net.hidden):  # noqa: E741
            found = idle(activation, zs[l], activations[l])
            if found is not None:
                names[l] = found[0]
                before = idle_so_far[l]
                idle_so_far[l] = found[1] if before is None else before & found[1]
        if sums is None or codes is None:
            continue
        inputs, deltas = [x, *activations[:-1]], chain.backward(net, state.layers, zs, activations, y)
        s = np.ones(len(x)) if data.sample_weight is None else np.asarray(data.sample_weight[rows])
        for code in np.unique(codes[rows]).tolist():
            own = codes[rows] == code
            parts = [a[own] for a in inputs], [delta[own] for delta in deltas]
            sums[code] += chain.weighted_sum(net, *parts, np.asarray(s[own], state.dtype)).flat
    units = [
        IdleUnits(l + 1, names[l], tuple((np.flatnonzero(found) + 1).tolist()), len(found))
        for l, found in enumerate(idle_so_far)  # noqa: E741
        if found is not None and np.any(found)
    ]
    return None if sums is None else cosines(sums), tuple(units)


def cosines(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(C, C) cosines between the rows of vectors (C, P); NaN for a row of zeros."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1))
    with np.errstate(all="ignore"):
        between: NDArray[np.float64] = (vectors @ vectors.T) / np.outer(lengths, lengths)
    return between


def _images(data: Dataset, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
    shape = image_shape(np.asarray(data.x[: min(len(data), 256)]), data.columns)
    return None if shape is None else np.asarray(data.x[rows]).reshape(-1, *shape).astype(np.float64)
