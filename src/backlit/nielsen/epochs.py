"""The epochs of one SGD call of the book: on the fastest engine where it does the same as the reader's methods,
else by those methods.

Here is decided which of the two; the engines' loop itself is training.train.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from ..batches import Rows, steps_per_epoch
from ..engines.native import addresses
from ..errors import BadInput, Diverged
from ..network import Network as Specification
from ..optimizers import SGD
from ..progress import Progress
from ..state import State, state_from
from ..training import train
from .columns import Array, Shaper
from .shuffling import shuffle_both
from .stacked import Kept, Stacked


class Trained(Protocol):
    """What both programs of the book call a network."""

    sizes: list[int]
    weights: list[Array]  # (fan_out, fan_in) each
    biases: list[Array]  # (fan_out, 1) each


def unchanged(network: object, own: Mapping[str, object]) -> bool:
    """Whether these methods of ``network`` are the module's, neither overridden nor replaced."""
    return all(getattr(getattr(network, name, None), "__func__", None) is method for name, method in own.items())


def optimizer(eta: float, l2: float = 0.0) -> SGD | None:
    """Gradient descent with these numbers, or None where engines refuse them, as a rate below 0."""
    try:
        return SGD(eta, l2=l2)
    except BadInput:
        return None


def state_of(net: Specification, weights: Any, biases: Any) -> State | None:
    """Weights [(fan_out, fan_in)] and biases [(fan_out, 1)] in float64; None where they are no finite numbers so."""
    try:
        turned = [np.asarray(w, np.float64).T for w in weights]
        columns = [np.asarray(b, np.float64) for b in biases]
        if any(b.ndim != 2 or b.shape[1] != 1 for b in columns):
            return None
        return state_from(net, turned, [b[:, 0] for b in columns])
    except (TypeError, ValueError):  # BadInput is a ValueError
        return None


@dataclass
class Epochs:
    """What one SGD call does in each epoch.

    net:     what the network's methods amount to, None where some are the reader's own.
    opt:     the same of their update, None where no engine takes it.
    columns: whether the methods want columns; the reader's own get the pairs as they were given.
    update:  called with each mini-batch where no engine is.
    """

    network: Trained
    net: Specification | None
    opt: SGD | None
    training: list[Any]
    mini_batch_size: int
    shaper: Shaper
    columns: bool
    update: Callable[[Sequence[Any]], None]
    stacked: Stacked | None = None
    laid: Rows = field(default_factory=lambda: np.empty(0, np.int64))  # the training data as last seen: ids of pairs
    laid_rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))  # and its rows

    def __post_init__(self) -> None:
        """Refuses what doesn't fit before anything is shuffled, so that a message counts as the reader does."""
        if self.net and self.opt and self.state(self.net):
            self.rows()
        else:
            self.pairs()

    def state(self, net: Specification) -> State | None:
        """The weights as they are now; None where something odd stands, which only plain code may take."""
        return state_of(net, self.network.weights, self.network.biases)

    def pairs(self) -> Sequence[Any]:
        """The training data in its order now."""
        if not self.columns:
            return self.training
        return self.shaper.pairs("training_data", self.training, self.network.sizes[0], self.network.sizes[-1])

    def rows(self) -> tuple[Stacked, Rows]:
        """The training data as matrices, and the rows there in its order now."""
        ids = addresses(self.training)
        if self.stacked and np.array_equal(ids, self.laid):
            return self.stacked, self.laid_rows
        rows = self.stacked.rows(ids) if self.stacked else None
        if self.stacked is None or rows is None:
            kept: Kept = vars(self.network).setdefault("_kept", Kept())
            self.stacked = kept.of(self.training, self.network.sizes[0], self.network.sizes[-1], self.shaper)
            return self.rows()
        self.laid, self.laid_rows = ids, rows
        return self.stacked, rows

    def shuffle(self) -> None:
        """``random.shuffle`` of the reader's list. The row numbers of a stacked one go along, which is cheaper than to
        look for the row of every pair afterwards."""
        if self.stacked is None:
            random.shuffle(self.training)
            return
        rows = self.rows()[1].copy()  # nobody's order changes under a run that still reads it
        shuffle_both(self.training, rows)
        self.laid, self.laid_rows = addresses(self.training), rows

    def run(self, epoch: int) -> None:
        """Epoch number ``epoch``, from 0: shuffles the training data and goes through it."""
        self.shuffle()
        if self.net and self.opt and (state := self.state(self.net)):
            self.on_engine(self.net, self.opt, state, epoch)
            return
        pairs = self.pairs()
        for start in range(0, len(pairs), self.mini_batch_size):
            self.update(pairs[start : start + self.mini_batch_size])

    def on_engine(self, net: Specification, opt: SGD, state: State, epoch: int) -> None:
        """Trains from ``state`` and writes new arrays to the network at the end.

        Raises Diverged when the numbers run away; the network then holds the last finite ones. After Ctrl-C it
        holds those that the last report of the loop told of.
        """
        stacked, rows = self.rows()
        state = replace(state, step=epoch * steps_per_epoch(len(rows), self.mini_batch_size))
        run = train(
            net,
            opt,
            stacked.data,
            batch_size=self.mini_batch_size,
            epochs=epoch + 1,
            state=state,
            order=lambda _: rows,
        )
        newest: Progress | None = None
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # Diverged says it
                for progress in run:
                    newest = progress
        except Diverged as error:
            newest, state = None, error.state
            raise
        finally:
            state = newest.state() if newest else state
            self.network.weights = [layer.W.T.copy() for layer in state.layers]
            self.network.biases = [layer.b[:, None].copy() for layer in state.layers]
