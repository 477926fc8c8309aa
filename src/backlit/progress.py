"""What the training loop tells: Progress, and the Watched steps in it. Records only; the loop is training.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from . import chain
from .batches import Rows
from .data import Dataset
from .network import Network
from .optimizers import Optimizer
from .state import State
from .trace import Trace


@dataclass(frozen=True, eq=False)
class Watched:
    """A watched step: the State ``before`` it, its ``rows`` (B,), and ``after``, the State the engine made of it."""

    network: Network
    optimizer: Optimizer
    data: Dataset
    step: int
    before: State
    rows: Rows
    rate: float
    after: State
    gradient: str = "backpropagation"

    def trace(self) -> Trace:
        """The step replayed by the plain formulas of chain.py and written out."""
        return self._trace

    @cached_property
    def _trace(self) -> Trace:
        s = self.data.sample_weight
        x, y = self.data.x[self.rows], self.data.targets(self.network)[self.rows]
        weights = None if s is None else s[self.rows]
        net, opt, how, rate = self.network, self.optimizer, self.gradient, self.rate
        return chain.step(net, opt, self.before, x, y, sample_weight=weights, gradient=how, rate=rate)

    @property
    def difference(self) -> float:
        """The largest difference of a parameter between the replay and the engine's own result."""
        return float(np.abs(self._trace.after.parameters - self.after.parameters).max())


@dataclass(frozen=True, eq=False)
class Progress:
    """What the loop yields, several times a second and at the end of each epoch.

    step:             updates so far.
    epoch, batch:     the epoch they are in, from 1, and its batches so far.
    epochs, batches:  how many there are.
    losses:           reduced batch losses (k,) of the steps since the last Progress.
    rate:             learning rate of the last of them.
    epoch_loss:       mean loss over the epoch's rows once it is finished, otherwise None; see History for weights.
    watched:          the watched steps among them, each a Watched.
    squared_weights:  ‖W‖² before each of these steps (k,), with ``squared_weights=True``.
    noise:            (k, 2) with ``noise=True``: of each of these steps an estimate of ‖G‖² and one of tr Σ.
    rows:             how many rows each of them had.
    state:            ``state()`` is a copy of the State as it stands, as long as this Progress is the newest. Ctrl-C
                      may stop the engine further on: ``state(progress.step)`` goes back to where this was yielded.
    """

    step: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    losses: NDArray[np.float64]
    rate: float
    epoch_loss: float | None
    watched: tuple[Watched, ...]
    state: Callable[..., State]
    rows: int
    noise: NDArray[np.float64] | None = None
    squared_weights: NDArray[np.float64] | None = None

    def __str__(self) -> str:
        return f"epoch {self.epoch} · batch {self.batch}/{self.batches} · update {self.step}"

    def __repr__(self) -> str:
        return f"Progress({self}, last loss {self.losses[-1]:.6g})"
