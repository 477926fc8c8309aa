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
FIELDS = ("inputs", "columns", "target", "classes", "mean", "scale", "target_mean", "target_scale")


@dataclass(frozen=True)
class Preparation:
    """How raw inputs (N, inputs) become a network's: (x - mean) / scale for each column, or as they are.

    ``mean`` and ``scale`` hold one number per column, in the column's unit, or are both None: nothing is
    changed. ``columns`` and ``target`` are the names that tables are read by; ``classes`` the labels in
    sorted order. ``target_mean`` and ``target_scale`` do the same for answers that are numbers, one per
    output; ``restore`` takes outputs back to the unit of the answers.
    """

    inputs: int
    columns: tuple[str, ...] | None = None
    target: str | None = None
    classes: tuple[Label, ...] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    target_mean: tuple[float, ...] | None = None
    target_scale: tuple[float, ...] | None = None

    @classmethod
    def learn(cls, data: Dataset, scale: bool = True, scale_target: bool = False) -> Preparation:
        """Learns each column's mean and standard deviation, in float64, from ``data``: the training rows.

        Constant columns get scale 1. Sample weights are not looked at. With ``scale=False`` values stay as
        they are. ``scale_target`` also learns those of the answers, which must be numbers.
        """
        n_in = data.x.shape[1]
        classes = data.classes
        if classes is not None and len(classes) > MOST_CLASSES:
            classes = None  # integers that are numbers, not labels: not worth a place in the model's file
        of_x = _mean_and_deviation(data.x, data.columns) if scale else (None, None)
        of_y: tuple[tuple[float, ...] | None, ...] = (None, None)
        if scale_target:
            if data.y.dtype.kind == "U":
                raise BadInput(
                    f"y holds texts ({shown(str(data.y[0]))}): wanted numbers to scale; leave scale_target out"
                )
            of_y = _mean_and_deviation(
                data.y.reshape(len(data), -1), (data.target,) if data.target and data.y.ndim == 1 else None
            )
        return cls(n_in, data.columns, data.target, classes, *of_x, *of_y)

    def apply(self, x: object) -> Array:
        """Prepared rows (N, inputs), a new float32 array; without mean and scale, a view of x as it is."""
        raw = inputs(x)
        if raw.shape[1] != self.inputs:
            raise BadInput(f"x has shape {raw.shape}: wanted (N, {self.inputs}), as in training; give the same columns")
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
        y = self._scaled_answers(data.y)
        return Dataset(
            self.apply(self._columns_of(data)),
            y,
            data.sample_weight,
            classes=classes_with(self.classes, y),
            columns=self.columns,
            target=data.target,
            note=data.note,
            test=None if data.test_source is None else partial(_prepared_test, self, data),
        )

    def _scaled_answers(self, y: Array) -> Array:
        """y (N,) or (N, n_out) as the network is to give it; BadInput for texts and other widths."""
        if self.target_mean is None:
            return y
        width = len(self.target_mean)
        if y.dtype.kind == "U" or y.size != len(y) * width:
            raise BadInput(
                f"y has shape {y.shape} and type {y.dtype}: wanted {width} number{'s' * (width != 1)} per row, "
                "as in training; name the column that the model was trained on"
            )
        columns = y.reshape(len(y), width)
        scaled: Array = (columns - np.array(self.target_mean)) / np.array(self.target_scale)
        return scaled.reshape(y.shape)

    def restore(self, outputs: Array) -> Array:
        """Outputs (N, n_out) of the network in the unit of the answers."""
        if self.target_mean is None:
            return outputs
        restored: Array = outputs * np.array(self.target_scale) + np.array(self.target_mean)
        return restored

    def _columns_of(self, data: Dataset) -> Array:
        if self.columns is None or data.columns is None or self.columns == data.columns:
            return data.x
        missing = [name for name in self.columns if name not in data.columns]
        if missing:
            raise BadInput(
                f"column {shown(missing[0])} is missing: wanted {listed(self.columns)}, came {listed(data.columns)}"
            )
        return data.x[:, [data.columns.index(name) for name in self.columns]]

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON takes them: finite numbers, lists, texts, None."""
        lists = {name: getattr(self, name) for name in FIELDS if name not in ("inputs", "target")}
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
            raise BadInput(f"preparation: wanted the fields {listed(FIELDS)}, came {came}; save the model anew")
        n, target = record["inputs"], record["target"]
        if type(n) is not int or not 1 <= n <= MOST_INPUTS:
            raise _odd("inputs", f"a whole number from 1 to {MOST_INPUTS}", n)
        if target is not None and type(target) is not str:
            raise _odd("target", "a text or null", target)
        of_x = _scaling("mean", "scale", record, n)
        columns = _texts("columns", record["columns"])
        if columns is not None and len(columns) != n:
            raise _odd("columns", f"{n} names", columns)
        outputs = record["target_mean"]
        n_out = max(1, len(outputs)) if isinstance(outputs, list) else 1
        of_y = _scaling("target_mean", "target_scale", record, n_out)
        return cls(n, columns, target, _classes(record["classes"]), *of_x, *of_y)


def _prepared_test(preparation: Preparation, data: Dataset) -> Dataset | None:
    return None if data.test is None else preparation.apply_to(data.test)


def _mean_and_deviation(x: Array, columns: tuple[str, ...] | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One number per column of x, in float64, by two passes: one pass loses digits where the mean is large."""
    n, n_in = x.shape
    total, squares = np.zeros(n_in), np.zeros(n_in)
    low, high = np.full(n_in, np.inf), np.full(n_in, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in blocks(x):
            exact = block.astype(np.float64)
            total += exact.sum(axis=0)
            low, high = np.minimum(low, exact.min(axis=0)), np.maximum(high, exact.max(axis=0))
        mean = total / n
        for _, block in blocks(x):
            squares += ((block.astype(np.float64) - mean) ** 2).sum(axis=0)
        deviation = np.sqrt(squares / n)
    constant = low == high  # what it deviates are roundings of its mean
    mean[constant], deviation[constant] = low[constant], 0
    odd = ~np.isfinite(mean + deviation)
    if odd.any():
        column = int(np.argmax(odd))
        raise BadInput(
            f"column {column if columns is None else shown(columns[column])} reaches from "
            f"{low[column]:.6g} "
            f"to {high[column]:.6g}: missing values or too large to scale; give it in another unit"
        )
    deviation[deviation == 0] = 1  # constant, or so small that the squares vanish
    return tuple(mean.tolist()), tuple(deviation.tolist())


def _odd(field: str, wanted: str, came: object) -> BadInput:
    return BadInput(f"preparation: field {field}: wanted {wanted}, came {shown(came)}; save the model anew")


def _scaling(
    mean_field: str, scale_field: str, record: Mapping[str, object], n: int
) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Both fields of ``record`` with n numbers each, the second above 0; or None twice."""
    mean, scale = _floats(mean_field, record[mean_field], n), _floats(scale_field, record[scale_field], n)
    if (mean is None) != (scale is None):
        raise _odd(scale_field, f"{mean_field} and {scale_field} both, or neither", record[scale_field])
    if scale is not None and min(scale) <= 0:
        raise _odd(scale_field, "numbers above 0", min(scale))
    return mean, scale


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
