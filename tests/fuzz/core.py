"""The native core called with wrong arguments: python tests/fuzz/core.py [COUNT].

Every call is made with one or two arguments of another dtype, stride, alignment, size, order or value than is right.
Allowed are results and exceptions; a crash ends the process, which is the finding.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from typing import Any

import numpy as np

from backlit.engines import _core

SIZES = [4, 3, 2]
P = 4 * 3 + 3 + 3 * 2 + 2
ROWS = 9


def right(twice: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Arguments of the constructor and of ``advance`` that fit."""
    T = np.float64 if twice else np.float32
    random_ = np.random.default_rng(0)
    settings = {"kind": "adam", "momentum": 0.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "l2": 0.0,
                "raw_epsilon": False, "weight_decay": 0.0, "nesterov": False, "l2_over_batch": False}  # fmt: skip
    made = {"sizes": list(SIZES), "activations": ["relu", "linear"], "loss": "quadratic", "mean": True,
            "optimizer": settings, "parameters": random_.standard_normal(P).astype(T),
            "slots": [np.zeros(P, T), np.zeros(P, T)], "update": 0,
            "targets": random_.standard_normal((ROWS, 2)).astype(T), "weights": np.ones(ROWS, T),
            "threads": 1}  # fmt: skip
    rows = random_.integers(0, ROWS, (3, 5))
    called = {"x": random_.standard_normal((ROWS, 4)).astype(T), "x_rows": rows, "data_rows": rows.copy(),
              "rates": np.full(3, 0.1)}  # fmt: skip
    return made, called


def wrong(value: Any, chance: random.Random) -> Any:
    """Something else in the place of ``value``."""
    anything = [None, -1, 0, 2**31, 2**63, 2**64, 1e308, float("nan"), "", "softmax", [], {}, (), b"x", True, object()]
    if not isinstance(value, np.ndarray):
        if isinstance(value, list) and value and chance.random() < 0.7:
            changed = list(value)
            changed[chance.randrange(len(changed))] = wrong(changed[0], chance)
            return chance.choice([changed, changed[:-1], changed + changed])
        if isinstance(value, dict) and value and chance.random() < 0.7:
            return {**value, chance.choice(list(value)): chance.choice(anything)}
        return chance.choice(anything)
    kind = chance.randrange(10)
    if not value.size or value.dtype.kind not in "if":  # changed before
        return chance.choice(anything)
    if kind == 0:
        with np.errstate(all="ignore"):
            dtypes = ["f2", "f4", "f8", "i1", "i4", "i8", "u8", "c16", "?", "O", "U4", ">f4", ">i8"]
            return value.astype(chance.choice(dtypes))
    if kind == 1:
        return np.repeat(value, 2, axis=0)[::2]
    if kind == 2:
        return value[::-1]
    if kind == 3:
        raw = np.zeros(value.nbytes + 8, np.uint8)
        return raw[1 : 1 + value.nbytes].view(value.dtype).reshape(value.shape)
    if kind == 4:
        return value[: chance.randrange(len(value) + 1)]
    if kind == 5:
        return value.reshape(chance.choice([(-1,), (1, -1), (-1, 1), (1, 1, -1)]))
    if kind == 6:
        return np.asfortranarray(value) if value.ndim > 1 else np.broadcast_to(value[:1], value.shape)
    if kind == 7:
        frozen = value.copy()
        frozen.flags.writeable = False
        return frozen
    if kind == 8:
        changed = value.copy() if value.size else np.zeros_like(value, shape=(1, *value.shape[1:]))
        top = 2**62 if value.dtype.kind == "i" else 1e30
        with np.errstate(all="ignore"):
            changed.flat[chance.randrange(changed.size)] = chance.choice([-1, -top, top, ROWS, 0])
        return changed
    if chance.random() < 0.5:
        return np.broadcast_to(value[..., None], (*value.shape, 3))[..., 0]
    return chance.choice(anything)


def main(count: int = 100_000) -> int:
    chance, outcomes = random.Random(1), Counter[str]()
    for i in range(count):
        twice = bool(i % 2)
        made, called = right(twice)
        for _ in range(chance.choice([1, 1, 2])):
            place = chance.choice([made, called])
            name = chance.choice(list(place))
            place[name] = wrong(place[name], chance)
        try:
            core = (_core.Core64 if twice else _core.Core32)(**made)
            core.advance(**called)
            core.parameters()
            outcomes["ran"] += 1
        except Exception as error:
            outcomes[type(error).__name__] += 1
    print(f"{count:,} calls, no crash: " + ", ".join(f"{n:,} {name}" for name, n in outcomes.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
