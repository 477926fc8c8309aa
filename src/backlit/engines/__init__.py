"""Engines carry a State k steps forward, each with one technology. Here: which there are, and how one is opened.

An engine prints nothing, reads no files and does not choose the order of the rows. A new one is a module with a
function ``availability()`` and a class ``Engine`` (for AUTO also functions ``forward`` and ``examples``), and a row in
the table below.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data import Dataset
from ..errors import BadInput, EngineUnavailable
from ..network import Network
from ..optimizers import Optimizer, check_optimizer
from ..state import Floats, State, check_state

# "auto" takes the first of AUTO that is ready; finite_differences is for looking at, and jax has to be asked for.
ENGINES = ("native", "reference", "finite_differences", "jax")
AUTO = ("native", "reference")


class Engine(Protocol):
    """Carries a State forward; ``state()`` is always that of the last finished step."""

    def advance(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Runs k steps on row numbers (k, B) with learning rates (k,); the reduced losses (k,) before each update.

        Without rates, the optimizer's own are taken. ``squared_weights`` (k,), if given, is filled with ‖W‖² of all
        layers before each update. Raises BadInput for rows that the data doesn't have.
        """

    def state(self) -> State:
        """A copy of the State after the last finished step."""


class Measuring(Engine, Protocol):
    """An engine that can also tell how long the example gradients of its steps are; ``measures`` says which can."""

    def advance_measured(
        self,
        rows: NDArray[np.int64],
        rates: ArrayLike | None = None,
        squared_weights: NDArray[np.float64] | None = None,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """As ``advance``, to the same bits: the losses (k,), and (k, 2): mean ‖sᵢgᵢ‖² and ‖mean sᵢgᵢ‖² over the rows
        of each step, at the parameters before it. g is the gradient of one example's loss, without L2; s its sample
        weight, 1 if none are given. Both are means over the B rows, whatever the network's reduction is.
        """


def measures(engine: Engine) -> TypeGuard[Measuring]:
    """Whether this engine has ``advance_measured``."""
    return hasattr(engine, "advance_measured")


def available_engines() -> dict[str, str]:
    """Name -> "ready", or the reason why not and how to get it."""
    return {name: _module(name).availability() for name in ENGINES}


def open_engine(name: str, net: Network, opt: Optimizer, state: State, data: Any) -> Engine:
    """An engine at ``state``, over ``data`` (a Dataset or a pair (x, y)). "auto": the fastest that is ready.

    Raises BadInput for unknown names, EngineUnavailable with the way to get it for one that can't run here.
    """
    check_state("open_engine", net, state)
    check_optimizer("open_engine", opt)
    name = chosen(name)
    reason = _module(name).availability()
    if reason != "ready":
        raise EngineUnavailable(f"engine {name!r}: {reason}")
    dataset = Dataset.of(data)
    dataset.check_inputs(net)
    engine: Engine = _module(name).Engine(net, opt, state.for_optimizer(opt), dataset)
    return engine


def chosen(name: str, where: str = "open_engine") -> str:
    """The engine that ``name`` stands for: "auto" is the fastest that is ready. BadInput for unknown names.

    ``where`` is what the name was given to.
    """
    if name == "auto":
        name = _fastest().__name__.rpartition(".")[2]
    if name not in ENGINES:
        raise BadInput(f"{where}: the engine must be auto or one of {', '.join(ENGINES)}; got {name!r}.")
    return name


def forward(net: Network, state: State, x: NDArray[Any]) -> Floats:
    """Outputs (N, n_out) in the State's dtype for x (N, n_in), by the fastest engine that is ready."""
    outputs: Floats = _fastest().forward(net, state, x)
    return outputs


def examples(
    net: Network, state: State, x: NDArray[Any], targets: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Loss (N,) and ‖gᵢ‖² (N,) of every example, before sample weights, by the fastest engine that is ready.

    x (N, n_in), targets (N, n_out). g is the gradient of one example's loss with respect to all parameters.
    """
    losses, squares = _fastest().examples(net, state, x, targets)
    return losses, squares


def _fastest() -> Any:
    return next(module for module in map(_module, AUTO) if module.availability() == "ready")


def _module(name: str) -> Any:
    return import_module(f".{name}", __name__)
