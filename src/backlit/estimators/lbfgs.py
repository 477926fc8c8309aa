"""The solver "lbfgs": scipy's L-BFGS-B over all rows at once, with loss and gradient from an engine.

It has no mini-batches and hence no Progress; the loop is scipy's.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
from scipy.optimize import minimize

from .. import chain
from ..data import Dataset
from ..engines import open_engine
from ..network import Network
from ..optimizers import SGD
from ..state import Floats, Layers, State

GRADIENT_AS_VELOCITY = SGD(1.0, momentum=0.5)


@dataclass(frozen=True)
class Found:
    """Where the search ended: parameters (P,), the objective there, iterations, and why it isn't converged."""

    parameters: Floats
    objective: float
    iterations: int
    complaint: str | None


def search(
    net: Network, x: Floats, y: Floats, s: Floats | None, start: Floats, opt: SGD,
    *, engine: str, tol: float, max_iter: int, max_fun: int, max_time: float | None, verbose: bool,
    keep: Callable[[Found], None],
) -> Found:  # fmt: skip
    """The minimum of the mean loss of x (N, n_in), y (N, n_out), weights s (N,), plus l2/(2·Σs)·‖W‖², in float64.

    ``keep`` gets where every iteration ends, so that a search that is interrupted has found something.
    """
    data = Dataset(*(None if array is None else array.astype(np.float64, copy=False) for array in (x, y, s)))
    ends_at = np.inf if max_time is None else monotonic() + max_time
    reached: Found | None = None  # where the last iteration ended

    def reach(flat: Floats, value: float, iterations: int) -> None:
        nonlocal reached
        late = f"lbfgs failed to converge after {iterations} iteration(s): max_time={max_time} s is over."
        reached = Found(flat.copy(), value, iterations, late)

    def evaluated(flat: Floats) -> tuple[float, Floats]:
        if reached is not None and monotonic() > ends_at:
            raise _TimeIsOver
        value, gradient = objective(net, flat, data, engine, opt)
        if reached is None:
            reach(flat, value, 0)
        return value, gradient

    def watch(intermediate_result: Any) -> None:
        assert reached is not None
        reach(intermediate_result.x, float(intermediate_result.fun), reached.iterations + 1)
        keep(reached)
        if verbose:
            sys.stdout.write(f"Iteration {reached.iterations}, loss = {reached.objective:.8f}\n")

    try:
        with np.errstate(all="ignore"):  # a search that runs away is told from its result
            result = minimize(
                evaluated,
                start.astype(np.float64),
                method="L-BFGS-B",
                jac=True,
                callback=watch,
                options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
            )
    except _TimeIsOver:
        assert reached is not None
        return reached
    iterations = min(int(result.nit), max_iter)
    return Found(result.x, float(result.fun), iterations, _complaint(result, max_iter, max_fun))


class _TimeIsOver(Exception):
    """Ends scipy's search between two evaluations."""


def _complaint(result: Any, max_iter: int, max_fun: int) -> str | None:
    if result.status == 0:
        return None
    limits = {"max_iter": result.nit >= max_iter, "max_fun": result.nfev >= max_fun}
    advice = "".join(f"Increase {name}. " for name, reached in limits.items() if reached)
    scale = "Scaled data (see sklearn.preprocessing) needs fewer steps."
    return (
        f"lbfgs failed to converge after {result.nit} iteration(s) (status={result.status}): {result.message}. "
        f"{advice}{scale}"
    )


def objective(net: Network, flat: Floats, data: Dataset, engine: str, opt: SGD) -> tuple[float, Floats]:
    """(mean loss with the L2 term, its gradient (P,)) at the parameters ``flat`` (P,).

    From one step of the engine over all rows at rate 1: it leaves 0·momentum − gradient as the velocity.
    """
    s = data.sample_weight
    layers, total = Layers(net.sizes, flat), len(data) if s is None else float(s.sum())
    state = State(net.sizes, flat.copy(), {"velocity": np.zeros_like(flat)})
    opened = open_engine(engine, net, GRADIENT_AS_VELOCITY, state, data)
    loss = float(opened.advance(np.arange(len(data)).reshape(1, -1), [1.0])[0])
    gradient = Layers(net.sizes, -opened.state().slots["velocity"])
    chain.add_l2(opt, gradient, layers, total)
    return loss + penalty(opt, layers, total), gradient.flat


def penalty(opt: SGD, layers: Layers, weight_sum: float) -> float:
    """l2/(2·Σs)·‖W‖²: what the L2 term of the gradient is the derivative of."""
    return 0.5 * opt.l2 * chain.squared_weights(layers) / weight_sum
