"""History: the curves of a run as plain lists. Nothing is computed here but means of what the loop yields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..progress import Progress, Watched

LISTS = ("epoch", "loss", "validation_loss", "validation_score", "rate")
NOISE_LISTS = ("noise_step", "gradient_square", "gradient_variance", "noise_sums")
NOISE_STEPS = 100  # updates that one point of the noise curve averages


@dataclass
class History:
    """One entry per finished epoch in every list; the validation lists are empty without validation.

    epoch (from 1), loss (mean over the epoch's rows, each at the parameters of its own step), validation_loss,
    validation_score, rate (of the epoch's last step). ``interrupted``: whether Ctrl-C ended the run. ``kept``: False
    where its last checkpoint couldn't be written. ``watched``: the steps that ``fit(..., watch=...)`` was to keep for
    looking at.

    With sample weights ``loss`` is no weighted mean over the epoch: each batch's Σ sᵢLᵢ/Σ sᵢ counts by its rows, as in
    scikit-learn's ``loss_curve_`` (reduction "sum": Σ sᵢLᵢ over the rows). ``validation_loss`` and ``bl.evaluate``
    divide Σ sᵢLᵢ of all their rows by Σ sᵢ.

    With ``noise=True`` there is also a curve with a point for every 100 updates, the last one for those that are left:
    noise_step (the update at which it ends), gradient_square (‖G‖², the squared length of the true gradient),
    gradient_variance (tr Σ, how far the example gradients scatter around it): means of unbiased estimates over the
    point's steps, each step counted by its rows. ``noise_scale`` is their quotient.
    """

    epoch: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_score: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)
    noise_step: list[int] = field(default_factory=list)
    gradient_square: list[float] = field(default_factory=list)
    gradient_variance: list[float] = field(default_factory=list)
    noise_sums: list[float] = field(default_factory=list)  # of the newest point: rows, Σ rows·each
    interrupted: bool = False
    kept: bool = field(default=True, compare=False)
    watched: list[Watched] = field(default_factory=list)

    def __repr__(self) -> str:
        newest = [f"{name} {getattr(self, name)[-1]:.6g}" for name in LISTS[1:4] if getattr(self, name)]
        return f"History({', '.join([f'{len(self.epoch)} epochs', *newest])})"

    @property
    def noise_scale(self) -> list[float]:
        """tr Σ/‖G‖² of every point: the batch size at which noise and signal are equal.

        inf where the signal is too small to be told from noise (‖G‖² estimated at 0 or less).
        """
        pairs = zip(self.gradient_variance, self.gradient_square, strict=True)
        return [variance / square if square > 0 else float("inf") for variance, square in pairs]

    def mean_noise_scale(self, share: float = 0.5) -> float:
        """Over the points that end in the last ``share`` of the updates: both numbers averaged apart, then divided.

        A point counts by its updates, so that a last one of few weighs little. NaN without a curve.
        """
        if not self.noise_step:
            return float("nan")
        ends = np.array(self.noise_step)
        before = (ends - 1) // NOISE_STEPS * NOISE_STEPS  # the updates before each point
        counts = (ends - before) * (ends > ends[-1] - share * (ends[-1] - before[0]))
        square, variance = counts @ self.gradient_square, counts @ self.gradient_variance
        return float(variance / square) if square > 0 else float("inf")

    def __call__(self, progress: Progress) -> None:
        self.watched += progress.watched
        if progress.noise is not None:
            self._add_noise(progress.step - len(progress.noise), progress.noise, progress.rows)
        if progress.epoch_loss is not None:
            self.epoch.append(progress.epoch)
            self.loss.append(progress.epoch_loss)
            self.rate.append(progress.rate)

    def _add_noise(self, step: int, noise: np.ndarray[Any, Any], rows: int) -> None:
        """Adds estimates (k, 2) of the steps from ``step`` on, in order: the sums don't depend on the stretches."""
        if rows < 2:
            return
        shares = np.concatenate([np.full((len(noise), 1), rows), rows * noise], axis=1)  # (k, 3)
        while len(shares):
            count = NOISE_STEPS - step % NOISE_STEPS
            point = (step // NOISE_STEPS + 1) * NOISE_STEPS
            part, shares, step = shares[:count], shares[count:], step + len(shares[:count])
            if not self.noise_step or self.noise_step[-1] <= point - NOISE_STEPS:
                self.noise_sums[:] = 0.0, 0.0, 0.0
                for name in NOISE_LISTS[:3]:
                    getattr(self, name).append(0)
            self.noise_sums[:] = np.cumsum(np.concatenate([[self.noise_sums], part]), axis=0)[-1].tolist()
            self.noise_step[-1] = step
            self.gradient_square[-1] = self.noise_sums[1] / self.noise_sums[0]
            self.gradient_variance[-1] = self.noise_sums[2] / self.noise_sums[0]

    def record(self) -> dict[str, Any]:
        """The lists, for a checkpoint."""
        names = LISTS + NOISE_LISTS if self.noise_step else LISTS
        return {name: list(getattr(self, name)) for name in names}

    def restore(self, record: Mapping[str, Any]) -> None:
        """Takes the lists of a checkpoint."""
        for name in LISTS + NOISE_LISTS:
            getattr(self, name)[:] = record.get(name, [])
