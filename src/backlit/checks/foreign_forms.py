"""The forms that other people's backpropagation has: its arguments, its class, its answer. Only shapes are judged.

Used inside the process that runs somebody's file (foreign_child.py), and nowhere else.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

NAMES = {"w": "weights", "b": "biases", "x": "x", "i": "x", "y": "y", "t": "y", "l": "y"}
ORDER = ("weights", "biases", "x", "y")
Pair = tuple[list[Any], list[Any]]


def arranged(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` as a function of (weights, biases, x, y), whatever order its parameters' names show.

    Raises TypeError where it can't be called with these four.
    """
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return f
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters):
        return f
    needed = [p for p in parameters if p.default is inspect.Parameter.empty]
    placed = [p for p in parameters if p.kind in positional]
    if len(placed) < 4 or len(needed) > 4 or any(p.kind not in positional for p in needed):
        raise TypeError(
            f"backprop must take (weights, biases, x, y): the lists of all layers, and a batch; it takes "
            f"({', '.join(p.name for p in parameters)})"
        )
    meant = [NAMES.get(p.name.lower()[0], "") for p in placed[:4]]
    if sorted(meant) != sorted(ORDER) or tuple(meant) == ORDER:
        return f
    return lambda *given: f(*[given[ORDER.index(name)] for name in meant])


def made(kind: Any, sizes: Sequence[int]) -> tuple[Any, tuple[str, str]]:
    """(an object of their class for these sizes, the names of its weights and biases).

    The sizes are given as a list, one by one, or not at all. Raises TypeError where none of that makes such an object.
    """
    errors: list[TypeError] = []
    for arguments in ((list(sizes),), tuple(sizes), ()):
        try:
            network = kind(*arguments)
            return network, slots(network, sizes)
        except TypeError as error:
            errors.append(error)
    raise next((e for e in errors if "must hold lists" in str(e)), errors[0])


def slots(network: Any, sizes: Sequence[int]) -> tuple[str, str]:
    """The names of the attributes that hold the lists of weights and biases. Raises TypeError where there are none."""
    shapes = list(pairwise(sizes))
    fits_w = [n for n, v in vars(network).items() if _fit(v, [{s, s[::-1]} for s in shapes])]
    fits_b = [n for n, v in vars(network).items() if _fit(v, [{(o,), (o, 1), (1, o)} for o in sizes[1:]])]
    found = []
    for usual, fits in (("weights", fits_w), ("biases", fits_b)):
        if usual not in fits and len(fits) != 1:
            held = ", ".join(f"{n} {_shapes(v)}" for n, v in vars(network).items() if _shapes(v)) or "no arrays"
            raise TypeError(
                f"class {type(network).__name__} must hold lists of arrays named weights {[s[::-1] for s in shapes]} "
                f"and biases {[(o, 1) for o in sizes[1:]]} (for --sizes {','.join(map(str, sizes))}); it holds {held}"
            )
        found.append(usual if usual in fits else fits[0])
    return found[0], found[1]


def _fit(value: Any, shapes: Sequence[set[tuple[int, ...]]]) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == len(shapes)
        and all(np.shape(v) in wanted for v, wanted in zip(value, shapes, strict=True))
    )


def _shapes(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return str(value.shape)
    arrays = isinstance(value, list | tuple) and value and all(isinstance(v, np.ndarray) for v in value)
    return str([v.shape for v in value]) if arrays else ""


def pair_of(answer: Any, layers: int) -> tuple[Pair, str]:
    """(their two lists, how they came where that isn't a pair of lists). Raises TypeError for what is none of these.

    Known are: a pair; with the loss before or behind it; a pair per layer; all arrays in a row; a dictionary.
    """
    if isinstance(answer, dict):
        weights, biases = (_numbered(answer, letter) for letter in "wb")
        if len(weights) == len(biases) == layers:
            return (weights, biases), f"a dictionary with {', '.join(map(str, answer))}"
    elif isinstance(answer, tuple | list):
        whole = [part for part in answer if np.ndim(_first(part)) > 0 or isinstance(part, list | tuple)]
        if len(whole) == 2 and len(answer) == 3:
            return pair_of(whole, layers)[0], "a number beside the pair, which was left out"
        if len(answer) == layers and all(isinstance(p, tuple | list) and len(p) == 2 and _is_layer(p) for p in answer):
            return ([p[0] for p in answer], [p[1] for p in answer]), "a pair per layer"
        if layers == 1 and len(answer) == 2 and all(isinstance(p, np.ndarray) and p.ndim < 3 for p in answer):
            return ([answer[0]], [answer[1]]), "the arrays of the one layer, without lists"
        if len(answer) == 2 and all(part is None or np.iterable(part) for part in answer):
            return (_listed(answer[0]), _listed(answer[1])), ""
        if len(answer) == 2 * layers:
            matrices = [a for a in answer if np.ndim(a) == 2 and 1 not in np.shape(a)]
            if len(matrices) == layers:
                rest = [a for a in answer if not any(a is m for m in matrices)]
                return (matrices, rest), "all arrays in a row"
    raise TypeError(f"backprop must return a pair (weight gradients, bias gradients), it returned {_described(answer)}")


def _first(part: Any) -> Any:
    return part if isinstance(part, np.ndarray) else 0.0


def _is_layer(pair: Any) -> bool:
    """Whether it is (W, b) of one layer, and not a list of two layers' arrays."""
    W, b = np.shape(pair[0]), np.shape(pair[1])
    return len(W) == 2 and 1 not in W and b in {(W[1],), (W[0],), (W[0], 1), (1, W[1])}


def _listed(part: Any) -> list[Any]:
    return [] if part is None else list(part)


def _numbered(answer: dict[Any, Any], letter: str) -> list[Any]:
    """The values whose keys are like dW1, W1, grad_w1, or one list under weights."""
    keys = [k for k in answer if re.fullmatch(rf"(d|grad_?|nabla_?|delta_?)?_?{letter}[a-z]*_?\d*", str(k).lower())]
    if len(keys) == 1 and isinstance(answer[keys[0]], list | tuple):
        return list(answer[keys[0]])
    return [answer[k] for k in sorted(keys, key=lambda k: int(re.sub(r"\D", "", str(k)) or 0))]


def _described(answer: Any) -> str:
    if isinstance(answer, dict):
        return f"a dictionary with {', '.join(map(str, answer))}"[:200]
    if isinstance(answer, np.ndarray):
        return f"an array of shape {answer.shape}"
    if isinstance(answer, tuple) and len(answer) == 2:
        return f"({_described(answer[0])}, {_described(answer[1])})"
    return f"{type(answer).__name__} of length {len(answer)}" if hasattr(answer, "__len__") else repr(answer)[:60]
