"""Preparation: what was learned about the columns from the training rows, and is stored with a model.

A frozen record of plain numbers and texts. It opens no file; from_record trusts nothing that it is given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import BadInput
from .arrays import Array, blocks, inputs
from .cells import known_text, one_spelling
from .columns import Categories, Unseen, as_text
from .dataset import Dataset
from .target_column import MOST_CLASSES
from .targets import Label, classes_with
from .wording import listed, shown

MOST_INPUTS = 10_000_000  # of a record; more is no model of ours
Numbers = tuple[float, ...] | None
FIELDS = ("inputs", "columns", "target", "classes", "mean", "scale", "target_mean", "target_scale", "categories")


@dataclass(frozen=True)
class Preparation:
    """How raw inputs (N, inputs) become a network's: (x - mean) / scale for each column, or as they are.

    A missing number counts as the mean. A column of ``categories`` (None for numbers) becomes one input for each of
    them, 1 where it is meant and 0 elsewhere; "" is a missing value that training had, and what training didn't have
    is 0 everywhere. So do scikit-learn's SimpleImputer, StandardScaler and OneHotEncoder(handle_unknown="ignore").

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
    categories: tuple[Categories, ...] | None = None

    @classmethod
    def learn(cls, data: object, scale: bool = True, scale_target: bool = False) -> Preparation:
        """Learns each column's mean and standard deviation, in float64, from ``data``: the training rows.

        ``data`` is whatever ``Dataset.of`` takes, such as (x, y).
        Constant columns get scale 1. Sample weights are not looked at. With ``scale=False`` values stay as
        they are. ``scale_target`` also learns those of the answers, which must be numbers.
        """
        for name, value in (("scale", scale), ("scale_target", scale_target)):
            if not isinstance(value, bool | np.bool_):
                raise BadInput(f"{name} is {shown(value)}: wanted True or False")
        data = Dataset.of(data)
        n_in = data.x.shape[1]
        classes = data.classes
        if classes is not None and len(classes) > MOST_CLASSES:
            classes = None  # integers that are numbers, not labels: not worth a place in the model's file
        of_x: tuple[Numbers, Numbers] = (None, None)
        of_y: tuple[Numbers, Numbers] = (None, None)
        if scale:
            of_x = _mean_and_deviation(data.x, data.columns, data.categories)
        if scale_target:
            if data.y.dtype.kind == "U":
                raise BadInput(
                    f"y holds texts ({shown(str(data.y[0]))}): wanted numbers to scale; leave scale_target out"
                )
            of_y = _mean_and_deviation(
                data.y.reshape(len(data), -1), (data.target,) if data.target and data.y.ndim == 1 else None
            )
        return cls(n_in, data.columns, data.target, classes, *of_x, *of_y, categories=_categories_in(data))

    def apply(self, x: object) -> Array:
        """Prepared rows (N, width), a new float32 array; without mean, scale and categories, a view of x as it is.

        x (N, inputs) is as a Dataset holds it: numbers, and of categories their places. Raises BadInput for
        another width and for infinite numbers.
        """
        raw = inputs(x, missing=self.mean is not None or self.categories is not None)
        if raw.shape[1] != self.inputs:
            raise BadInput(f"x has shape {raw.shape}: wanted (N, {self.inputs}), as in training; give the same columns")
        if self.mean is None and self.categories is None:
            return raw
        result = np.zeros((len(raw), self.width), np.float32)
        for start, block in blocks(raw):
            self._apply_block(block, result[start : start + len(block)], start)
        return result

    @property
    def width(self) -> int:
        """How many inputs the network has: one for each number, one for each category."""
        kinds = self.categories or (None,) * self.inputs
        return sum(1 if known is None else len(known) for known in kinds)

    def _apply_block(self, block: Array, result: Array, start: int) -> None:
        """Writes the prepared rows of ``block`` (rows, inputs) into ``result`` (rows, width), which holds zeros."""
        mean = np.zeros(self.inputs) if self.mean is None else np.array(self.mean)
        scale = np.ones(self.inputs) if self.scale is None else np.array(self.scale)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = ((block.astype(np.float64) - mean) / scale).astype(np.float32)
        if self.mean is not None:
            scaled[np.isnan(block)] = 0  # the mean stands for what is missing
        kinds = self.categories or (None,) * self.inputs
        numbers = np.array([known is None for known in kinds])
        bad = ~np.isfinite(scaled) & numbers
        if bad.any():
            row, column = (int(i) for i in np.argwhere(bad)[0])
            raise BadInput(
                f"x[{start + row}, {column}] is {float(block[row, column])}: too large or missing for its column, "
                f"which had mean {mean[column]:.6g} and deviation {scale[column]:.6g} in training; correct it"
            )
        if numbers.all():
            result[:] = scaled
            return
        first = np.cumsum([0, *(1 if known is None else len(known) for known in kinds)])
        result[:, first[:-1][numbers]] = scaled[:, numbers]
        for column in np.flatnonzero(~numbers).tolist():
            rows = np.flatnonzero(block[:, column] >= 0)  # neither missing nor unknown
            result[rows, first[column] + block[rows, column].astype(np.int64)] = 1

    def apply_to(self, data: object, unseen: Unseen | None = None) -> Dataset:
        """``data``, whatever ``Dataset.of`` takes, and its test part with prepared inputs: columns found by name,
        classes those of training.

        ``unseen``, a dict, gets column -> category that training didn't have -> rows of ``data`` that hold it.
        Raises BadInput for a column that is missing or a label that training didn't know.
        """
        data = Dataset.of(data)
        y = self._scaled_answers(data.y)
        return Dataset(
            self.apply(self._columns_of(data, unseen)),
            y,
            data.sample_weight,
            classes=classes_with(self.classes, y),
            columns=self.inputs_of_columns,
            target=data.target,
            note=data.note,
            test=None if data.test_source is None else partial(_prepared_test, self, data),
        )

    def with_answers(self, x: Array, y: Array, target: str) -> Dataset:
        """Raw rows as ``read_trained_table`` gives them, x (N, inputs) and y (N,), prepared."""
        return Dataset(
            self.apply(x),
            self._scaled_answers(y),
            classes=self.classes,
            columns=self.inputs_of_columns,
            target=target,
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

    @property
    def inputs_of_columns(self) -> tuple[str, ...] | None:
        """The names of the network's inputs: ``age``, ``colour=red``."""
        if self.columns is None or self.categories is None:
            return self.columns
        pairs = zip(self.columns, self.categories, strict=True)
        names = [[name] if known is None else [f"{name}={text}" for text in known] for name, known in pairs]
        every = tuple(name for group in names for name in group)
        return every if len(set(every)) == len(every) else None

    def _columns_of(self, data: Dataset, unseen: Unseen | None) -> Array:
        """x of ``data``: its columns in the order of training, its categories as their places here."""
        x, given = data.x, data.categories
        if self.columns is not None and data.columns is not None and self.columns != data.columns:
            missing = [name for name in self.columns if name not in data.columns]
            if missing:
                raise BadInput(
                    f"column {shown(missing[0])} is missing: wanted {listed(self.columns)}, came {listed(data.columns)}"
                )
            places = [data.columns.index(name) for name in self.columns]
            x = x[:, places]
            given = None if given is None else tuple(given[place] for place in places)
        if self.categories is None and given is None:
            return x
        return self._known(x, given or (None,) * x.shape[1], unseen)

    def _known(self, x: Array, given: tuple[Categories, ...], unseen: Unseen | None) -> Array:
        """x (N, inputs) with the places of ``given`` texts turned into those of the categories of training."""
        result = x.astype(np.float64)
        known = self.categories or (None,) * self.inputs
        if len(given) != len(known):
            raise BadInput(f"x has shape {x.shape}: wanted (N, {self.inputs}), as in training; give the same columns")
        for column, (texts, wanted) in enumerate(zip(given, known, strict=True)):
            name = self.columns[column] if self.columns else column
            if wanted is None:
                if texts is not None:
                    raise BadInput(
                        f"column {shown(name)} holds texts such as {shown(texts[0])}: wanted numbers, as in training"
                    )
                continue
            values = result[:, column]
            if texts is None:  # by chance every text in these rows is a number
                spelled = {value: as_text(value) for value in np.unique(values[~np.isnan(values)]).tolist()}
            else:
                spelled = {float(place): text for place, text in enumerate(texts)}
            codes = np.full(len(values), float(wanted.index("")) if "" in wanted else -1.0)
            for value, text in spelled.items():
                rows = values == value
                known_as = known_text(text, wanted)
                codes[rows] = -1 if known_as is None else wanted.index(known_as)
                if unseen is not None and known_as is None and rows.any():
                    unseen.setdefault(str(name), Counter())[text] += int(rows.sum())
            result[:, column] = codes
        return result

    def to_record(self) -> dict[str, Any]:
        """The fields as JSON takes them: finite numbers, lists, texts, None."""
        lists = {name: getattr(self, name) for name in FIELDS if name not in ("inputs", "target", "categories")}
        kinds = self.categories
        return {
            "inputs": self.inputs,
            "target": self.target,
            **{name: None if value is None else list(value) for name, value in lists.items()},
            "categories": None if kinds is None else [None if known is None else list(known) for known in kinds],
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
        categories = _categories("categories", record["categories"], n)
        return cls(n, columns, target, _classes(record["classes"]), *of_x, *of_y, categories=categories)


def _prepared_test(preparation: Preparation, data: Dataset) -> Dataset | None:
    return None if data.test is None else preparation.apply_to(data.test)


def _categories_in(data: Dataset) -> tuple[Categories, ...] | None:
    """The categories of each column that occur in these rows, sorted; "" among them where some are missing.

    A boolean is one of them, however it is spelled here; a model of before, which tells spellings apart, finds its own.
    """
    if data.categories is None:
        return None
    found: list[Categories] = []
    for column, texts in enumerate(data.categories):
        if texts is None:
            found.append(None)
            continue
        values = data.x[:, column]
        present = set(one_spelling([texts[int(code)] for code in np.unique(values[~np.isnan(values)])]).values())
        found.append(tuple(sorted([*present, ""] if np.isnan(values).any() else present)))
    return tuple(found)


def _mean_and_deviation(
    x: Array, columns: tuple[str, ...] | None, categories: tuple[Categories, ...] | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One number per column of x, in float64, by two passes: one pass loses digits where the mean is large."""
    n, n_in = x.shape
    total, squares, count = np.zeros(n_in), np.zeros(n_in), np.full(n_in, n)
    low, high = np.full(n_in, np.inf), np.full(n_in, -np.inf)
    texts = np.zeros(n_in, bool) if categories is None else np.array([known is not None for known in categories])
    with np.errstate(over="ignore", invalid="ignore"):
        for _, block in blocks(x):
            exact = block.astype(np.float64)
            low, high = np.fmin(low, np.fmin.reduce(exact)), np.fmax(high, np.fmax.reduce(exact))
            if categories is not None:
                gone = np.isnan(exact)
                exact[gone], count = 0, count - gone.sum(axis=0)
            total += exact.sum(axis=0)
        mean = total / np.maximum(count, 1)
        for _, block in blocks(x):
            apart = block.astype(np.float64) - mean
            if categories is not None:
                apart[np.isnan(apart)] = 0  # the mean stands for what is missing
            squares += (apart**2).sum(axis=0)
        deviation = np.sqrt(squares / n)
    mean[texts], deviation[texts] = 0, 1
    constant = (low == high) & ~texts  # what it deviates are roundings of its mean
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


def _categories(field: str, value: object, n: int) -> tuple[Categories, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != n:
        raise _odd(field, f"{n} lists of texts or nulls, or null", value)
    return tuple(None if entry is None else _sorted_texts(field, entry) for entry in value)


def _sorted_texts(field: str, value: object) -> tuple[str, ...]:
    texts = _texts(field, value)
    if texts is None or list(texts) != sorted(texts):
        raise _odd(field, "lists of different, sorted texts", value)
    return texts


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
