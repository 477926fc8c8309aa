"""The plain engine: chain.step, k times. The reference that every fast engine is held to, and the fallback."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import chain
from ..data import Dataset
from ..errors import BadInput
from ..example_norms import squared_norms
from ..network import Network
from ..optimizers import Optimizer
from ..state import Floats, State
from ..trace import Trace

BLOCK = 4096  # rows of a forward pass at a time: memory stays bounded whatever the data


def availability() -> str:
    """Always ready: it needs NumPy only."""
    return "ready"


class Engine:
    """See engines.Engine."""

    gradient = "backpropagation"

    def __init__(self, net: Network, opt: Optimizer, state: State, data: Dataset) -> None:
        self._net, self._opt, self._state = net, opt, state
        self._x, self._y, self._weights = data.x, data.targets(net), data.sample_weight

    def advance(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """k plain steps; see engines.Engine."""
        return self._losses(rows, rates, None, squared_weights)

    def advance_measured(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """k plain steps, and of each the sizes of its example gradients; see engines.Measuring."""
        squares = np.empty((len(rows), 2))
        return self._losses(rows, rates, squares, squared_weights), squares

    def _losses(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None,
        squares: NDArray[np.float64] | None,
        squared_weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        rows = checked_rows(rows, len(self._x))
        squared_weights = checked_room(squared_weights, len(rows))
        given = [None] * len(rows) if rates is None else checked_rates(rates, len(rows))
        losses = np.empty(len(rows))
        with np.errstate(all="ignore"):  # numbers that run away are seen in the losses
            for k, (batch, rate) in enumerate(zip(rows, given, strict=True)):
                trace = self._step(batch, None if rate is None else float(rate))
                losses[k] = trace.loss
                if squared_weights is not None:
                    squared_weights[k] = chain.squared_weights(trace.before.layers)
                if squares is not None:
                    squares[k] = measured(trace)
        return losses

    def _step(self, batch: NDArray[np.int64], rate: float | None) -> Trace:
        weights = None if self._weights is None else self._weights[batch]
        x, y = self._x[batch], self._y[batch]
        trace = chain.step(
            self._net, self._opt, self._state, x, y, sample_weight=weights, gradient=self.gradient, rate=rate
        )
        self._state = trace.after
        return trace

    def state(self) -> State:
        """The State after the last finished step; it is frozen, so no copy is needed."""
        return self._state


def measured(trace: Trace) -> tuple[float, float]:
    """(mean ‖sᵢgᵢ‖², ‖mean sᵢgᵢ‖²) over the rows of a step, by the plain formulas."""
    deltas, s = [layer.delta for layer in trace.layers], trace.sample_weight
    mean = chain.weighted_sum(trace.network, trace.inputs, deltas, s).flat.astype(np.float64) / len(s)
    return float((s * s * squared_norms(trace.inputs, deltas)).mean()), float(mean @ mean)


def examples(
    net: Network, state: State, x: NDArray[Any], targets: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss (N,) and ‖gᵢ‖² (N,) of every example, block by block; see engines.examples."""
    losses, squares = np.empty(len(x)), np.empty(len(x))
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        block, y = (array[rows].astype(state.dtype, copy=False) for array in (x, targets))
        zs, activations = chain.forward(net, state.layers, block)
        deltas = chain.backward(net, state.layers, zs, activations, y)
        losses[rows] = chain.LOSSES[net.loss].value(zs[-1], activations[-1], y)
        squares[rows] = squared_norms([block, *activations[:-1]], deltas)
    return losses, squares


def forward(net: Network, state: State, x: NDArray[Any]) -> Floats:
    """Outputs (N, n_out) for x (N, n_in), block by block."""
    out = np.empty((len(x), net.sizes[-1]), state.dtype)
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK].astype(state.dtype, copy=False)
        out[start : start + BLOCK] = chain.forward(net, state.layers, block)[1][-1]
    return out


def checked_rows(rows: NDArray[np.int64], n_rows: int) -> NDArray[np.int64]:
    """Row numbers (k, B) of rows that exist; BadInput otherwise."""
    try:
        rows = np.asarray(rows)
    except ValueError:
        raise BadInput("advance: rows must be whole row numbers of shape (k, B); got lists of many lengths.") from None
    if rows.ndim != 2 or rows.dtype.kind not in "iu" or rows.shape[1] == 0:
        raise BadInput(f"advance: rows must be whole row numbers of shape (k, B); got {rows.shape} {rows.dtype}.")
    if rows.size and (rows.min() < 0 or rows.max() >= n_rows):
        raise BadInput(f"advance: rows must be from 0 to {n_rows - 1}; got {rows.min()} to {rows.max()}.")
    return rows


def checked_room(squared_weights: NDArray[np.float64] | None, steps: int) -> NDArray[np.float64] | None:
    """An array (steps,) to be filled, or None; BadInput otherwise."""
    if squared_weights is None:
        return None
    if not isinstance(squared_weights, np.ndarray):
        what = type(squared_weights).__name__
    else:
        what, flags = f"{squared_weights.shape} {squared_weights.dtype}", squared_weights.flags
        if what == f"({steps},) float64" and flags.c_contiguous and flags.writeable:
            return squared_weights
    raise BadInput(f"advance: squared_weights must be a new float64 array of shape ({steps},); got {what}.")


def checked_rates(rates: ArrayLike, steps: int) -> NDArray[np.float64]:
    """Learning rates (steps,) of ``advance``: one for each step, or one number for all; BadInput otherwise."""
    try:
        numbers = np.asarray(rates, np.float64)
        return numbers if numbers.shape == (steps,) else np.broadcast_to(numbers, (steps,))
    except (TypeError, ValueError):
        raise BadInput(f"advance: rates must be {steps} numbers, one per step; got {rates!r:.60}.") from None
