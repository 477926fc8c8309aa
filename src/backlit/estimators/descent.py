"""One run of the solvers "sgd" and "adam": rates, curves and the end of a run, as scikit-learn has them.

It reads what training.train yields, and stops it with break; the estimator's fitted attributes are written here.
Nothing is validated here, and no gradient computed.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..batches import Order, Rows
from ..data import Dataset
from ..errors import Diverged
from ..evaluation import evaluate
from ..network import Network
from ..observers import History
from ..observers.display import Display
from ..optimizers import SGD, Adam
from ..progress import Progress
from ..state import State
from ..training import train

SMALLEST_RATE = 1e-6  # of learning_rate="adaptive": below it the run ends


class ShuffledRows:
    """epoch -> row numbers, drawn as scikit-learn draws them: each epoch shuffles the order of the one before."""

    def __init__(self, n_rows: int, random: np.random.RandomState) -> None:
        self.n_rows, self.random = n_rows, random
        self.beginning = random.get_state(legacy=False)
        self.epoch, self.rows = -1, np.arange(n_rows)

    def __call__(self, epoch: int) -> Rows:
        if epoch < self.epoch:  # a replay goes back
            random = copy.deepcopy(self.random)
            random.set_state(self.beginning)
            return ShuffledRows(self.n_rows, random)(epoch)
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
    """One run. However it ends, the estimator then has what was reached; ``newest`` is None where nothing moved.

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
    newest: Progress | None = field(default=None, init=False)
    penalty: float = field(default=0.0, init=False)  # Σ rows · L2 term over the finished steps of this epoch
    diverged: State | None = field(default=None, init=False)  # the last finite State

    def run(self) -> None:
        est = self.estimator
        self.ends_at = np.inf if est.max_time is None else monotonic() + est.max_time
        begin = replace(
            self.start, step=0, started=self.start.started - self.start.step, epoch_losses=(), epoch_sum=0.0
        )
        run = train(
            self.net, replace(self.opt, rate=self.rate), self.data, batch_size=self.batch_size, epochs=self.epochs,
            state=begin, engine=est.engine, order=self.order, squared_weights=self.opt.l2 > 0,
        )  # fmt: skip
        try:
            stopped = self.drained(run)
            if not (stopped or self.single or self.diverged):
                warnings.warn(
                    f"Stochastic Optimizer: Maximum iterations ({self.epochs}) reached and the optimization hasn't "
                    "converged yet.",
                    ConvergenceWarning,
                    stacklevel=5,
                )
        finally:  # also where a warning is an error, or a callback fails
            self.finish()

    def drained(self, run: Iterator[Progress]) -> bool:
        """Follows the run to its end; True if it was ended before."""
        history = History()
        try:
            with self.display(history) as show:
                for self.newest in run:
                    stopped = self.saw(self.newest)
                    if show is not None:
                        history(self.newest)
                        show(self.newest)
                    if stopped:
                        return True
        except Diverged as error:
            self.ran_away(error)
        except KeyboardInterrupt:
            if self.newest is None:  # nothing to keep
                raise
            warnings.warn("Training interrupted by user.", stacklevel=6)
            return True
        return False

    def finish(self) -> None:
        """Leaves in the estimator what was reached: with early stopping the best State, if one was validated."""
        est = self.estimator
        state = self.diverged if self.newest is None else self.newest.state()
        if state is not None:
            self.keep(est._best if est.early_stopping and est.validation_scores_ else self.counted_on(state))

    def keep(self, state: State) -> None:
        est = self.estimator
        est._keep_trained(state)
        est.optimizer_ = est._optimizer()
        if not hasattr(est, "loss_") and self.newest is not None:  # no epoch was finished: its last batch stands for it
            est.loss_ = float(self.newest.losses[-1]) / self.share

    def counted_on(self, state: State) -> State:
        """A State of this run with the steps and epochs of those before it."""
        steps, losses = self.start.step, (*self.start.epoch_losses, *state.epoch_losses)
        return replace(state, step=steps + state.step, started=steps + state.started, epoch_losses=losses)

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
        stop = False
        if progress.epoch_loss is not None:
            loss = progress.epoch_loss / self.share + self.penalty / len(self.data)
            self.penalty = 0.0
            stop = self.epoch_ended(loss, progress)
        if est.callbacks:  # they may ask the estimator
            self.keep(self.counted_on(progress.state()))
        for callback in est.callbacks or ():
            answer = callback(progress)
            stop |= isinstance(answer, bool | np.bool_) and bool(answer)
        if monotonic() > self.ends_at and not stop:
            warnings.warn(
                f"max_time={est.max_time} s is over after {est.n_iter_} iterations and the optimization hasn't "
                "converged yet.",
                ConvergenceWarning,
                stacklevel=7,
            )
            stop = True
        return stop

    def add_penalty(self, progress: Progress) -> None:
        """Adds rows · alpha/(2·Σs)·‖W‖² of every step, as reported losses contain it: to the same bits, whatever steps
        the clock has put into one Progress.
        """
        if progress.squared_weights is None:
            return
        terms = 0.5 * self.opt.l2 * progress.squared_weights
        if self.data.sample_weight is not None:
            terms *= self.rows_per_weight(progress)[-len(terms) :]
        terms[0] += self.penalty
        self.penalty = float(np.add.accumulate(terms)[-1])

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
        """Loss and score on the held rows; whether the score improved. The best State is kept: a warm start may ask."""
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
            est.best_validation_score_, est._best = score, self.counted_on(state)
        return improved

    # --- ends -----------------------------------------------------------------------------------------------------

    def ran_away(self, error: Diverged) -> None:
        """Keeps NaN in the curves, as scikit-learn does, but says what happened and doesn't go on with NaN."""
        self.diverged, self.newest = error.state, None
        self.epoch_ended(np.nan, None)
        warnings.warn(f"Stochastic Optimizer: {error}", ConvergenceWarning, stacklevel=7)

    def say(self, text: str) -> None:
        if self.estimator.verbose and self.estimator.verbose != "bar":
            sys.stdout.write(f"{text}\n")

    def display(self, history: History) -> AbstractContextManager[Callable[[Progress], None] | None]:
        return Display(history) if self.estimator.verbose == "bar" else nullcontext()
