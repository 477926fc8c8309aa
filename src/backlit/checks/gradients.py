"""Gradient checks against central differences, in float64: ``check_gradients`` and ``check_function``.

What a difference is stands in chain.py; what a right answer is, in comparison.py. Nothing is diagnosed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import chain
from ..errors import BadInput
from ..network import Network
from ..state import Floats, Layers, State, check_batch, check_finite, check_state
from .comparison import DIFFERENCES_LIMIT, block_errors, blocks
from .layouts import called, read
from .network_objects import is_network_object, network_and_state, object_gradient, rows_of

if TYPE_CHECKING:
    from rich.table import Table

ALL_UP_TO = 5000  # parameters; above, a sample of SAMPLE weights and SAMPLE biases of each layer is checked
SAMPLE = 200


@dataclass(frozen=True)
class Entry:
    """One parameter: where it stands, its derivative by the gradient and by differences, and the error."""

    place: str  # "layer 1, W[3, 0]"
    analytic: float
    numeric: float
    error: float  # |analytic − numeric| / the largest entry of the layer


@dataclass(frozen=True)
class Row:
    """One layer of the table."""

    name: str  # "layer 1"
    checked: int
    of: int
    largest: float  # the largest entry of the layer's gradient
    worst: Entry


@dataclass(frozen=True)
class GradientReport:
    """What a gradient check found. True where it passed; printing it shows the table.

    layers:    one Row per layer (per array for ``check_function``).
    left_out:  rows of the batch too near to a corner of relu (or of |a − y|), where no derivative exists.
    limit:     of the error; a right gradient stays far below it.
    """

    layers: tuple[Row, ...]
    left_out: tuple[int, ...] = ()
    remarks: tuple[str, ...] = ()
    limit: float = DIFFERENCES_LIMIT

    @property
    def passed(self) -> bool:
        """Whether the worst error is below the limit."""
        return self.worst.error < self.limit  # NaN is not below

    @property
    def worst(self) -> Entry:
        """The entry with the largest error, with both numbers."""
        return max((row.worst for row in self.layers), key=lambda entry: float(np.nan_to_num(entry.error, nan=np.inf)))

    def __bool__(self) -> bool:
        return self.passed

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (r.name, f"{r.checked:,} of {r.of:,}", f"{r.largest:.3g}", f"{r.worst.error:.1e}", r.worst.place,
             f"{r.worst.analytic:.9g}", f"{r.worst.numeric:.9g}")
            for r in self.layers
        ]  # fmt: skip

    def table(self) -> str:
        """The layers as lines of plain text: how many entries, the largest, the worst error, where, both numbers."""
        lines = [COLUMNS, *self._cells()]
        widths = [max(len(line[k]) for line in lines) for k in range(len(COLUMNS))]
        return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in lines)

    def summary(self) -> str:
        """The verdict in one or a few sentences."""
        worst, verdict = self.worst, "passed" if self.passed else "NOT passed"
        sentences = [f"Gradient check {verdict}: worst error {worst.error:.1e} (limit {self.limit:.0e}) at "
                     f"{worst.place}, {worst.analytic:.9g} against {worst.numeric:.9g} by differences."]  # fmt: skip
        if any(row.checked < row.of for row in self.layers):
            sentences.append("A sample of the parameters was checked; sample=0 checks every one.")
        if self.left_out:
            rows = ", ".join(map(str, self.left_out[:10])) + (", …" if len(self.left_out) > 10 else "")
            sentences.append(f"Left out, because they lie at a corner where no derivative exists: rows {rows}.")
        return " ".join([*sentences, *self.remarks])

    def __str__(self) -> str:
        return f"{self.summary()}\n{self.table()}"

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "NOT passed"
        return f"GradientReport({verdict}, worst error {self.worst.error:.1e} at {self.worst.place})"

    def __rich__(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(title=Text(self.summary(), style="green" if self.passed else "red"), title_justify="left")
        for name in COLUMNS:
            table.add_column(Text(name))
        for line in self._cells():
            table.add_row(*map(Text, line))
        return table


COLUMNS = ("", "checked", "largest entry", "worst error", "where", "gradient", "differences")


def check_gradients(
    net: Any, state: State | None = None, x: ArrayLike | None = None, y: ArrayLike | None = None, *,
    sample_weight: ArrayLike | None = None, gradient: Any = None, step: float = 1e-5, sample: int | None = None,
) -> GradientReport:  # fmt: skip
    """Holds a gradient against central differences in float64, parameter by parameter.

    net:       a Network with its state, or an object with the methods of the well-known book's ``Network``
               (sizes, weights, biases, backprop), then without a state.
    gradient:  what is checked: backlit's own if None; a pair (weight gradients, bias gradients); or a function
               f(weights, biases, x, y) that returns one, with weights (fan_in, fan_out) and biases (fan_out,).
    step:      how far each parameter is moved to either side.
    sample:    how many weights and how many biases of each layer are checked, half of them those furthest from
               the chain rule and half spread evenly; 0 for all. By default all up to 5,000 parameters, else 200.

    The error of an entry is |analytic − numeric| / the largest entry of its layer; the limit is 1e-5.

    >>> net = bl.Network([2, 3, 1], hidden="tanh")
    >>> bl.check_gradients(net, bl.initial_state(net), [[0.1, 0.9], [0.4, 0.2]], [[1], [0]]).passed
    True
    """
    where = "check_gradients"
    if is_network_object(net):
        gradient = gradient or object_gradient(net)
        net, state = network_and_state(where, net)
        x, y = rows_of(x, net.sizes[0]), rows_of(y, net.sizes[-1])
    if state is None or x is None or y is None:
        raise BadInput(f"{where}: net, state, x and y are wanted, or an object with backprop together with x=, y=.")
    check_state(where, net, state)
    _check_step(where, step)
    if sample is not None and (isinstance(sample, bool) or not isinstance(sample, int | np.integer) or sample < 0):
        raise BadInput(f"{where}: sample must be a whole number from 0 on (0 checks all), or None; got {sample!r}.")
    state = state.astype(np.float64)
    x, y, s = check_batch(where, net, state, x, y, sample_weight)
    check_finite(where, x, y)
    return _checked(net, state, x, y, s, gradient, step, sample)


def _check_step(where: str, step: object) -> None:
    if isinstance(step, bool) or not isinstance(step, int | float | np.number) or not 0 < step < 1:
        raise BadInput(f"{where}: step must be a number between 0 and 1; got {step!r}.")


def _checked(
    net: Network, state: State, x: Floats, y: Floats, s: Floats, gradient: Any, step: float, sample: int | None
) -> GradientReport:
    kept = ~corner_rows(net, state.layers, x, y, step)
    if not (kept & (s > 0)).any():
        raise BadInput(
            "check_gradients: every row lies at a corner of relu or of |a − y|, where no derivative exists. Are all "
            "weights or biases 0? Take random ones, or other rows."
        )
    if gradient is None or (callable(gradient) and (s == 1).all()):
        x, y, s, smooth = x[kept], y[kept], s[kept], s[kept]
    else:
        smooth = np.where(kept, s, 0.0)
    right = _chain_rule(net, state, x, y, s)
    analytic, remarks = _analytic(net, state, x, y, s, gradient, right)
    chosen = _chosen(net, analytic.flat, right.flat, sample)
    numeric = chain.difference_gradient(
        net, state.parameters.copy(), x, y, smooth, step=step, central=True, only=np.concatenate(chosen)
    )
    if not np.array_equal(s, smooth):
        # Their numbers include rows at a corner, which have no difference: the chain rule stands in for those.
        scale = chain.batch_factor(net, s) / chain.batch_factor(net, smooth)
        numeric = (numeric - _chain_rule(net, state, x, y, smooth).flat) * scale + right.flat
    rows = _rows(net, analytic, Layers(net.sizes, numeric), chosen)
    return GradientReport(tuple(rows), tuple(np.flatnonzero(~kept).tolist()), tuple(remarks))


def _chain_rule(net: Network, state: State, x: Floats, y: Floats, s: Floats) -> Layers:
    zs, activations = chain.forward(net, state.layers, x)
    total = chain.weighted_sum(net, [x, *activations[:-1]], chain.backward(net, state.layers, zs, activations, y), s)
    total.flat[...] *= chain.batch_factor(net, s)
    return total


def _analytic(
    net: Network, state: State, x: Floats, y: Floats, s: Floats, gradient: Any, right: Layers
) -> tuple[Layers, list[str]]:
    if gradient is None:
        return right, []
    if callable(gradient):
        arrays = [layer.W.copy() for layer in state.layers], [layer.b.copy() for layer in state.layers]
        gradient = called("check_gradients", gradient, *arrays, x.copy(), y.copy())
    readings = read("check_gradients", net, gradient, len(x)).readings()
    foreign = next((r for r in readings if _is_right(r.gradient, right)), readings[0])
    remarks = list(foreign.remarks)
    if foreign.unsummed:
        layers = ", ".join(str(k + 1) for k in foreign.unsummed)
        remarks.append(f"The biases of layer {layers} still have one row per example; their sum was checked.")
    if foreign.single:
        remarks.append("The gradient is in float32, whose rounding alone can exceed the limit: see diagnose.")
    return foreign.gradient, remarks


def _is_right(theirs: Layers, right: Layers) -> bool:
    return max(block_errors(blocks(theirs), blocks(right), [0.0] * 2 * len(right))) < DIFFERENCES_LIMIT


def corner_rows(net: Network, layers: Layers, x: Floats, y: Floats, step: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(B,) whether moving one parameter by ``step`` can carry a unit of that row across a corner.

    A z of the layer moves by step·|a_below| at most, a z further up by what the weights between make of it.
    """
    zs, activations = chain.forward(net, layers, x)
    near = np.zeros(len(x), dtype=bool)
    moved = np.zeros(len(x))  # how far any a_below of a row can have moved
    for l, name in enumerate(net.activations):  # noqa: E741
        below = x if l == 0 else activations[l - 1]
        moved = np.maximum(step * np.maximum(1, np.abs(below).max(1)), moved * np.abs(layers[l].W).sum(0).max())
        if name in ("relu", "leaky_relu"):
            near |= np.abs(zs[l]).min(1) <= moved
        moved = moved * _steepest(name, activations[l])
    if net.loss == "absolute_error":
        near |= np.abs(activations[-1] - y).min(1) <= moved
    return near


def _steepest(name: str, a: Floats) -> float:
    """A bound of the activation's slope over a layer: gelu's is 1.13, exp's is its own value."""
    return 1.1 * float(np.abs(a).max()) if name == "exp" else 1.2


def _chosen(net: Network, analytic: Floats, right: Floats, sample: int | None) -> list[np.ndarray[Any, Any]]:
    """The numbers of the parameters that are checked, for W and b of each layer in turn."""
    if sample is None:
        sample = 0 if net.n_parameters <= ALL_UP_TO else SAMPLE
    difference, chosen, start = np.abs(analytic - right), [], 0
    for array in (array for layer in Layers(net.sizes, right) for array in layer):
        numbers = np.arange(start, start + array.size)
        if 0 < sample < array.size:
            furthest = numbers[np.argsort(-difference[numbers], kind="stable")[: sample // 2]]
            others = np.setdiff1d(numbers, furthest)
            spread = others[np.linspace(0, len(others) - 1, sample - len(furthest)).astype(int)]
            numbers = np.union1d(furthest, spread)
        chosen.append(numbers)
        start += array.size
    return chosen


def _rows(net: Network, analytic: Layers, numeric: Layers, chosen: list[np.ndarray[Any, Any]]) -> list[Row]:
    rows, start = [], 0
    for l, layer in enumerate(analytic):  # noqa: E741
        fan_in, fan_out = layer.W.shape
        numbers = np.concatenate(chosen[2 * l : 2 * l + 2])
        a, n = analytic.flat[numbers], numeric.flat[numbers]
        worst, largest, error = _worst(a, n)
        at = int(numbers[worst]) - start
        place = f"W[{at // fan_out}, {at % fan_out}]" if at < fan_in * fan_out else f"b[{at - fan_in * fan_out}]"
        entry = Entry(f"layer {l + 1}, {place}", float(a[worst]), float(n[worst]), error)
        rows.append(Row(f"layer {l + 1}", len(numbers), (fan_in + 1) * fan_out, largest, entry))
        start += (fan_in + 1) * fan_out
    return rows


def _worst(analytic: Floats, numeric: Floats) -> tuple[int, float, float]:
    """(which entry is worst, the largest entry, the worst error); an entry that is not finite is the worst of all."""
    apart = np.where(np.isfinite(analytic), np.abs(analytic - numeric), np.inf)
    worst = int(apart.argmax())
    largest = max(float(np.abs(numeric).max()), float(np.abs(analytic[np.isfinite(analytic)]).max(initial=0)))
    return worst, largest, float(apart[worst]) / largest if apart[worst] else 0.0


def check_function(f: Callable[..., Any], gradient: Any, at: Any, *, step: float = 1e-5) -> GradientReport:
    """Holds the gradient of any scalar function of arrays against central differences.

    f:         called as f(array), or f(first, second, …) where ``at`` is a tuple or list of arrays.
    gradient:  a function of the same arguments that returns ∂f/∂each, in the same form; or those arrays themselves.
    at:        the point: one array (or number), or a tuple or list of arrays.
    step:      how far an entry is moved to either side, times its own size where that is above 1.

    >>> bl.check_function(lambda a: (a**2).sum(), lambda a: 2 * a, at=np.arange(3.0)).passed
    True
    """
    where, several = "check_function", isinstance(at, tuple | list)
    _check_step(where, step)
    points = [_float_array(where, "at", p) for p in (at if several else [at])]
    if not points:
        raise BadInput(f"{where}: at holds no array: give the point, one array or a tuple of arrays.")
    given = called(where, gradient, *[p.copy() for p in points]) if callable(gradient) else gradient
    if several and not isinstance(given, tuple | list | np.ndarray):
        came = type(given).__name__
        raise BadInput(f"{where}: gradient must give a tuple of {len(points)} arrays, as at has; got {came}.")
    answers = list(given) if several else [given]
    if len(answers) != len(points):
        raise BadInput(f"{where}: gradient must give {len(points)} arrays, one per argument; got {len(answers)}.")
    rows = []
    for number, (point, answer) in enumerate(zip(points, answers, strict=True)):
        analytic = _float_array(where, "gradient", answer)
        if analytic.shape != point.shape:
            raise BadInput(
                f"{where}: ∂f/∂argument {number + 1} must have its shape {point.shape}; got {analytic.shape}."
            )
        numeric = _differences(where, f, points, number, step)
        worst, largest, error = _worst(analytic.ravel(), numeric.ravel())
        index = ", ".join(str(int(i)) for i in np.unravel_index(worst, point.shape))
        place = f"argument {number + 1}[{index}]" if point.shape else f"argument {number + 1}"
        entry = Entry(place, float(analytic.ravel()[worst]), float(numeric.ravel()[worst]), error)
        rows.append(Row(f"argument {number + 1}", point.size, point.size, largest, entry))
    return GradientReport(tuple(rows))


def _differences(where: str, f: Callable[..., Any], points: Sequence[Floats], number: int, step: float) -> Floats:
    """∂f/∂points[number] by central differences."""
    numeric = np.empty_like(points[number])
    for index in np.ndindex(numeric.shape):
        ends = []
        for sign in (1, -1):
            moved = [p.copy() for p in points]
            moved[number][index] += sign * step * max(1.0, abs(float(points[number][index])))
            place = float(moved[number][index])  # before f, which may write into what it is given
            value = np.asarray(called(where, f, *moved))
            if value.size != 1 or value.dtype.kind not in "biuf":
                raise BadInput(f"{where}: f must return one real number; got {value.dtype} of shape {value.shape}.")
            ends.append((place, float(value.reshape(()))))
        numeric[index] = (ends[0][1] - ends[1][1]) / (ends[0][0] - ends[1][0])
    return numeric


def _float_array(where: str, name: str, given: Any) -> Floats:
    try:
        array = np.array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise BadInput(f"{where}: {name} must hold numbers: {error}.") from None
    if not array.size:
        raise BadInput(f"{where}: {name} holds an array without entries.")
    return array
