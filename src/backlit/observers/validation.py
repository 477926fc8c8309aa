"""Validation after every epoch, and early stopping that puts the best State back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from ..data import Dataset
from ..errors import BadInput
from ..evaluation import evaluate
from ..network import Network
from ..progress import Progress
from ..state import State
from .history import History

MONITORS = ("loss", "score")


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the validation hasn't improved by more than ``min_delta`` for ``patience`` epochs.

    monitor: "loss" (smaller is better) or "score" (larger is better). The best State is put back at the end.
    """

    patience: int = 10
    min_delta: float = 0.0
    monitor: str = "loss"

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, Integral) or self.patience < 1:
            raise BadInput(f"EarlyStopping: patience must be a whole number of at least 1; got {self.patience!r}.")
        if not (isinstance(self.min_delta, Real) and self.min_delta >= 0):
            raise BadInput(f"EarlyStopping: min_delta must be a number of at least 0; got {self.min_delta!r}.")
        if self.monitor not in MONITORS:
            raise BadInput(f"EarlyStopping: monitor must be one of {', '.join(MONITORS)}; got {self.monitor!r}.")

    @classmethod
    def of(cls, given: EarlyStopping | int | bool | None) -> EarlyStopping | None:
        """What ``fit`` takes: a record, a number of epochs of patience, True for the defaults, or nothing."""
        if given is None or given is False or isinstance(given, cls):
            return given or None
        return cls() if given is True else cls(patience=given)  # type: ignore[arg-type]


class Validation:
    """After each epoch: loss and score on ``data``, written into ``history``; asks to stop as ``stopping`` says.

    Its labels are read by the classes of ``train``, the rows trained on.
    """

    def __init__(
        self, net: Network, data: Any, train: Dataset, stopping: EarlyStopping | None, history: History
    ) -> None:
        self.net, self.stopping, self.history = net, stopping, history
        train.check_inputs(net)
        train.targets(net)
        try:  # what doesn't fit is told before an epoch is spent
            given = Dataset.of(data)
            given.check_inputs(net)
            self.data = read_alike(given, train, net)
            self.data.targets(net)
        except BadInput as error:
            told = f": {error}".replace(": data is", " is", 1)
            raise BadInput(f"fit: validation{told}") from None
        self.best: State | None = None
        self.best_value = float("inf")
        self.bad_epochs = 0

    def __call__(self, progress: Progress) -> bool:
        if progress.epoch_loss is None:
            return False
        state = progress.state()
        loss, score = evaluate(self.net, state, self.data)
        self.history.validation_loss.append(loss)
        self.history.validation_score.append(score)
        if self.stopping is None:
            return False
        value = loss if self.stopping.monitor == "loss" else -score
        self.bad_epochs = 0 if value < self.best_value - self.stopping.min_delta else self.bad_epochs + 1
        if value < self.best_value:
            self.best, self.best_value = state, value
        return self.wants_to_stop

    @property
    def wants_to_stop(self) -> bool:
        """Whether the patience is over."""
        return self.stopping is not None and self.bad_epochs >= self.stopping.patience

    def record(self) -> dict[str, Any]:
        """How far the patience is, and the best State, for a checkpoint."""
        value = self.best_value if self.best is not None else None
        return {"best": self.best, "best_value": value, "bad_epochs": self.bad_epochs}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Takes up a checkpoint's record."""
        self.best, self.bad_epochs = record["best"], record["bad_epochs"]
        self.best_value = float("inf") if record["best_value"] is None else record["best_value"]


def read_alike(given: Dataset, train: Dataset, net: Network) -> Dataset:
    """``given`` with its labels numbered as ``net`` learns them from ``train``; BadInput for a label not among them."""
    if train.y.ndim != 1 or given.y.ndim != 1:
        return given
    texts, known = train.y.dtype.kind == "U", train.classes
    if net.sizes[-1] > 1 and known is None:  # whole floats are labels there
        known = tuple(np.unique(train.y).astype(np.int64).tolist())
    elif net.sizes[-1] == 1 and not texts and (net.output != "sigmoid" or known is None or set(known) <= {0, 1}):
        if given.y.dtype.kind == "U":
            raise BadInput("y holds texts where the training rows have numbers: wanted numbers")
        if net.output != "sigmoid" or given.classes is None:
            return given
        known = (0, 1)  # numbers as they are: two others would be taken for classes of their own
    return given if given.classes == known else Dataset(given.x, given.y, given.sample_weight, classes=known)
