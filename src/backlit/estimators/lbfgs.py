"""The solver "lbfgs": scipy's L-BFGS-B over all rows at once, with loss and gradient from an engine.

It has no mini-batches and hence no Progress; the loop is scipy's.
"""

# mypy: disable-error-code="import-untyped, untyped-decorator"

from __future__ import annotations

import sys
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
) -> Found:  # fmt: skip
    """The minimum of the mean loss of x (N, n_in), y (N, n_out), weights s (N,), plus l2/(2·Σs)·‖W‖², in float64."""
    data = Dataset(*(None if array is None else array.astype(np.float64, copy=False) for array in (x, y, s)))
    began, seen, late = monotonic(), 0, False

    def watch(intermediate_result: Any) -> None:
        nonlocal seen, late
        seen += 1
        if verbose:
            sys.stdout.write(f"Iteration {seen}, loss = {intermediate_result.fun:.8f}\n")
        late = max_time is not None and monotonic() - began > max_time
        if late:
            raise StopIteration

    with np.errstate(all="ignore"):  # a search that runs away is told from its result
        result = minimize(
            lambda flat: objective(net, flat, data, engine, opt),
            start.astype(np.float64),
            method="L-BFGS-B",
            jac=True,
            callback=watch,
            options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
        )
    complaint = None if result.status == 0 else f"lbfgs failed to converge after {result.nit} iteration(s)"
    if complaint and late:
        complaint += f": max_time={max_time} s is over."
    elif complaint:
        limits = {"max_iter": result.nit >= max_iter, "max_fun": result.nfev >= max_fun}
        advice = "".join(f"Increase {name}. " for name, reached in limits.items() if reached)
        scale = "Scaled data (see sklearn.preprocessing) needs fewer steps."
        complaint += f" (status={result.status}): {result.message}. {advice}{scale}"
    return Found(result.x, float(result.fun), min(int(result.nit), max_iter), complaint)


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
    return 0.5 * opt.l2 * squared_weights(layers) / weight_sum


def squared_weights(layers: Layers) -> float:
    """‖W‖² over all layers, without the biases."""
    # not np.vdot: BLAS wakes its threads for it, which costs more than the sum and quarrels with the engine's threads
    return sum(float(np.square(layer.W).sum()) for layer in layers)
