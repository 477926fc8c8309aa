"""History: the curves of a run as plain lists."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..training import Progress


@dataclass
class History:
    """One entry per finished epoch in every list; the validation lists are empty without validation.

    epoch (from 1), loss (mean over the epoch's rows, each at the parameters of its own step), validation_loss,
    validation_score, rate (of the epoch's last step). ``interrupted``: whether Ctrl-C ended the run.
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    interrupted: bool = False

    def __call__(self, progress: Progress) -> None:
        if progress.epoch_loss is not None:
            self.epoch.append(progress.epoch)
            self.loss.append(progress.epoch_loss)
            self.rate.append(progress.rate)
