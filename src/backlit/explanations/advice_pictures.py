"""Pictures of advice: batch sizes, rates, and the examples with the largest gradients. matplotlib as in pictures.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .pictures import BACKWARD, FORWARD, MARK, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]


class _Size(Protocol):
    @property
    def batch(self) -> int: ...
    @property
    def progress(self) -> float: ...
    @property
    def seconds(self) -> float: ...
    @property
    def total(self) -> float: ...


class _Advice(Protocol):
    """What advise_batch_size gives."""

    @property
    def noise_step(self) -> Sequence[int]: ...
    @property
    def noise_curve(self) -> Sequence[float]: ...
    @property
    def noise_scale(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def sizes(self) -> Sequence[_Size]: ...
    @property
    def fastest(self) -> _Size: ...


class _Test(Protocol):
    """What range_test gives."""

    @property
    def rates(self) -> NDArray[np.float64]: ...
    @property
    def losses(self) -> NDArray[np.float64]: ...
    @property
    def smooth(self) -> NDArray[np.float64]: ...
    @property
    def steepest(self) -> float: ...
    @property
    def diverging(self) -> float | None: ...
    @property
    def suggestion(self) -> float: ...


def batch_sizes(advice: _Advice) -> Figure:
    """Three panels: the noise scale over the brief training; progress and time per example; time to the loss."""
    figure = new_figure(width=12, height=3.8)
    noise, progress, total = figure.subplots(1, 3)
    batches = [size.batch for size in advice.sizes]
    curve = [value if np.isfinite(value) else np.nan for value in advice.noise_curve]
    noise.plot(advice.noise_step, curve, color=FORWARD, marker=".")
    noise.set(xlabel="update", ylabel="noise scale, tr Σ/‖G‖²", yscale="log", title="How noisy the gradient is")
    plain_numbers(noise.yaxis)
    progress.plot(batches, [100 * size.progress for size in advice.sizes], color=FORWARD, marker=".")
    progress.set(xlabel="batch size", title="What one update brings, and costs")
    progress.set_ylabel("progress per update, % of the noiseless", color=FORWARD)
    progress.set_ylim(bottom=0)
    time = progress.twinx()
    time.plot(batches, [1e6 * size.seconds for size in advice.sizes], color=BACKWARD, marker=".")
    time.set_ylabel("measured time per example, µs", color=BACKWARD)
    time.set_ylim(bottom=0)
    total.plot(batches, [size.total for size in advice.sizes], color=FORWARD, marker=".")
    total.set(xlabel="batch size", ylabel="seconds", yscale="log")
    plain_numbers(total.yaxis)
    total.yaxis.set_minor_formatter("{x:g}")  # there are few decades
    total.tick_params(axis="y", which="minor", labelsize=7)
    for axis in (progress, total):
        axis.set_xscale("log", base=2)
        plain_numbers(axis.xaxis)
    total.set_title(f"Time to a loss of {advice.loss:.3g}, by the formula")
    shortest = advice.fastest.batch
    total.axvline(shortest, color=MARK, linestyle="--", linewidth=1, label=f"{shortest}: shortest")
    for axis in (noise, progress, total):
        axis.title.set_fontsize(9)
    if np.isfinite(advice.noise_scale):
        name = f"{float(f'{advice.noise_scale:.2g}'):g}, over the second half"
        noise.axhline(advice.noise_scale, color=MARK, linewidth=1, linestyle=":", label=name)
        noise.legend(fontsize=8)
    total.legend(fontsize=8)
    return figure


def plain_numbers(axis: Any) -> None:
    """Has a logarithmic axis say 200, not 2 × 10²."""
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def rates(test: _Test) -> Figure:
    """Loss over the learning rate; the steepest, the diverging and the suggested rate are marked."""
    figure = new_figure(width=7, height=4)
    axis = figure.subplots()
    axis.plot(test.rates, test.losses, color=FORWARD, alpha=0.25, linewidth=1, label="loss of each batch")
    axis.plot(test.rates, test.smooth, color=FORWARD, linewidth=2, label="smoothed")
    top = 1.3 * max(test.smooth.max(), test.smooth[0])
    axis.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0.9 * min(0, test.smooth.min()), top))
    marks: list[tuple[float | None, str, str, str]] = [
        (test.steepest, MARK, "-.", "steepest fall"),
        (test.diverging, BACKWARD, "--", "runs away"),
        (test.suggestion, "black", ":", "begin here"),
    ]
    for rate, color, style, name in marks:
        if rate is not None:
            axis.axvline(rate, color=color, linestyle=style, label=f"{name}: {rate:.2g}")
    axis.legend(fontsize=8)
    return figure


def examples(images: NDArray[Any], captions: Sequence[str], title: str, across: int = 10) -> Figure:
    """Grey pictures (k, height, width) of examples side by side, each with its caption."""
    down = -(-len(images) // across)
    figure = new_figure(width=0.95 * across, height=1.22 * down + 0.4)
    for place, axis in enumerate(figure.subplots(down, across, squeeze=False).flat):
        axis.axis("off")
        if place < len(images):
            axis.imshow(images[place], cmap="gray_r")
            axis.set_title(plain(captions[place]), fontsize=6.5, pad=2)
    figure.suptitle(plain(title), fontsize=9)
    return figure
