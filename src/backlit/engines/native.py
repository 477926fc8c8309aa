"""The fast engine: whole steps in the compiled core, one call for many of them. The only importer of ``_core``.

Here: what Python says to the core, in its words, and which form the rows of x reach it in. No arithmetic of training:
that is in native/, held to chain.py by the tests.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import Dataset
from ..data.mapped_rows import RowView
from ..errors import BadInput, EngineUnavailable
from ..network import Network
from ..optimizers import SGD, Adam, AdamW, Optimizer, next_rates, slots_of
from ..state import Floats, State
from .reference import checked_rates, checked_room, checked_rows

try:
    from . import _core as _compiled
except ImportError as error:
    _core: Any = None
    # where it is there and can't be loaded, the system's reason belongs to the answer
    _found = "" if "cannot import name" in error.msg else f" ({error.msg})"
    _REASON = (
        f"the compiled core is missing{_found}. Install a C++ compiler, such as Debian's package g++, and then "
        "backlit again: in a clone make clean train, or pip install .; elsewhere "
        "pip install --force-reinstall --no-binary backlit backlit"
    )
else:
    _core, _REASON = _compiled, "ready"

# Numbers of another dtype or layout than the core's are converted: all at once up to this size, otherwise batch by
# batch in pieces of at most this size.
CONVERT_WHOLE_BYTES = 64 << 20
CONVERT_PIECE_BYTES = 8 << 20


def availability() -> str:
    """ "ready", or what is missing and how to get it."""
    return _REASON


def instruction_sets() -> tuple[str, tuple[str, ...]]:
    """(the one in use, all that this processor can run): base, v3 (AVX2), v4 (AVX-512). BACKLIT_ISA chooses."""
    core = _available_core()
    return core.instruction_set(), tuple(core.instruction_sets())


def usable_cores() -> int:
    """For how many cores threads are taken unasked: those that this process may use, and no more than OMP_NUM_THREADS
    said when this was first wanted."""
    return int(_available_core().usable_cores())


def measured_peak(dtype: str = "float32") -> float:
    """Multiply-adds of one core at their fastest, in 10⁹ operations a second; takes a few milliseconds."""
    return float(_available_core().measured_peak(np.dtype(dtype) == np.float64))


def say_on_bus_error(line: str) -> None:
    """From now on, where a file that is mapped into memory is cut short: this line on standard error, and exit code 1.

    Otherwise the system ends the process with SIGBUS and not a word. For programs, not for libraries: it changes the
    whole process. Without the compiled core nothing is changed.
    """
    if _core:
        _core.say_on_bus_error(f"{line}\n")


def addresses(items: Sequence[Any]) -> NDArray[np.int64]:
    """``id`` of every item (N,). The core reads them off the list: the items, all over the memory, are not touched."""
    if _core and type(items) is list:
        ids: NDArray[np.int64] = _core.addresses(items)
        return ids
    return np.fromiter(map(id, items), np.int64, len(items))


def shuffle_both(items: list[Any], rows: NDArray[np.int64], words: Sequence[int]) -> tuple[int, ...]:
    """The exchanges of Python's random.shuffle on ``items``, done to rows (N,) too: see nielsen/shuffling.py.

    words: (625,) of the generator's state; those after it are returned.
    """
    return tuple(_available_core().shuffle_both(items, rows, words))


def forward(net: Network, state: State, x: ArrayLike) -> Floats:
    """Outputs (N, n_out) for x (N, n_in). To the bit, a row's outputs don't depend on the other rows, nor on threads:
    BACKLIT_NUM_THREADS, or as many as pay for so many rows."""
    x = np.asanyarray(x)
    if x.ndim != 2 or x.shape[1] != net.sizes[0]:
        raise BadInput(f"forward: x must have shape (N, {net.sizes[0]}), one example per row; got {x.shape}.")
    out = np.empty((len(x), net.sizes[-1]), state.dtype)
    piece = max(1, CONVERT_PIECE_BYTES // (x.shape[1] * state.dtype.itemsize))
    step, threads = len(x) if _fits_core(x, state.dtype) else piece, threads_wanted()
    for start in range(0, len(x), max(1, step)):
        part = _converted(x[start : start + step], state.dtype)
        parameters = _converted(state.parameters, state.dtype)
        _available_core().forward(net.sizes, net.activations, parameters, part, out[start : start + step], threads)
    return out


def examples(
    net: Network, state: State, x: NDArray[Any], targets: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss (N,) and ‖gᵢ‖² (N,) of every example, for x (N, n_in) and targets (N, n_out); see engines.examples."""
    losses, squares = np.empty(len(x)), np.empty(len(x))
    piece = max(1, CONVERT_PIECE_BYTES // ((x.shape[1] + targets.shape[1]) * state.dtype.itemsize))
    for start in range(0, len(x), piece):
        rows = slice(start, start + piece)
        part, wanted = _converted(x[rows], state.dtype), _converted(targets[rows], state.dtype)
        parameters = _converted(state.parameters, state.dtype)
        core = _available_core()
        core.examples(net.sizes, net.activations, net.loss, parameters, part, wanted, losses[rows], squares[rows])
    return losses, squares


class Engine:
    """See engines.Engine.

    threads: None takes BACKLIT_NUM_THREADS, or as many as pay for a step's size, among the usable cores; engines that
             run at the same time in several Python threads share these.
    """

    def __init__(self, net: Network, opt: Optimizer, state: State, data: Dataset, threads: int | None = None) -> None:
        self._opt, self._start, self._dtype = opt, state, state.dtype
        # Some rows of a memory map are read from the whole of it, at their own places.
        self._places = data.x.rows if isinstance(data.x, RowView) else None
        self._x = _for_core(data.x.base if isinstance(data.x, RowView) else data.x, self._dtype)
        self._n_rows, self._weights, self._mean = len(data), data.sample_weight, net.reduction == "mean"
        self._slots = slots_of(opt)
        core = _available_core()
        self._core = (core.Core64 if self._dtype == np.float64 else core.Core32)(
            sizes=net.sizes,
            activations=net.activations,
            loss=net.loss,
            mean=self._mean,
            optimizer=_settings(opt),
            parameters=_converted(state.parameters, self._dtype),
            slots=[_converted(state.slots[name], self._dtype) for name in self._slots],
            update=state.step - state.started,
            targets=_converted(data.targets(net), self._dtype),
            weights=None if data.sample_weight is None else _converted(data.sample_weight, self._dtype),
            threads=threads_wanted(threads),
        )

    def advance(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """k steps; see engines.Engine. Ctrl-C stops it between two, or within a large one, which then has not been."""
        rows = np.ascontiguousarray(checked_rows(rows, self._n_rows), np.int64)
        return self._run(rows, rates, None, squared_weights)

    def advance_measured(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """k steps to the same bits, and of each the sizes of its example gradients; see engines.Measuring."""
        rows = np.ascontiguousarray(checked_rows(rows, self._n_rows), np.int64)
        squares = np.empty((len(rows), 2))
        losses = self._run(rows, rates, squares, squared_weights)
        # The core counts example i as cᵢgᵢ, with cᵢ = sᵢ or, reduced by a mean, sᵢ/Σs; here it counts as sᵢgᵢ.
        batch = rows.shape[1]
        s = self._weights
        total = 1.0 if not self._mean else batch if s is None else s[rows].sum(1, dtype=np.float64)
        squares *= np.stack(np.broadcast_arrays(total**2 / batch, (total / batch) ** 2), axis=-1)
        return losses, squares

    def _run(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None,
        squares: NDArray[np.float64] | None,
        squared_weights: NDArray[np.float64] | None,
    ) -> NDArray[np.float64]:
        rates = np.ascontiguousarray(checked_rates(self._rates(len(rows), rates), len(rows)))
        squared_weights = checked_room(squared_weights, len(rows))
        places = rows if self._places is None else self._places[rows]
        if _fits_core(self._x, self._dtype):
            return self._core.advance(self._x, places, rows, rates, squares, squared_weights)
        losses = np.empty(len(rows))
        for steps, gathered in self._gathered(places):
            positions = np.arange(rows[steps].size).reshape(rows[steps].shape)
            parts = (None if told is None else told[steps] for told in (squares, squared_weights))
            losses[steps] = self._core.advance(gathered, positions, rows[steps], rates[steps], *parts)
        return losses

    def state(self) -> State:
        """A copy of the State after the last finished step."""
        return replace(
            self._start,
            parameters=self._core.parameters(),
            slots={name: self._core.slot(i) for i, name in enumerate(self._slots)},
            step=self._start.started + self._core.updates,
        )

    def _rates(self, steps: int, rates: ArrayLike | None) -> ArrayLike:
        if rates is not None:
            return rates
        now = self._start.started + self._core.updates
        return next_rates(self._opt.rate, now, steps, self._start.epoch_losses)

    def _gathered(self, rows: NDArray[np.int64]) -> Iterator[tuple[slice, Floats]]:
        """These rows of x (steps · B, n_in) for a few steps at a time, in the core's dtype."""
        step_bytes = rows.shape[1] * self._x.shape[1] * self._dtype.itemsize
        stride = max(1, CONVERT_PIECE_BYTES // step_bytes)
        for start in range(0, len(rows), stride):
            steps = slice(start, min(start + stride, len(rows)))
            yield steps, _converted(self._x[rows[steps].ravel()], self._dtype)


def _available_core() -> Any:
    if not _core:
        raise EngineUnavailable(f"engine 'native': {_REASON}")
    return _core


def _settings(opt: Optimizer) -> dict[str, Any]:
    """The optimizer in the core's words: every field, 0 where this kind has none."""
    names = ("momentum", "beta1", "beta2", "epsilon", "l2", "weight_decay")
    kind = ("momentum" if opt.momentum else "sgd") if isinstance(opt, SGD) else "adam"
    return {
        "kind": kind,
        **{name: getattr(opt, name, 0.0) for name in names},
        "nesterov": isinstance(opt, SGD) and opt.nesterov,
        "l2_over_batch": not isinstance(opt, AdamW) and opt.l2_over == "batch",
        "raw_epsilon": isinstance(opt, Adam) and opt.epsilon_with == "raw",
    }


def threads_wanted(threads: int | None = None) -> int:
    """The number given, or that of BACKLIT_NUM_THREADS; 0 for automatic. BadInput for what is no such number."""
    value: Any = os.environ.get("BACKLIT_NUM_THREADS") or 0 if threads is None else threads
    where = "BACKLIT_NUM_THREADS" if threads is None else "threads"
    try:
        number = operator.index(int(value) if isinstance(value, str) else value)
    except (TypeError, ValueError):
        number = -1
    if not (0 <= number <= 4096) or (threads is not None and number == 0):
        raise BadInput(f"native: {where} must be a whole number from 1 to 4096; got {value!r}.")
    return number


def _fits_core(x: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    return x.dtype == dtype and x.flags.c_contiguous and x.flags.aligned


def _converted(x: NDArray[Any], dtype: np.dtype[Any]) -> Floats:
    """x in the core's dtype and layout; itself if it has them."""
    return np.require(x, dtype, ["C", "A"])


def _for_core(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """x converted now if it is small and in memory, otherwise x itself."""
    small = x.size * dtype.itemsize <= CONVERT_WHOLE_BYTES and not isinstance(x, np.memmap)
    return _converted(x, dtype) if small else x
