"""Which learning rate: a range test, in which the rate grows from step to step until the loss runs away.

From one State, which is left as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..batches import Rows, epoch_rows
from ..data import Dataset
from ..engines import open_engine
from ..errors import BadInput
from ..network import Network
from ..optimizers import SGD, Optimizer, check_optimizer
from ..state import State, check_state, initial_state

if TYPE_CHECKING:
    from rich.console import Group

SMOOTH = 0.9  # what a step's smoothed loss keeps of the one before
RUN_AWAY = 2.0  # times the smallest smoothed loss: diverging
RISE = 0.1  # at least, of the loss at the beginning: beside a smallest one near 0 any ripple is a doubling
WARM = 10  # steps before which nothing is concluded
BEYOND, MARGIN = 3.0, 4.0  # the suggestion: so far above the steepest rate, and below the diverging one


@dataclass(frozen=True, eq=False)
class RangeTest:
    """What ``range_test`` found. Show it by ``print(test)``, in a notebook, or as a picture.

    rates, losses, smooth: of every step made (k,): its rate, its loss before the update, the smoothed loss.
    steepest:   the rate at which the smoothed loss falls fastest per factor of the rate.
    diverging:  the rate at which it runs away; None if it didn't up to the highest.
    suggestion: the rate to begin with; see ``range_test``.
    """

    network: Network
    optimizer: str
    batch: int
    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smooth: NDArray[np.float64]
    steepest: float
    diverging: float | None
    suggestion: float

    def record(self) -> dict[str, Any]:
        """Everything as plain numbers, for JSON."""
        curves = {name: getattr(self, name).tolist() for name in ("rates", "losses", "smooth")}
        names = ("optimizer", "batch", "steepest", "diverging", "suggestion")
        return {name: getattr(self, name) for name in names} | curves

    def __str__(self) -> str:
        from .tables import as_text

        return as_text(self.__rich__())

    def __repr__(self) -> str:
        return f"RangeTest({self.optimizer}, batches of {self.batch}, suggestion {self.suggestion:.2g})"

    def __rich__(self) -> Group:
        from .tables import rate_tables

        return rate_tables(self)

    def _repr_html_(self) -> str:
        from .tables import as_html

        return as_html(self.__rich__())

    def picture(self) -> Any:
        """Loss over the rate, with the marked rates, as a matplotlib Figure (extra ``plot``)."""
        from ..explanations.advice_pictures import rates

        return rates(self)


def range_test(
    net: Network,
    opt: Optimizer,
    data: Any,
    *,
    state: State | None = None,
    batch_size: int = 32,
    lowest: float = 1e-5,
    highest: float = 100.0,
    steps: int = 300,
    seed: int = 0,
    engine: str = "auto",
) -> RangeTest:
    """Steps from one State at rates that grow from ``lowest`` to ``highest`` by the same factor each time.

    opt:    the optimizer whose rate is looked for; the rate that it holds takes no part.
    state:  where the steps begin; by default parameters drawn from ``seed``. It is left as it is.

    Some batches are harder than others, so each step's loss is taken beside the loss of the same rows at the beginning,
    and the difference smoothed over the steps before it. The test ends where the smoothed loss has doubled from its
    smallest value, by a tenth of the loss at the beginning at least, or isn't finite: ``diverging``. ``steepest`` is
    where it falls fastest over the rate's logarithm. ``suggestion``: three times the steepest, but at most a quarter of
    the diverging rate. The two numbers are a rule of thumb.

    The idea is Smith's (2017, "Cyclical learning rates for training neural networks", arXiv 1506.01186, section 3.3).
    It measures a few hundred steps from here, not a whole training; a schedule may begin above and has to end below.
    Raises BadInput for what doesn't fit, and where the loss fell at no rate.
    """
    check_optimizer("range_test", opt)
    state = initial_state(net, opt, seed=seed) if state is None else state
    check_state("range_test", net, state)
    dataset = Dataset.of(data)
    if not (isinstance(lowest, Real) and isinstance(highest, Real) and 0 < lowest < highest < np.inf):
        raise BadInput(f"range_test: 0 < lowest < highest is wanted; got {lowest!r} and {highest!r}.")
    for name, value, least in (("steps", steps, 2 * WARM), ("batch_size", batch_size, 1)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise BadInput(f"range_test: {name} must be a whole number of at least {least}; got {value!r}.")
    batch = min(batch_size, len(dataset))
    rates = np.geomspace(lowest, highest, steps)
    rows = _rows(len(dataset), batch, steps, seed)
    losses, smooth = _losses(net, opt, dataset, state, rates, rows, engine)
    steepest, diverging = _marks(rates, smooth, ended=len(smooth) < steps)
    suggestion = BEYOND * steepest if diverging is None else min(BEYOND * steepest, diverging / MARGIN)
    done = len(smooth)
    name = type(opt).__name__
    return RangeTest(net, name, batch, rates[:done], losses, smooth, steepest, diverging, float(suggestion))


def _rows(n_rows: int, batch: int, steps: int, seed: int) -> Rows:
    """(steps, batch) full batches in the order of training, over as many epochs as that takes."""
    per_epoch = n_rows // batch
    epochs = [epoch_rows(n_rows, seed, epoch)[: per_epoch * batch] for epoch in range(-(-steps // per_epoch))]
    return np.concatenate(epochs)[: steps * batch].reshape(steps, batch)


def _losses(
    net: Network, opt: Optimizer, data: Dataset, state: State, rates: NDArray[np.float64], rows: Rows, engine: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(losses, smoothed losses) of the steps until the loss runs away; reduced as the network says."""
    opened = open_engine(engine, net, opt, state, data)
    still = open_engine(engine, net, SGD(1.0), state, data).advance(rows, np.zeros(len(rows)))  # rate 0: nothing moves
    losses, smooth = [], []
    average, weight, smallest = 0.0, 0.0, np.inf
    for step, rate in enumerate(rates):
        loss = float(opened.advance(rows[step : step + 1], [rate])[0])
        if not np.isfinite(loss):
            break
        average, weight = SMOOTH * average + (1 - SMOOTH) * (loss - still[step]), SMOOTH * weight + 1 - SMOOTH
        losses.append(loss)
        smooth.append(float(still.mean()) + average / weight)
        if step >= WARM and smooth[-1] - smallest > max((RUN_AWAY - 1) * smallest, RISE * float(still.mean())):
            break
        smallest = min(smallest, smooth[-1]) if step >= WARM // 2 else smallest
    if len(smooth) < WARM:
        raise BadInput(
            f"range_test: the loss left the finite numbers after {len(smooth)} steps, at a rate of "
            f"{rates[len(smooth)]:.3g}: scale the inputs, or begin with a lower rate (lowest)."
        )
    return np.array(losses), np.array(smooth)


def _marks(rates: NDArray[np.float64], smooth: NDArray[np.float64], ended: bool) -> tuple[float, float | None]:
    """(the rate of the steepest fall, the rate at which it ran away or None)."""
    diverging = float(rates[len(smooth) - 1]) if ended else None
    bottom = int(np.argmin(smooth[WARM // 2 :])) + WARM // 2
    width = max(2, WARM // 2)
    slopes = np.full(len(smooth), np.inf)
    for i in range(width, min(bottom + 1, len(smooth) - width)):
        slopes[i] = smooth[i + width] - smooth[i - width]  # the rates are equally far apart in their logarithm
    place = int(np.argmin(slopes))
    if not slopes[place] < 0:
        raise BadInput(
            "range_test: the loss fell at no rate between the lowest and the highest. Is there anything to learn, and "
            "are the inputs scaled?"
        )
    return float(rates[place]), diverging
