"""Preparation: what was learned about the columns from the training rows, and is stored with a model.

A frozen record of plain numbers and texts. It opens no file; from_record trusts nothing that it is given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import BadInput
from .arrays import Array, blocks, inputs
from .dataset import Dataset
from .target_column import MOST_CLASSES
from .targets import Label, classes_with
from .wording import listed, shown

MOST_INPUTS = 10_000_000  # of a record; more is no model of ours
FIELDS = ("inputs", "columns", "target", "classes", "mean", "scale")


@dataclass(frozen=True)
class Preparation:
    """How raw inputs (N, inputs) become a network's: (x - mean) / scale for each column, or as they are.

    ``mean`` and ``scale`` hold one number per column, in the column's unit, or are both None: nothing is
    changed. ``columns`` and ``target`` are the names that tables are read by; ``classes`` the labels in
    sorted order. Answers are never scaled.
    """

    inputs: int
    columns: tuple[str, ...] | None = None
    target: str | None = None
    classes: tuple[Label, ...] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None

    @classmethod
    def learn(cls, data: Dataset, scale: bool = True) -> Preparation:
        """Learns each column's mean and standard deviation, in float64, from ``data``: the training part only.

        Constant columns get scale 1. Sample weights are not looked at. With ``scale=False`` values stay as
        they are.
        """
        n_in = data.x.shape[1]
        classes = data.classes
        if classes is not None and len(classes) > MOST_CLASSES:
            classes = None  # integers that are numbers, not labels: not worth a place in the model's file
        if not scale:
            return cls(n_in, data.columns, data.target, classes)
        mean, deviation = _mean_and_deviation(data)
        return cls(n_in, data.columns, data.target, classes, tuple(mean.tolist()), tuple(deviation.tolist()))

    def apply(self, x: object) -> Array:
        """The prepared rows (N, inputs), a new float32 array; without mean and scale, a view of x as it is."""
        raw = inputs(x)
        if raw.shape[1] != self.inputs:
            raise BadInput(
                f"x has shape {raw.shape}: wanted (N, {self.inputs}), as in training; give the same columns"
            )
        if self.mean is None or self.scale is None:
            return raw
        mean, scale = np.array(self.mean), np.array(self.scale)
        result = np.empty(raw.shape, np.float32)
        for start, block in blocks(raw):
            with np.errstate(over="ignore", invalid="ignore"):
                part = result[start : start + len(block)]
                part[:] = (block.astype(np.float64) - mean) / scale
            bad = ~np.isfinite(part)
            if bad.any():
                row, column = (int(i) for i in np.argwhere(bad)[0])
                raise BadInput(
                    f"x[{start + row}, {column}] is {float(block[row, column])}: too large or missing for "
                    "its column, "
                    f"which had mean {mean[column]:.6g} and deviation {scale[column]:.6g} in training; "
                    "correct it"
                )
        return result

    def apply_to(self, data: Dataset) -> Dataset:
        """``data`` and its test part with prepared inputs: columns found by name, classes those of training.

        Raises BadInput for a column that is missing or a label that training didn't know.
        """
        return Dataset(
            self.apply(self._columns_of(data)),
            data.y,
            data.sample_weight,
            classes=classes_with(self.classes, data.y),
            columns=self.columns,
            target=data.target,
            note=data.note,
            test=partial(_prepared_test, self, data),
        )

    def _columns_of(self, data: Dataset) -> Array:
        if self.columns is None or data.columns is None or self.columns == data.columns:
            return data.x
        missing = [name for name in self.columns if name not in data.columns]
        if missing:
            raise BadInput(
                f"column {shown(missing[0])} is missing: wanted {listed(self.columns)}, came "
                f"{listed(data.columns)}"
            )
        return data.x[:, [data.columns.index(name) for name in self.columns]]

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON takes them: finite numbers, lists, texts, None."""
        lists = {name: getattr(self, name) for name in ("columns", "classes", "mean", "scale")}
        return {
            "inputs": self.inputs,
            "target": self.target,
            **{name: None if value is None else list(value) for name, value in lists.items()},
        }

    @classmethod
    def from_record(cls, record: object) -> Preparation:
        """The Preparation of a record made by ``to_record``; BadInput for anything else."""
        if not isinstance(record, Mapping) or set(record) != set(FIELDS):
            came = listed(sorted(map(str, record))) if isinstance(record, Mapping) else type(record).__name__
            raise BadInput(
                f"preparation: wanted the fields {listed(FIELDS)}, came {came}; save the model anew"
            )
        n, target = record["inputs"], record["target"]
        if type(n) is not int or not 1 <= n <= MOST_INPUTS:
            raise _odd("inputs", f"a whole number from 1 to {MOST_INPUTS}", n)
        if target is not None and type(target) is not str:
            raise _odd("target", "a text or null", target)
        mean, scale = (_floats(name, record[name], n) for name in ("mean", "scale"))
        if (mean is None) != (scale is None):
            raise _odd("scale", "mean and scale both, or neither", record["scale"])
        if scale is not None and min(scale) <= 0:
            raise _odd("scale", "numbers above 0", min(scale))
        columns = _texts("columns", record["columns"])
        if columns is not None and len(columns) != n:
            raise _odd("columns", f"{n} names", columns)
        return cls(n, columns, target, _classes(record["classes"]), mean, scale)


def _prepared_test(preparation: Preparation, data: Dataset) -> Dataset | None:
    return None if data.test is None else preparation.apply_to(data.test)


def _mean_and_deviation(data: Dataset) -> tuple[Array, Array]:
    """(n_in,) each, in float64, by two passes: one pass loses digits where the mean is large."""
    n, n_in = data.x.shape
    total, squares = np.zeros(n_in), np.zeros(n_in)
    low, high = np.full(n_in, np.inf), np.full(n_in, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in blocks(data.x):
            exact = block.astype(np.float64)
            total += exact.sum(axis=0)
            low, high = np.minimum(low, exact.min(axis=0)), np.maximum(high, exact.max(axis=0))
        mean = total / n
        for _, block in blocks(data.x):
            squares += ((block.astype(np.float64) - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / n)
    odd = ~np.isfinite(mean + deviation)
    if odd.any():
        column = int(np.argmax(odd))
        raise BadInput(
            f"column {column if data.columns is None else shown(data.columns[column])} reaches from "
            f"{low[column]:.6g} "
            f"to {high[column]:.6g}: missing values or too large to scale; give it in another unit"
        )
    # a constant column has a deviation of roundings only, and values near 1e-170 have squares that vanish
    deviation[(low == high) | (deviation == 0)] = 1
    return mean, deviation


def _odd(field: str, wanted: str, came: object) -> BadInput:
    return BadInput(f"preparation: field {field}: wanted {wanted}, came {shown(came)}; save the model anew")


def _floats(field: str, value: object, n: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    wanted = f"{n} finite numbers or null"
    if not isinstance(value, list) or len(value) != n or not all(type(v) in (int, float) for v in value):
        raise _odd(field, wanted, value)
    try:
        numbers = tuple(float(v) for v in value)
    except OverflowError:
        raise _odd(field, wanted, value) from None
    if not all(map(math.isfinite, numbers)):
        raise _odd(field, wanted, next(v for v in numbers if not math.isfinite(v)))
    return numbers


def _texts(field: str, value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(v) is str for v in value) or len(set(value)) != len(value):
        raise _odd(field, "a list of different texts, or null", value)
    return tuple(value)


def _classes(value: object) -> tuple[Label, ...] | None:
    if value is None:
        return None
    labels = value if isinstance(value, list) else []
    one_kind = any(all(type(v) is kind for v in labels) for kind in (str, int, bool))
    if not labels or not one_kind or not all(a < b for a, b in pairwise(labels)):
        raise _odd("classes", "a sorted list of different labels, all int or all str, or null", value)
    return tuple(labels)
