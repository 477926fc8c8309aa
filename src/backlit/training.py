"""The only loop: rows to the engine, Progress to the caller, who stops it with break. No maths and no print here."""

from __future__ import annotations

import operator
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .batches import BLOCK, Order, Rows, cut, epoch_rows, steps_per_epoch
from .data import Dataset
from .data.mapped_rows import ReadAhead
from .engines import measures, open_engine
from .errors import BadInput, Diverged
from .example_norms import signal_and_noise
from .network import Network
from .optimizers import Optimizer, check_optimizer, next_rates
from .progress import Progress, Watched
from .state import State, check_state, initial_state

STRETCH = 0.05  # seconds that one call of the engine should take, so that Ctrl-C and progress stay alive
KEEP_EVERY = 0.5  # seconds between the states kept for going back to when the numbers run away


def train(
    net: Network,
    opt: Optimizer,
    data: Any,
    *,
    batch_size: int = 32,
    epochs: int = 10,
    seed: int = 0,
    state: State | None = None,
    engine: str = "auto",
    order: Order = "shuffled",
    watch: Iterable[int] = (),
    reports_every: int | None = None,
    noise: bool = False,
    squared_weights: bool = False,
) -> Iterator[Progress]:
    """Trains by mini-batch gradient descent: a generator of Progress, stopped at any time with break.

    data:    a Dataset or a pair (x, y).
    epochs:  the total: a state that has 10 behind it, trained with epochs=30, gives the bits of 30 at once. To train a
             state on other data, or in other batches, begin anew: ``state=state.anew()``.
    seed:    of the order of the rows, and of the parameters if no ``state`` is given.
    order:   "shuffled", "as_given", "shuffled_in_blocks" (for files on a slow disk), or a function epoch -> row
             numbers.
    watch:   numbers of steps, from 0, whose State before and rows are kept for ``Progress.watched``; steps that the
             state has behind it are not seen again.
    reports_every: the most updates between two Progress; 1 shows every step. Its multiples, counted from the State's
             first update, always have their Progress, whatever the clock does, and so has each epoch's end. Without
             it, about 0.05 seconds of steps.
    noise:   measure how far the gradients of the examples scatter around their mean G: ``Progress.noise`` holds of each
             step unbiased estimates of ‖G‖² and of tr Σ, the trace of the covariance of the example gradients (the
             formulas: example_norms.signal_and_noise). Average both over many steps, then divide: tr Σ/‖G‖² is the
             noise scale, the batch size at which noise and signal are equal. L2 takes no part; example i counts with
             its sample weight, as sᵢ·gᵢ; a last batch of one row is NaN. The rows of a batch are taken for drawn at
             random, as "shuffled" does: in the order of a sorted file the scatter between batches is missed. Changes no
             bit of the run; benchmarks/noise_cost.py says what it costs. For the engines native and reference.

    squared_weights: tell ‖W‖² over all layers, without biases, before each step, ``Progress.squared_weights``: an L2
             penalty takes part in the updates, not in the losses, and this is what a loss with it is made from. Each
             step reads W once more, which small batches notice.

    Raises BadInput at once for what doesn't fit; Diverged, with the last finite State, when the numbers run away.

    >>> data = np.zeros((10, 2)), np.zeros((10, 1))
    >>> for progress in bl.train(bl.Network([2, 1]), bl.SGD(0.1), data, batch_size=4, epochs=2):
    ...     if progress.epoch_loss is not None:
    ...         print(progress)
    epoch 1 · batch 3/3 · update 3
    epoch 2 · batch 3/3 · update 6
    """
    check_optimizer("train", opt)
    if state is None:
        state = initial_state(net, opt, seed=seed)
    check_state("train", net, state)
    dataset = Dataset.of(data)
    batch_size, epochs = _count("batch_size", batch_size, 1), _count("epochs", epochs, 0)
    first = epoch_rows(len(dataset), _count("seed", seed, 0), 0, order)
    batch_size = min(batch_size, len(first))
    if noise and batch_size < 2:
        raise BadInput("train: noise=True needs batches of at least 2 rows: one row alone tells no noise from signal.")
    per_epoch = steps_per_epoch(len(first), batch_size)
    _check_epochs_behind(state, per_epoch)
    if not isinstance(watch, Iterable):
        raise BadInput(f"train: watch must be a list of step numbers, such as [0, 1]; got {watch!r}.")
    watched = sorted({_count("watch", step, 0) for step in watch})
    if watched and watched[-1] >= per_epoch * epochs:
        raise BadInput(
            f"train: watch names step {watched[-1]}, but {epochs} epochs of {per_epoch} batches have the steps "
            f"0 to {per_epoch * epochs - 1}."
        )
    every = None if reports_every is None else _count("reports_every", reports_every, 1)
    seen = frozenset(watched)
    plan = _Plan(
        net, opt, dataset, engine, batch_size, epochs, seed, order, len(first), seen, every, noise, squared_weights
    )
    return _Run(plan, state.for_optimizer(opt)).epochs()


def _count(name: str, value: Any, least: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or isinstance(value, bool):
        raise BadInput(f"train: {name} must be a whole number of at least {least}; got {value!r}.")
    return number


def _check_epochs_behind(state: State, per_epoch: int) -> None:
    """BadInput where the epochs that the State remembers aren't those that its steps make with this data."""
    known, counted = len(state.epoch_losses), state.step // per_epoch
    if known and known != counted:
        raise BadInput(
            f"train: the state has {known} epochs and {state.step} updates behind it; with {per_epoch} updates an "
            f"epoch these would be {counted} epochs. It was trained on other data or in other batches: to begin anew "
            "with its parameters, give state=state.anew()."
        )


@dataclass(frozen=True)
class _Plan:
    """What a run is to do; checked."""

    net: Network
    opt: Optimizer
    data: Dataset
    engine: str
    batch_size: int
    epochs: int
    seed: int
    order: Order
    epoch_rows: int
    watch: frozenset[int]
    every: int | None
    noise: bool
    squared_weights: bool

    @property
    def per_epoch(self) -> int:
        return steps_per_epoch(self.epoch_rows, self.batch_size)

    def rows(self, epoch: int) -> Rows:
        rows = epoch_rows(len(self.data), self.seed, epoch, self.order)
        if len(rows) != self.epoch_rows:
            raise BadInput(f"order({epoch}) must give {self.epoch_rows} rows, as order(0) does; got {len(rows)}.")
        return rows

    def population(self, rows: Rows) -> int | None:
        """From how many rows the batches of this epoch are drawn, if no row can come twice; None if it can."""
        return len(rows) if isinstance(self.order, str) or len(np.unique(rows)) == len(rows) else None


class _Stretch(NamedTuple):
    """What one call of the engine gave, under Progress' names."""

    losses: NDArray[np.float64]
    rate: float
    watched: tuple[Watched, ...]
    noise: NDArray[np.float64] | None
    squared_weights: NDArray[np.float64] | None


class _Run:
    """A plan under way: where it stands, and the way back to the last finite State."""

    def __init__(self, plan: _Plan, state: State) -> None:
        self.plan = plan
        self.engine = open_engine(plan.engine, plan.net, plan.opt, state, plan.data)
        if plan.noise and not measures(self.engine):
            raise BadInput(f"train: the engines native and reference measure the noise; {plan.engine!r} does not.")
        self.population: int | None = None
        # One attribute, so that a Ctrl-C between two lines can't leave half of it changed.
        self.record = (state.step, state.epoch_losses, state.epoch_sum)
        self.k = 1
        # An engine on several hosts says how many steps each call takes, because the hosts' clocks differ.
        self.steady: int | None = getattr(self.engine, "steady", None)
        # Two kept states, so that at least one finite step always lies between the older one and a divergence.
        self.older = self.newer = state
        self.kept_at = perf_counter()
        self.since_older: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []  # (losses, rates)

    @property
    def step(self) -> int:
        return self.record[0]

    def state(self, step: int | None = None) -> State:
        """A copy of the State as it stands, or as it was after ``step`` updates; with the loop's record of losses."""
        state, (reached, epoch_losses, epoch_sum) = self.engine.state(), self.record
        if state.step == reached and step in (None, reached):
            return replace(state, epoch_losses=epoch_losses, epoch_sum=epoch_sum)
        # Else Ctrl-C came inside a stretch, and the engine further than its losses, or this further than its report.
        if step is None and self.steady:  # a second engine would wait for the other hosts, which don't replay
            return self.newer
        return self.replay(state.step if step is None else step)

    def epochs(self) -> Iterator[Progress]:
        plan, per_epoch = self.plan, self.plan.per_epoch
        first, done = divmod(self.step, per_epoch)
        for epoch in range(first, plan.epochs):
            rows, end = plan.rows(epoch), (epoch + 1) * per_epoch
            ahead = self.ahead(rows)
            self.population = plan.population(rows) if plan.noise else None
            for block in cut(rows, plan.batch_size, done):
                while len(block):
                    k = self.stretch(len(block))
                    if ahead is not None:
                        ahead.until(self.step % per_epoch * plan.batch_size)
                    stretch = self.advance(block[:k])
                    block = block[k:]
                    if self.step == plan.epochs * per_epoch:
                        self.check_parameters()
                    yield Progress(
                        step=self.step,
                        epoch=epoch + 1,
                        epochs=plan.epochs,
                        batch=self.step - epoch * per_epoch,
                        batches=per_epoch,
                        epoch_loss=self.record[1][-1] if self.step == end else None,
                        state=self.state,
                        rows=block.shape[1],
                        **stretch._asdict(),
                    )
            done = 0

    def ahead(self, rows: Rows) -> ReadAhead | None:
        """What reads a file's blocks before the engine comes to them, where the rows come in blocks from a file."""
        if self.plan.order != "shuffled_in_blocks" or getattr(self.engine, "holds_data", False):
            return None
        return ReadAhead(self.plan.data.x, rows, BLOCK)

    def stretch(self, left: int) -> int:
        """How many steps to run in one call: about STRETCH seconds of them, up to a multiple, a watched one alone."""
        to_watched = min((step - self.step for step in self.plan.watch if step >= self.step), default=left)
        every = self.plan.every
        to_report = left if every is None else every - self.step % every
        return max(1, min(left, self.steady or self.k, to_watched, to_report))

    def advance(self, rows: Rows) -> _Stretch:
        """Runs one stretch of rows (k, B): a watched step, or several others."""
        plan, rates = self.plan, self.rates(len(rows))
        squared = np.empty(len(rows)) if plan.squared_weights else None
        before = self.state() if self.step in plan.watch else None
        start = perf_counter()
        noise = None
        if plan.noise:
            losses, noise = self.measured(rows, rates, squared)
        else:
            losses = self.engine.advance(rows, rates, squared)
        spent = perf_counter() - start
        self.k = max(1, min(4 * self.k, int(STRETCH * len(rows) / max(spent, 1e-9))))
        self.since_older.append((losses, rates))
        self.account(losses, rows.shape[1])
        watched: tuple[Watched, ...] = ()
        if before is not None:
            after = self.state()
            gradient = "finite_differences" if plan.engine == "finite_differences" else "backpropagation"
            rate = float(rates[0])
            watched = (Watched(plan.net, plan.opt, plan.data, before.step, before, rows[0], rate, after, gradient),)
        if self.steady or start + spent - self.kept_at > KEEP_EVERY:
            self.keep()
        return _Stretch(losses, float(rates[-1]), watched, noise, squared)

    def measured(
        self, rows: Rows, rates: NDArray[np.float64], squared: NDArray[np.float64] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
        """The engine's steps on rows (k, B): their losses (k,), and their estimates of ‖G‖² and tr Σ (k, 2)."""
        assert measures(self.engine)
        losses, squares = self.engine.advance_measured(rows, rates, squared)
        return losses, signal_and_noise(squares[:, 0], squares[:, 1], rows.shape[1], self.population)

    def rates(self, k: int) -> NDArray[np.float64]:
        """The learning rates (k,) of the next k steps."""
        step, epoch_losses, _ = self.record
        return np.full(k, next_rates(self.plan.opt.rate, step, k, epoch_losses), np.float64)

    def account(self, losses: NDArray[np.float64], batch: int) -> None:
        """Adds the losses to the epoch's, one after the other whatever the stretches, and closes a finished epoch.

        Raises Diverged if a loss isn't finite.
        """
        step, epoch_losses, epoch_sum = self.record
        with np.errstate(all="ignore"):  # numbers about to run away are told below, or by the next step
            shares = losses * (batch if self.plan.net.reduction == "mean" else 1)
            shares[0] += epoch_sum
            epoch_sum = float(np.add.accumulate(shares)[-1])
        if not isfinite(epoch_sum) and not (finite := np.isfinite(losses)).all():
            self.diverged(step + int(np.argmin(finite)))
        step += len(losses)
        if step % self.plan.per_epoch == 0:
            epoch_losses, epoch_sum = (*epoch_losses, epoch_sum / self.plan.epoch_rows), 0.0
        self.record = step, epoch_losses, epoch_sum

    def keep(self) -> None:
        """Keeps the State as it stands for going back to."""
        self.check_parameters()
        done = self.newer.step - self.older.step
        while done:
            done -= len(self.since_older.pop(0)[0])
        self.older, self.newer, self.kept_at = self.newer, self.state(), perf_counter()

    def check_parameters(self) -> None:
        if not np.isfinite(self.engine.state().parameters).all():
            self.diverged(self.step)

    def diverged(self, bad: int) -> None:
        """Raises Diverged with the State before the step that led to the bad one: the last that is finite."""
        first, step = self.older.step, max(bad - 1, self.older.step)
        if self.spoiled(step):  # and what isn't finite stays so: look for the first such step by halves
            step = max(first, first + bisect_left(range(first, step), True, key=self.spoiled) - 1)
        state = self.replay(step)
        losses, rates = (np.concatenate(column) for column in zip(*self.since_older, strict=True))
        loss, rate = losses[step - self.older.step], rates[step - self.older.step]
        epoch, batch = divmod(step, self.plan.per_epoch)
        where = f"epoch {epoch + 1} · batch {batch + 1}/{self.plan.per_epoch} · update {step + 1}"
        what = f" (step {step}) left the finite numbers: the loss before it was {loss:.6g}, the rate {rate:g}."
        do = "Try a rate ten times smaller, and scale the inputs (and targets that are large numbers)."
        if not np.isfinite(loss):
            what = f": the loss before this first step is already {loss}."
            do = "Look for huge numbers, NaN or infinity in the data and the parameters."
        size = self.plan.batch_size
        odd = self.plan.data.not_finite(self.plan.rows(epoch)[batch * size : (batch + 2) * size])
        if odd is not None:  # of this step or the next; files are not looked through before
            do = f"Row {odd} of x (from 0) holds NaN or infinity: fill it or drop it."
        raise Diverged(f"train: {where}{what} {do}", state)

    def spoiled(self, step: int) -> bool:
        """Whether the parameters before ``step`` are not all finite."""
        return not np.isfinite(self.replay(step).parameters).all()

    def replay(self, step: int) -> State:
        """The State after ``step`` updates, run again from the nearest kept one; BadInput where both are further on."""
        start = self.newer if self.newer.step <= step else self.older
        if step == start.step:
            return start
        if step < start.step:
            raise BadInput(f"Progress.state: the run is past update {step}: ask the newest Progress for its State.")
        run = _Run(replace(self.plan, watch=frozenset([step]), noise=False, squared_weights=False), start)
        next(progress for progress in run.epochs() if progress.step == step)
        return run.state()
