"""How large a batch: the gradient noise of a brief training, the time of an example at every size, a measured check.

The formulas of the noise scale's use stand here, once; how noise is measured stands in example_norms.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..batches import Rows, epoch_rows, steps_per_epoch
from ..data import Dataset
from ..engines import open_engine
from ..errors import BadInput
from ..evaluation import evaluate
from ..network import Network
from ..optimizers import SGD
from ..state import State, check_network, check_state, initial_state
from ..training import train
from .rate import RangeTest, range_test

if TYPE_CHECKING:
    from rich.console import Group

LARGEST = 4096  # batch sizes are the powers of 2 up to here, or to the number of rows
UPDATES = 1000  # of the brief training, at least one epoch
POINT = 50  # updates that one point of its noise curve averages
# Seconds of steps in one measurement of time, and how often all sizes are gone around: many short ones, so that one of
# them is left alone by the machine's other work.
ROUND, ROUNDS = 0.003, 15
CHECK_STEPS, CHECK_ROWS = 100, 20_000  # of the measured check: an epoch of at most so many rows, or so many updates
CHECK_RUNS = 5  # orders of the rows
LOSS_ROWS = 10_000  # rows over which a loss is measured
ENDLESS = 1e12  # stands for a noise scale too large to be measured: updates then go with 1/B


@dataclass(frozen=True)
class BatchSize:
    """One line of the advice.

    batch:     rows, B.
    progress:  1/(1 + noise scale/B): the largest fall of the loss by one update, as a share of the one without noise.
    seconds:   per example, measured: one update takes B times that.
    updates, total: updates and seconds to the loss that the brief training reached, by formula and measured time.
    """

    batch: int
    progress: float
    seconds: float
    updates: float
    total: float


@dataclass(frozen=True)
class Trial:
    """One line of the measured check: ``updates`` of ``batch`` rows at ``rate``, from one State, in several orders.

    losses: after it, one for each order; inf where it diverged. expected: how far the formula expects the loss to fall,
    as a multiple of the first trial's fall; None where it says nothing, because the rate isn't the best one.
    """

    batch: int
    rate: float
    updates: int
    losses: tuple[float, ...]
    expected: float | None


@dataclass(frozen=True, eq=False)
class BatchAdvice:
    """What ``advise_batch_size`` found. Show it by ``print(advice)``, in a notebook, or as a picture.

    batch, rate, updates: of the brief training, which went from loss ``loss_before`` to ``loss``.
    noise_step, noise_curve: update and noise scale along it; ``noise_scale``: over its second half.
    sizes: one line per batch size. ``check``: the measured check, from the State after a quarter of the brief training,
    at loss ``check_loss``; what it expects is by the noise of the second quarter.
    """

    network: Network
    rows: int
    batch: int
    rate: float
    updates: int
    loss_before: float
    loss: float
    noise_step: Sequence[int]
    noise_curve: Sequence[float]
    noise_scale: float
    sizes: tuple[BatchSize, ...]
    check_loss: float
    check: tuple[Trial, ...]

    @property
    def fastest(self) -> BatchSize:
        """The batch size with the shortest time to the loss."""
        return min(self.sizes, key=lambda size: size.total)

    @property
    def nearly_as_fast(self) -> tuple[int, int]:
        """The smallest and the largest batch size whose time to the loss is within 25 % of the shortest."""
        near = [size.batch for size in self.sizes if size.total <= 1.25 * self.fastest.total]
        return min(near), max(near)

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers, for JSON."""
        check = [{**vars(trial), "losses": list(trial.losses)} for trial in self.check]
        names = ("rows", "batch", "rate", "updates", "loss_before", "loss", "noise_scale", "check_loss")
        return {
            **{name: getattr(self, name) for name in names},
            "noise": {"update": list(self.noise_step), "noise_scale": list(self.noise_curve)},
            "sizes": [vars(size) for size in self.sizes],
            "fastest": self.fastest.batch,
            "check": check,
        }

    def __str__(self) -> str:
        from .tables import as_text

        return as_text(self.__rich__())

    def __repr__(self) -> str:
        return f"BatchAdvice({self.rows} rows, noise scale {self.noise_scale:.3g}, fastest {self.fastest.batch})"

    def __rich__(self) -> Group:
        from .tables import batch_tables

        return batch_tables(self)

    def _repr_html_(self) -> str:
        from .tables import as_html

        return as_html(self.__rich__())

    def picture(self) -> Any:
        """Noise scale over training, progress and time by batch size, as a matplotlib Figure (extra ``plot``)."""
        from ..explanations.advice_pictures import batch_sizes

        return batch_sizes(self)


def advise_batch_size(
    net: Network,
    data: Any,
    *,
    batch_size: int = 32,
    rate: float | None = None,
    epochs: int | None = None,
    seed: int = 0,
    state: State | None = None,
) -> BatchAdvice:
    """Trains briefly by plain gradient descent (SGD) and says what larger and smaller batches would do.

    data:        a Dataset or a pair (x, y).
    batch_size, rate, epochs: of the brief training. By default the rate comes from ``range_test``, and the epochs are
                 about 1000 updates, one epoch at least.
    state:       where it begins; by default parameters drawn from ``seed``. It is left as it is.

    With noise scale N = tr Σ/‖G‖², the best rate at batch size B is a share 1/(1 + N/B) of the one without noise, and
    so is the best fall of the loss by one update (McCandlish et al., 2018, arXiv 1812.06162, equations 2.6 and 2.7):
    updates to a given loss go with 1 + N/B, examples with B + N. This takes each rate at its best, the noise as
    measured over the second half of the brief training, and the loss as alike curved in all directions. It is guidance
    for plain gradient descent; the link between noise scale and best batch size has been questioned since (arXiv
    2505.23971), and Adam, whose steps hardly grow with the gradient, follows it even less. That is why ``check``
    measures instead.

    The time per example is measured on this machine, with the engine that "auto" takes. Raises BadInput for what
    doesn't fit, Diverged if the brief training does.
    """
    check_network("advise_batch_size", net)
    dataset = Dataset.of(data)
    if len(dataset) < 4:
        raise BadInput(f"advise_batch_size: at least 4 rows are wanted to compare batch sizes; got {len(dataset)}.")
    for name, value, least in (("batch_size", batch_size, 1), ("epochs", 1 if epochs is None else epochs, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise BadInput(f"advise_batch_size: {name} must be a whole number of at least {least}; got {value!r}.")
    begin = initial_state(net, seed=seed) if state is None else state
    check_state("advise_batch_size", net, begin)
    begin = begin.anew()
    batch = min(batch_size, len(dataset))
    if rate is None:
        found: RangeTest = range_test(net, SGD(0.1), dataset, state=begin, batch_size=batch, seed=seed)
        rate = found.suggestion
    epochs = max(1, round(UPDATES / steps_per_epoch(len(dataset), batch))) if epochs is None else epochs
    sample = _sample(dataset, seed)
    loss_before = evaluate(net, begin, sample)[0]
    noise, quarter, after = _trained_briefly(net, SGD(rate), dataset, begin, batch, epochs, seed)
    loss = evaluate(net, after, sample)[0]
    steps, curve = _noise_curve(noise)
    noise_scale, early = _scale(noise[len(noise) // 2 :]), _scale(noise[len(noise) // 4 : len(noise) // 2])
    batches = [1 << i for i in range(13) if 1 << i <= min(LARGEST, len(dataset))]
    sizes = []
    for size, seconds in zip(batches, _times(net, after, dataset, batches, seed), strict=True):
        updates = after.step * _updates(noise_scale, size) / _updates(noise_scale, batch)
        sizes.append(BatchSize(size, _progress(noise_scale, size), seconds, updates, updates * size * seconds))
    best = min(sizes, key=lambda size: size.total).batch
    noiseless = rate * _growth(net, batch) / _progress(early, batch)  # the best rate if there were no noise
    check = _check(net, dataset, quarter, sample, best, noiseless, early, seed)
    return BatchAdvice(
        net, len(dataset), batch, rate, after.step, loss_before, loss, steps, curve, noise_scale, tuple(sizes),
        evaluate(net, quarter, sample)[0], check,
    )  # fmt: skip


def _progress(noise_scale: float, batch: int) -> float:
    return 1 / (1 + min(noise_scale, ENDLESS) / batch)


def _growth(net: Network, batch: int) -> int:
    """How the gradient grows with the batch, and the rate of an equal step shrinks: by reduction "sum" as B does."""
    return batch if net.reduction == "sum" else 1


def _updates(noise_scale: float, batch: int) -> float:
    """What the updates to a given loss are proportional to."""
    return 1 + min(noise_scale, ENDLESS) / batch


def _sample(data: Dataset, seed: int) -> Dataset:
    if len(data) <= LOSS_ROWS:
        return data
    return data.take(np.sort(epoch_rows(len(data), seed, 0)[:LOSS_ROWS]))


def _trained_briefly(
    net: Network, opt: SGD, data: Dataset, state: State, batch: int, epochs: int, seed: int
) -> tuple[NDArray[np.float64], State, State]:
    """(rows of each step, and rows times both its estimates (k, 3); the State after a quarter; the one at the end)."""
    wanted = -(-epochs * steps_per_epoch(len(data), batch) // 4)
    options: dict[str, Any] = {"batch_size": batch, "epochs": epochs, "seed": seed, "noise": True}
    run = train(net, opt, data, state=state, reports_every=wanted, **options)
    parts, quarter, progress = [], None, None
    for progress in run:
        assert progress.noise is not None
        if progress.rows > 1:
            parts.append(progress.rows * np.insert(progress.noise, 0, 1.0, axis=1))
        if progress.step == wanted:
            quarter = progress.state()
    assert progress is not None and quarter is not None
    return np.concatenate(parts), quarter, progress.state()


def _scale(noise: NDArray[np.float64]) -> float:
    """The noise scale of some steps (k, 3): both estimates averaged apart, then divided; inf without any signal."""
    _, square, variance = noise.sum(axis=0)
    return float(variance / square) if square > 0 else float("inf")


def _noise_curve(noise: NDArray[np.float64]) -> tuple[list[int], list[float]]:
    """(update at which each point ends, noise scale of each point)."""
    points = np.array_split(noise, max(1, len(noise) // POINT))
    return np.cumsum([len(p) for p in points]).tolist(), [_scale(p) for p in points]


def _times(net: Network, state: State, data: Dataset, batches: Sequence[int], seed: int) -> list[float]:
    """Seconds per example at each batch size: the fastest of rounds that go around all of them."""
    engine = open_engine("auto", net, SGD(0.1), state, data)
    order = epoch_rows(len(data), seed, 0)

    def seconds(batch: int, steps: int) -> float:
        rows = np.resize(order, (steps, batch))
        start = perf_counter()
        engine.advance(rows, np.zeros(steps))  # at rate 0 the State stays where it is; the time is the same
        return perf_counter() - start

    steps = []
    for batch in batches:
        count = 1
        while seconds(batch, count) < ROUND and count * batch < 1 << 20:
            count *= 2
        steps.append(count)
    rounds = [[seconds(b, k) / (b * k) for b, k in zip(batches, steps, strict=True)] for _ in range(ROUNDS)]
    return [min(column) for column in zip(*rounds, strict=True)]


def _check(
    net: Network, data: Dataset, state: State, sample: Dataset, batch: int, best_rate: float, noise: float, seed: int
) -> tuple[Trial, ...]:
    """B and 2B from one State at equal rows: each at its best rate by the formula, and 2B at B's rate.

    best_rate: without noise, for the mean over a batch.
    """
    while 2 * batch > len(data) and batch > 1:
        batch //= 2
    small, large = (best_rate * _progress(noise, b) / _growth(net, b) for b in (batch, 2 * batch))
    expected = 0.5 * _progress(noise, 2 * batch) / _progress(noise, batch)
    plans = [(batch, small, 1.0), (2 * batch, large, expected), (2 * batch, small, None)]
    twice = max(CHECK_STEPS // 2, min(len(data), CHECK_ROWS) // (2 * batch))  # updates of 2B rows
    trials = []
    for size, rate, falls in plans:
        updates = twice * 2 * batch // size
        losses = []
        for run in range(CHECK_RUNS):
            rows = _rows(len(data), size * updates, seed + 1 + run).reshape(updates, size)
            engine = open_engine("auto", net, SGD(rate), state, data)
            engine.advance(rows, rate)
            loss = evaluate(net, engine.state(), sample)[0]
            losses.append(loss if np.isfinite(loss) else float("inf"))
        trials.append(Trial(size, rate, updates, tuple(losses), falls))
    return tuple(trials)


def _rows(n_rows: int, count: int, seed: int) -> Rows:
    """``count`` rows in the order of training, over as many epochs as that takes."""
    epochs = -(-count // n_rows)
    return np.concatenate([epoch_rows(n_rows, seed, epoch) for epoch in range(epochs)])[:count]
