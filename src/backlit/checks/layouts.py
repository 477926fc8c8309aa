"""A gradient as somebody else has it -> Layers in float64, and what was recognised on the way.

The forms people use are known here and nowhere else: transposed weights, columns for biases, the pair in the other
order, biases that still have one row per example, float32. Nothing is judged here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network import Network
from ..state import Floats, Layers


@dataclass
class Foreign:
    """Somebody's gradient, read.

    gradient:   float64, in the form of backlit: W (fan_in, fan_out), b (fan_out,).
    single:     every number is a float32, so it was computed in that precision.
    remarks:    what was recognised, one sentence each.
    unsummed:   layers (from 0) whose biases came with one row per example; ``gradient`` has their sum.
    turnable:   every W is square and every b a column, so that all W may be (fan_out, fan_in) and nobody can see it.
    swapped:    the same pair in the other order, where its shapes fit both ways.
    """

    gradient: Layers
    single: bool
    remarks: list[str] = field(default_factory=list)
    unsummed: tuple[int, ...] = ()
    turnable: bool = False
    swapped: Foreign | None = None

    def readings(self) -> list[Foreign]:
        """Every way in which these shapes may be meant, the likeliest first."""
        orders = [self] if self.swapped is None else [self, self.swapped]
        return orders + [order.turned() for order in orders if order.turnable]

    def turned(self) -> Foreign:
        """The same with every (square) W transposed."""
        flat = Layers(self.gradient.sizes, self.gradient.flat.copy())
        for layer, given in zip(flat, self.gradient, strict=True):
            layer.W[...] = given.W.T
        remark = "The weight gradients are (fan_out, fan_in), as columns for biases suggest; they were transposed."
        return Foreign(flat, self.single, [*self.remarks, remark], self.unsummed)


def read(where: str, net: Network, given: Any, rows: int) -> Foreign:
    """Reads Layers, or a pair (weight gradients, bias gradients) for a batch of ``rows`` examples.

    Raises BadInput, with every shape that was wanted, for what has none of the known forms.
    """
    if isinstance(given, Layers):
        if given.sizes != net.sizes:
            raise BadInput(f"{where}: the gradient has sizes {list(given.sizes)}, the network {list(net.sizes)}.")
        return Foreign(Layers(net.sizes, given.flat.astype(np.float64)), _is_single([given.flat]))
    readings = [_read_pair(net, *pair, rows) for pair in _pairs(where, net, given, rows)]
    return readings[0] if len(readings) == 1 else replace(readings[0], swapped=readings[1])


def _read_pair(net: Network, weights: list[Floats], biases: list[Floats], swapped: bool, rows: int) -> Foreign:
    flat = Layers(net.sizes, np.zeros(net.n_parameters))
    turned, unsummed, columns = [], [], []
    for number, (layer, W) in enumerate(zip(flat, weights, strict=True)):
        if W.shape != layer.W.shape:
            turned.append(number)
        layer.W[...] = W if W.shape == layer.W.shape else W.T
    squares = [k for k, layer in enumerate(flat) if layer.W.shape[0] == layer.W.shape[1]]
    if turned and len(turned) + len(squares) == len(flat):  # the layers that show their form are all transposed
        for k in squares:
            flat[k].W[...] = weights[k].T
    for number, (layer, b) in enumerate(zip(flat, biases, strict=True)):
        form = _bias_form(b, len(layer.b), rows)
        layer.b[...] = b.reshape(-1) if form in ("vector", "column", "row") else b.sum(0 if form == "rows" else 1)
        columns += [number] if form == "column" and len(layer.b) > 1 else []
        unsummed += [number] if form in ("rows", "columns") else []
    remarks = _remarks(swapped, bool(turned), columns)
    turnable = len(squares) == len(flat) and bool(columns)
    return Foreign(flat, _is_single([*weights, *biases]), remarks, tuple(unsummed), turnable)


def _remarks(swapped: bool, turned: bool, columns: list[int]) -> list[str]:
    remarks = []
    if swapped:
        remarks.append("The pair came as (bias gradients, weight gradients); it was put in the other order.")
    if turned:
        remarks.append("The weight gradients are (fan_out, fan_in); they were transposed.")
    if columns:
        remarks.append("The bias gradients are columns (fan_out, 1); they were flattened.")
    return remarks


def _pairs(where: str, net: Network, given: Any, rows: int) -> list[tuple[list[Floats], list[Floats], bool]]:
    """(weight gradients, bias gradients, whether they came the other way round): one order, or both where both fit."""
    wanted = (
        f"{where}: a gradient is a pair (weight gradients, bias gradients) of lists with one array per layer, of "
        f"shapes {', '.join(map(str, _weight_shapes(net)))} and {', '.join(f'({o},)' for o in net.sizes[1:])}"
    )
    if isinstance(given, str | bytes | dict) or not isinstance(given, Sequence) or len(given) != 2:
        raise BadInput(f"{wanted}; got {_described(given)}.")
    try:
        first, second = _arrays(given[0]), _arrays(given[1])
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadInput(f"{wanted}; what came is no list of arrays of numbers: {error}.") from None
    if not second and _fit_weights(net, first):  # no bias gradients at all: they count as 0, and are told as missing
        second = [np.zeros(o) for o in net.sizes[1:]]
    fitting = [
        (weights, biases, swapped)
        for weights, biases, swapped in ((first, second, False), (second, first, True))
        if _fit_weights(net, weights) and _fit_biases(net, biases, rows)
    ]
    if fitting:
        return fitting
    raise BadInput(f"{wanted}; got {_shapes(first)} and {_shapes(second)}.")


def _weight_shapes(net: Network) -> list[tuple[int, int]]:
    return list(zip(net.sizes, net.sizes[1:], strict=False))


def _arrays(given: Any) -> list[Floats]:
    if given is None:
        return []
    arrays = [np.asarray(entry) for entry in given]
    return [a if a.dtype in (np.float32, np.float64) else a.astype(np.float64) for a in arrays]


def _fit_weights(net: Network, arrays: Sequence[Floats]) -> bool:
    shapes = _weight_shapes(net)
    return len(arrays) == len(shapes) and all(
        a.shape in (shape, shape[::-1]) for a, shape in zip(arrays, shapes, strict=True)
    )


def _fit_biases(net: Network, arrays: Sequence[Floats], rows: int) -> bool:
    return len(arrays) == len(net.sizes) - 1 and all(
        _bias_form(a, o, rows) for a, o in zip(arrays, net.sizes[1:], strict=True)
    )


def _bias_form(b: Floats, fan_out: int, rows: int) -> str:
    """vector (o,), column (o, 1), row (1, o), rows (n, o), columns (o, n); "" for any other shape."""
    forms: dict[tuple[int, ...], str] = {(fan_out, rows): "columns", (rows, fan_out): "rows"}
    forms |= {(1, fan_out): "row", (fan_out, 1): "column", (fan_out,): "vector"}
    return forms.get(b.shape, "")


def _is_single(arrays: Sequence[Floats]) -> bool:
    """Whether every number is a float32, even where the arrays are float64."""
    with np.errstate(over="ignore", invalid="ignore"):
        return all(bool(np.array_equal(a, a.astype(np.float32), equal_nan=True)) for a in arrays)


def _described(given: object) -> str:
    length = f" of length {len(given)}" if isinstance(given, Sequence) else ""
    return f"{type(given).__name__}{length}"


def _shapes(arrays: Sequence[Floats]) -> str:
    return ", ".join(str(a.shape) for a in arrays) or "nothing"


def called(where: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """What somebody's function returns; whatever it raises becomes one line with its place in their file."""
    try:
        return function(*arguments)
    except Exception as error:
        message, place = " ".join(str(error).split()), ""
        trace = error.__traceback__ and error.__traceback__.tb_next  # theirs; a compiled function leaves none
        if trace is None and isinstance(error, TypeError) and not _takes(function, arguments):
            told = f"your function can't be called with {len(arguments)} arguments: {message}"
            raise BadInput(f"{where}: {told}.") from None
        while trace is not None:
            place = f", line {trace.tb_lineno} of {trace.tb_frame.f_code.co_filename}"
            trace = trace.tb_next
        raise BadInput(f"{where}: your function raised {type(error).__name__}: {message}{place}.") from None


def _takes(function: Callable[..., Any], arguments: Sequence[Any]) -> bool:
    """Whether a function can be called with so many arguments; of compiled ones that don't tell, it is believed."""
    try:
        signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True
