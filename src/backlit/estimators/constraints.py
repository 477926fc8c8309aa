"""What every parameter of the estimators may be, and the sentence said of one that isn't; scikit-learn's wording.

A table and its check; nothing is changed or computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput

# scikit-learn's name of an activation -> the Network's
HIDDEN = {
    "identity": "linear",
    "logistic": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "gelu": "gelu",
    "softplus": "softplus",
}


class Choice(NamedTuple):
    """One of the things that a parameter may be: in words, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _names(*names: str) -> Choice:
    shown = "{" + ", ".join(map(repr, names)) + "}"
    return Choice(f"a str among {shown}", lambda v: isinstance(v, str) and v in names)


def _count(least: int) -> Choice:
    return Choice(f"an int in the range [{least}, inf)", lambda v: isinstance(v, Integral) and int(v) >= least)


def _real(left: str, right: str, fits: Callable[[Any], bool]) -> Choice:
    return Choice(f"a float in the range {left}, {right}", lambda v: isinstance(v, Real) and fits(v))


def _instance(kind: type, name: str) -> Choice:
    return Choice(f"an instance of {name!r}", lambda v: isinstance(v, kind))


def _list_like(value: Any) -> bool:
    return hasattr(value, "__iter__") and not isinstance(value, str | bytes | dict)


def _listed(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _weights(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(w, Real) and 0 <= float(w) < np.inf for w in value.values())


def _activations(value: Any) -> bool:
    names = value if isinstance(value, list | tuple | np.ndarray) else [None]
    return all(isinstance(name, str) and name in HIDDEN for name in names)


FLAG = (_instance(bool, "bool"), _instance(np.bool_, "numpy.bool"))
NONE = Choice("None", lambda v: v is None)
AT_LEAST_0 = (_real("[0.0", "inf)", lambda v: 0 <= v < np.inf),)
ABOVE_0 = (_real("(0.0", "inf)", lambda v: 0 < v < np.inf),)
BELOW_1 = (_real("[0.0", "1.0)", lambda v: 0 <= v < 1),)
SHARE = (_real("[0.0", "1.0]", lambda v: 0 <= v <= 1),)
CALLED = Choice("a callable", callable)

CONSTRAINTS: dict[str, tuple[Choice, ...]] = {
    "hidden_layer_sizes": (Choice("an array-like", _list_like), _count(1)),
    "activation": (_names(*HIDDEN), Choice("a list of such names, one per hidden layer", _activations)),
    "solver": (_names("lbfgs", "sgd", "adam"),),
    "alpha": AT_LEAST_0,
    "batch_size": (_names("auto"), _count(1)),
    "learning_rate": (_names("constant", "invscaling", "adaptive"), CALLED),
    "learning_rate_init": ABOVE_0,
    "power_t": AT_LEAST_0,
    "max_iter": (_count(1),),
    "shuffle": FLAG,
    "random_state": (
        Choice("an int in the range [0, 4294967295]", lambda v: isinstance(v, Integral) and 0 <= int(v) < 2**32),
        _instance(np.random.RandomState, "numpy.random.mtrand.RandomState"),
        NONE,
    ),
    "tol": AT_LEAST_0,
    "verbose": (_count(0), *FLAG, _names("bar")),
    "warm_start": FLAG,
    "momentum": SHARE,
    "nesterovs_momentum": FLAG,
    "early_stopping": FLAG,
    "validation_fraction": BELOW_1,
    "beta_1": BELOW_1,
    "beta_2": BELOW_1,
    "epsilon": ABOVE_0,
    "n_iter_no_change": (_count(1), Choice("a float among {inf}", lambda v: isinstance(v, Real) and v == np.inf)),
    "max_fun": (_count(1),),
    "loss": (_names("squared_error", "poisson", "absolute_error", "huber"),),
    "class_weight": (
        _names("balanced"),
        Choice("a dict of numbers of at least 0", _weights),
        Choice("a list of such dicts, one per label", lambda v: _listed(v) and len(v) > 0 and all(map(_weights, v))),
        NONE,
    ),
    "callbacks": (Choice("a list of callables", lambda v: _listed(v) and all(map(callable, v))), NONE),
    "max_time": (_real("(0.0", "inf]", lambda v: v > 0), NONE),
    "engine": (_instance(str, "str"),),
}


def check_parameters(estimator: str, parameters: dict[str, Any]) -> None:
    """BadInput for the first parameter that is none of what the table allows."""
    for name, value in parameters.items():
        choices = CONSTRAINTS.get(name)  # a subclass may have parameters of its own
        if choices and not any(choice.fits(value) for choice in choices):
            raise BadInput(
                f"The {name!r} parameter of {estimator} must be {_either(choice.words for choice in choices)}. "
                f"Got {value!r} instead."
            )


def _either(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def layer_sizes(given: Any) -> list[int]:
    """The sizes of the hidden layers as a list; one number means one layer."""
    sizes = list(given) if hasattr(given, "__iter__") else [given]
    if not all(isinstance(size, Integral) for size in sizes):
        raise BadInput(f"hidden_layer_sizes must be whole numbers, got {sizes}.")
    if any(size <= 0 for size in sizes):
        raise BadInput(f"hidden_layer_sizes must be > 0, got {sizes}.")
    return [int(size) for size in sizes]
