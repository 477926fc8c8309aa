"""One run of the solvers "sgd" and "adam": rates, curves and the end of a run, as scikit-learn has them.

It reads what training.train yields, and stops it with break; the estimator's fitted attributes are written here.
Nothing is validated here, and no gradient computed.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..batches import Order, Rows, steps_per_epoch
from ..data import Dataset
from ..errors import Diverged
from ..evaluation import evaluate
from ..network import Network
from ..observers import History
from ..observers.display import Display
from ..optimizers import SGD, Adam
from ..state import State
from ..training import Progress, train
from .lbfgs import squared_weights

SMALLEST_RATE = 1e-6  # of learning_rate="adaptive": below it the run ends
SEEN_WORK = 4e6  # operations, some 1 ms, between two looks at the weights for the reported losses
SEEN_STEPS = 32  # at least, so that looking costs little beside them


class ShuffledRows:
    """epoch -> row numbers, drawn as scikit-learn draws them: each epoch shuffles the order of the one before."""

    def __init__(self, n_rows: int, random: np.random.RandomState) -> None:
        self.n_rows, self.random = n_rows, random
        self.beginning = copy.deepcopy(random)
        self.epoch, self.rows = -1, np.arange(n_rows)

    def __call__(self, epoch: int) -> Rows:
        if epoch < self.epoch:  # a replay goes back
            again = ShuffledRows(self.n_rows, copy.deepcopy(self.beginning))
            return again(epoch)
        while self.epoch < epoch:
            places = np.arange(self.n_rows)
            self.random.shuffle(places)  # what sklearn.utils.shuffle draws, without its checks in every epoch
            self.rows = self.rows[places]
            self.epoch += 1
        return self.rows


@dataclass(frozen=True)
class Held:
    """Rows to validate with: as the network takes them, and what the estimator's score compares."""

    data: Dataset
    score: Callable[[State], float]


@dataclass
class Descent:
    """One run; ``run`` gives the State it ends with.

    start:    the State to go on from; its steps and epochs are counted on.
    epochs:   how many at most.
    share:    what a reported loss is divided by: the outputs, where scikit-learn reports their mean.
    single:   a call of partial_fit: one epoch, and no word about convergence.
    """

    estimator: Any
    net: Network
    opt: SGD | Adam
    data: Dataset
    start: State
    order: Order
    batch_size: int
    epochs: int
    share: int
    held: Held | None
    single: bool

    def run(self) -> State:
        est = self.estimator
        self.penalty = 0.0
        self.last_loss: float | None = None
        self.weights_before = squared_weights(self.start.layers)
        self.penalized = 0  # batches of this epoch whose L2 term is in the penalty
        self.seen_every = self.looks_every()
        self.ends_at = np.inf if est.max_time is None else monotonic() + est.max_time
        self.diverged = False
        self.history = History()
        newest, stopped = None, False
        offset = self.start.step
        begin = replace(self.start, step=0, started=self.start.started - offset, epoch_losses=(), epoch_sum=0.0)
        state = begin
        run = train(
            self.net, replace(self.opt, rate=self.rate), self.data, batch_size=self.batch_size, epochs=self.epochs,
            state=begin, engine=est.engine, order=self.order, reports_every=self.seen_every,
        )  # fmt: skip
        try:
            with self.display() as show:
                for newest in run:
                    stopped = self.saw(newest)
                    if show is not None:
                        self.history(newest)
                        show(newest)
                    if stopped:
                        break
        except Diverged as error:
            state, newest = self.ran_away(error), None
        except KeyboardInterrupt:
            stopped = True
            warnings.warn("Training interrupted by user.", stacklevel=5)
        if newest is not None:
            state = newest.state()
        if not (stopped or self.single or self.diverged):
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.epochs}) reached and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=5,
            )
        self.unfinished()
        losses = (*self.start.epoch_losses, *state.epoch_losses)
        return replace(state, step=offset + state.step, started=offset + state.started, epoch_losses=losses)

    # --- the rate -----------------------------------------------------------------------------------------------

    @property
    def rate(self) -> Any:
        """A number where it never changes, otherwise what the loop is to ask before each stretch of steps."""
        schedule = self.estimator._solver["learning_rate"]
        if callable(schedule):
            before, first = self.start.epoch_losses, self.start.step

            def shifted(step: int, losses: Sequence[float]) -> Any:
                return schedule(first + step, (*before, *losses))

            shifted.__qualname__ = getattr(schedule, "__qualname__", type(schedule).__name__)  # for what is told of it
            return shifted
        if self.net_rate_is_constant:
            return self.estimator._rate
        return lambda step, losses: self.estimator._rate

    @property
    def net_rate_is_constant(self) -> bool:
        return isinstance(self.opt, Adam) or self.estimator._solver["learning_rate"] == "constant"

    def lower_rate(self, why: str) -> bool:
        """With learning_rate="adaptive", a fifth of the rate, and True; False where the run is to end. Says it."""
        est = self.estimator
        if self.net_rate_is_constant or est._solver["learning_rate"] != "adaptive":
            self.say(f"{why} Stopping.")
            return False
        if est._rate <= SMALLEST_RATE:
            self.say(f"{why} Learning rate too small. Stopping.")
            return False
        est._rate /= 5.0
        self.say(f"{why} Setting learning rate to {est._rate:f}")
        est._no_improvement_count = 0
        return True

    # --- what is seen -------------------------------------------------------------------------------------------

    def saw(self, progress: Progress) -> bool:
        """Takes note of one Progress; True ends the run."""
        est = self.estimator
        self.add_penalty(progress)
        self.last_loss = float(progress.losses[-1])
        stop = False
        if progress.epoch_loss is not None:
            loss = progress.epoch_loss / self.share + self.penalty / len(self.data)
            self.penalty = 0.0
            stop = self.epoch_ended(loss, progress)
        for callback in est.callbacks or ():
            answer = callback(progress)
            stop |= isinstance(answer, bool | np.bool_) and bool(answer)
        if monotonic() > self.ends_at and not stop:
            warnings.warn(
                f"max_time={est.max_time} s is over after {est.n_iter_} iterations and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=6,
            )
            stop = True
        return stop

    def looks_every(self) -> int | None:
        """Steps between two looks at ‖W‖²; without L2, None. It comes from sizes, never from the clock.

        1 where the L2 term is so large that its changes within an epoch could decide when the run ends, and never more
        than an epoch has.
        """
        if not self.opt.l2:
            return None
        size = 0.5 * self.opt.l2 * self.weights_before / self.batch_size
        work = 6 * self.batch_size * self.net.n_parameters
        if size > 10 * self.estimator.tol:
            return 1
        return min(max(SEEN_STEPS, int(SEEN_WORK / work)), steps_per_epoch(len(self.data), self.batch_size))

    def add_penalty(self, progress: Progress) -> None:
        """Adds rows · alpha/(2·Σs)·‖W‖² of the steps since the last look, as reported losses contain it.

        Between two looks, ‖W‖² goes in a straight line: exact where every step is seen, see ``looks_every``. A Progress
        that the clock put between them is passed over, so that the same run reports the same bits on any machine.
        """
        last = progress.batch == progress.batches
        if self.seen_every is None or (progress.step % self.seen_every and not last):
            return
        k = progress.batch - self.penalized
        self.penalized = 0 if last else progress.batch
        before, after = self.weights_before, squared_weights(progress.state().layers)
        if self.data.sample_weight is None:
            sum_of_squares = k * before + (after - before) * (k - 1) / 2
        else:
            squares = before + (after - before) * np.arange(k) / k
            sum_of_squares = float(self.rows_per_weight(progress)[-k:] @ squares)
        self.penalty += 0.5 * self.opt.l2 * sum_of_squares
        self.weights_before = after

    def rows_per_weight(self, progress: Progress) -> Any:
        """rows/Σs of the batches (k,) of the epoch up to this Progress; 0 where no row counts, as nothing is added."""
        s = self.data.sample_weight
        assert s is not None
        rows = self.order(progress.epoch - 1) if callable(self.order) else np.arange(len(s))
        starts = np.arange(0, len(rows), self.batch_size)
        sums = np.add.reduceat(s[rows], starts, dtype=np.float64)
        ratio = np.divide(np.diff([*starts, len(rows)]), sums, out=np.zeros(len(sums)), where=sums > 0)
        return ratio[: progress.batch]

    def epoch_ended(self, loss: float, progress: Progress | None) -> bool:
        """Writes the curves of one epoch; True if the run is to end. Without Progress, the numbers ran away."""
        est = self.estimator
        est.n_iter_ += 1
        est.t_ += len(self.data)
        est.loss_ = loss
        est.loss_curve_.append(loss)
        self.say(f"Iteration {est.n_iter_}, loss = {loss:.8f}")
        improved = self.validated(progress) if self.held is not None else None
        if improved is None or not est.early_stopping:
            improved = not loss > est.best_loss_ - est.tol
            est.best_loss_ = min(est.best_loss_, loss) if loss == loss else est.best_loss_
        est._no_improvement_count = 0 if improved else est._no_improvement_count + 1
        kept = est._solver
        if kept["learning_rate"] == "invscaling" and isinstance(self.opt, SGD):
            est._rate = float(kept["learning_rate_init"]) / (est.t_ + 1) ** kept["power_t"]
        if est._no_improvement_count <= est.n_iter_no_change:
            return False
        what = "Validation score" if est.early_stopping else "Training loss"
        why = f"{what} did not improve more than tol={est.tol:f} for {est.n_iter_no_change} consecutive epochs."
        return not self.lower_rate(why)

    def validated(self, progress: Progress | None) -> bool:
        """Loss and score on the held rows; whether the score improved. The best State is kept for early stopping."""
        est, held = self.estimator, self.held
        assert held is not None
        loss, score = np.nan, np.nan
        if progress is not None:
            state = progress.state()
            with np.errstate(all="ignore"):  # numbers that run away are seen in the curves
                loss, score = evaluate(self.net, state, held.data)[0] / self.share, held.score(state)
        est.validation_loss_curve_.append(loss)
        est.validation_scores_.append(score)
        self.say(f"Validation score: {score:f}")
        improved = not score < est.best_validation_score_ + est.tol
        if score > est.best_validation_score_:
            est.best_validation_score_ = score
            if est.early_stopping:
                est._best = state
        return improved

    # --- ends -----------------------------------------------------------------------------------------------------

    def ran_away(self, error: Diverged) -> State:
        """Keeps NaN in the curves, as scikit-learn does, but says what happened and doesn't go on with NaN."""
        self.diverged = True
        warnings.warn(f"Stochastic Optimizer: {error}", ConvergenceWarning, stacklevel=6)
        self.epoch_ended(np.nan, None)
        state: State = error.state
        return state

    def unfinished(self) -> None:
        """A run that ended within its first epoch has no epoch's loss; its last batch's stands for it."""
        if not hasattr(self.estimator, "loss_") and self.last_loss is not None:
            self.estimator.loss_ = self.last_loss / self.share

    def say(self, text: str) -> None:
        if self.estimator.verbose and self.estimator.verbose != "bar":
            sys.stdout.write(f"{text}\n")

    def display(self) -> AbstractContextManager[Callable[[Progress], None] | None]:
        return Display(self.history) if self.estimator.verbose == "bar" else nullcontext()
