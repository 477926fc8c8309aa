"""History: the curves of a run as plain lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..training import Progress, Watched

LISTS = ("epoch", "loss", "validation_loss", "validation_score", "rate")


@dataclass
class History:
    """One entry per finished epoch in every list; the validation lists are empty without validation.

    epoch (from 1), loss (mean over the epoch's rows, each at the parameters of its own step), validation_loss,
    validation_score, rate (of the epoch's last step). ``interrupted``: whether Ctrl-C ended the run. ``watched``: the
    steps that ``fit(..., watch=...)`` was to keep for looking at.
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    interrupted: bool = False
    watched: list[Watched] = field(default_factory=list, repr=False)

    def __call__(self, progress: Progress) -> None:
        self.watched += progress.watched
        if progress.epoch_loss is not None:
            self.epoch.append(progress.epoch)
            self.loss.append(progress.epoch_loss)
            self.rate.append(progress.rate)

    def record(self) -> dict[str, Any]:
        """The lists, for a checkpoint."""
        return {name: list(getattr(self, name)) for name in LISTS}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Takes the lists of a checkpoint."""
        for name in LISTS:
            getattr(self, name)[:] = record[name]
