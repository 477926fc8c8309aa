"""Dataset: inputs, answers and weights of N rows, checked once and then left alone; how it is divided.

No file is opened here. Randomness lives in ``Dataset.split`` only. Nothing changes an array in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..errors import BadInput
from . import arrays
from .arrays import Array
from .mapped_rows import RowView, as_array
from .targets import Label, Net, codes, labels_in, targets_of
from .wording import shown


class Dataset:
    """N rows of inputs and answers.

    x:              (N, n_in), any real array or ``np.memmap``; never copied. Arrays in memory must be finite.
    y:              (N,) labels (integers, texts, bools), (N,) numbers, or (N, n_out) numbers.
    sample_weight:  (N,), at least 0.
    classes:        all labels, where y may lack some.
    columns:        names of the n_in inputs; ``target`` is what y is called.
    categories:     marks a raw table: one entry for each column of x, None where it holds numbers, else the texts that
                    its entries are the places of; NaN is missing. Only a Preparation can use a raw table.
    note:           a sentence on how the data was read.
    test:           the Dataset to test on, or a function that is called for it at first use.

    Raises BadInput for anything that does not fit.

    >>> bl.Dataset([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], ["yes", "no", "yes"])
    Dataset(3 rows of 2 inputs, float64; 2 classes)
    """

    __slots__ = (
        "_categories", "_classes", "_columns", "_last", "_note", "_sample_weight", "_target", "_test", "_x", "_y",
    )  # fmt: skip

    _sample_weight: Array | None
    _classes: tuple[Label, ...] | None
    _columns: tuple[str, ...] | None

    def __init__(
        self,
        x: object,
        y: object,
        sample_weight: object = None,
        *,
        classes: Iterable[Label] | None = None,
        columns: Iterable[str] | None = None,
        categories: tuple[tuple[str, ...] | None, ...] | None = None,
        target: str | None = None,
        note: str = "",
        test: Dataset | Callable[[], Dataset | None] | None = None,
    ) -> None:
        self._x = arrays.inputs(x, missing=categories is not None)
        self._categories = categories
        self._y = arrays.answers(y, len(self._x))
        self._sample_weight = None if sample_weight is None else arrays.weights(sample_weight, len(self._x))
        self._classes = None if classes is None else _sorted_classes(classes, self._y)
        self._columns = None if columns is None else _column_names(columns, self._x.shape[1])
        self._target = target
        self._note = note
        self._test = test
        self._last: tuple[tuple[int, str, str], Array] | None = None

    @classmethod
    def of(cls, data: object) -> Dataset:
        """A Dataset as it is; a tuple (x, y) or (x, y, sample_weight), or a list of pairs of vectors, as a new one.

        BadInput for the rest: a list [x, y] could be either.
        """
        if isinstance(data, Dataset):
            return data
        if isinstance(data, tuple) and len(data) in (2, 3):
            return cls(*data)
        if isinstance(data, list) and data and all(type(p) is tuple and len(p) == 2 for p in data):
            return cls(*map(list, zip(*data, strict=True)))
        came = f"{type(data).__name__} of {len(data)}" if isinstance(data, tuple | list) else type(data).__name__
        raise BadInput(f"data is a {came}: wanted a Dataset, a tuple (x, y) or (x, y, sample_weight), or pairs")

    @property
    def x(self) -> Array:
        """(N, n_in), read-only: an array, or for rows taken from a memory map a RowView, which indexing makes one."""
        return self._x

    @property
    def y(self) -> Array:
        """(N,) or (N, n_out), read-only, as it was given."""
        return self._y

    @property
    def sample_weight(self) -> Array | None:
        """(N,), read-only, or None: all rows count alike."""
        return self._sample_weight

    @property
    def classes(self) -> tuple[Label, ...] | None:
        """The labels in sorted order, as Python scalars; None where y holds floats or is a matrix."""
        if self._classes is None:
            self._classes = labels_in(self._y)
        return self._classes

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the n_in inputs, or None."""
        return self._columns

    @property
    def categories(self) -> tuple[tuple[str, ...] | None, ...] | None:
        """What the columns of a raw table hold; None where x is numbers that a network can take."""
        return self._categories

    @property
    def target(self) -> str | None:
        """The name of the column that y came from, or None."""
        return self._target

    @property
    def note(self) -> str:
        """One sentence on what the reader chose by itself, or an empty text."""
        return self._note

    @property
    def test(self) -> Dataset | None:
        """The rows kept for testing, read when first asked for; None where the data has no such part."""
        if callable(self._test):
            self._test = self._test()
        return self._test

    @property
    def test_source(self) -> Dataset | Callable[[], Dataset | None] | None:
        """The test part if it has been read, or the function that reads it: it doesn't hold on to this data."""
        return self._test

    def __len__(self) -> int:
        return len(self._x)

    def __repr__(self) -> str:
        n, n_in = self._x.shape
        if self.classes is not None:
            answer = f"{len(self.classes)} classes"
        else:
            answer = "numbers" if self._y.ndim == 1 else f"{self._y.shape[1]} numbers each"
        return f"Dataset({n} rows of {n_in} inputs, {self._x.dtype}; {answer})"

    def check_inputs(self, net: Net) -> None:
        """BadInput unless x has one column per input of the network, and is prepared."""
        self._check_prepared()
        if self._x.shape[1] != net.sizes[0]:
            raise BadInput(
                f"x has shape {self._x.shape}: wanted ({len(self)}, {net.sizes[0]}) for a network with "
                f"{net.sizes[0]} inputs; change the first size of the network or the columns of x"
            )

    def _check_prepared(self) -> None:
        if self._categories is not None:
            raise BadInput(
                "this table holds texts or missing values, which a network can't take: prepare it first with "
                "p = bl.Preparation.learn(data); data = p.apply_to(data)"
            )

    def targets(self, net: Net) -> Array:
        """The (N, n_out) targets of ``net``, kept for the next call with a network of the same kind.

        With two or more outputs, labels become one-hot in sorted order (whole floats count as labels). With
        one output, numbers become (N, 1); so do two classes, as 0 and 1, where they are texts or the output
        is a sigmoid. An (N, n_out) matrix passes unchanged. New arrays are float32, or float64 where x is.
        Raises BadInput where widths differ or the loss has no meaning for a value.
        """
        self._check_prepared()
        key = (net.sizes[-1], net.output, net.loss)
        if self._last is None or self._last[0] != key:
            dtype = np.float64 if self._x.dtype == np.float64 else np.float32
            self._last = (key, targets_of(self._y, self.classes, net, dtype))
        return self._last[1]

    def not_finite(self, rows: NDArray[np.int64]) -> int | None:
        """The first of ``rows`` in which x holds NaN or infinity: files are not looked through when they are opened."""
        x = np.asarray(self.x[rows])
        odd = ~np.isfinite(x).all(axis=1)
        return int(rows[np.argmax(odd)]) if odd.any() else None

    def take(self, rows: object) -> Dataset:
        """The rows with these numbers (from 0, in this order), without a test part.

        They are copied into memory; of a memory map only y and the weights, and x is a RowView of the file.
        """
        numbers = np.asarray(rows)
        if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or numbers.size == 0:
            raise BadInput(f"rows has shape {numbers.shape} and type {numbers.dtype}: wanted at least one whole number")
        outside = (numbers < 0) | (numbers >= len(self))
        if outside.any():
            place = int(np.argmax(outside))
            raise BadInput(f"rows[{place}] is {int(numbers[place])}: wanted 0 to {len(self) - 1}")
        part = object.__new__(Dataset)  # its values have been checked before: once is enough
        if isinstance(self._x, RowView):
            part._x = as_array(RowView(self._x.base, self._x.rows[numbers]))
        elif isinstance(self._x, np.memmap):
            part._x = as_array(RowView(self._x, numbers))
        else:
            part._x = arrays.as_view("x", np.asarray(self._x)[numbers])
        part._y = arrays.as_view("y", np.asarray(self._y)[numbers])
        part._sample_weight = None
        if self._sample_weight is not None:
            part._sample_weight = arrays.as_view("sample_weight", np.asarray(self._sample_weight)[numbers])
            arrays.check_some_weight(part._sample_weight)
        part._categories = self._categories
        part._classes, part._columns, part._target = self.classes, self._columns, self._target
        part._note, part._test, part._last = self._note, None, None
        return part

    def split(self, share: float, seed: int, stratify: bool = True) -> tuple[Dataset, Dataset]:
        """(train, rest): ``share`` of the rows, drawn at random, and the others; same seed, same parts.

        With ``stratify``, classes of two or more rows each are divided alike: each is within one row of its
        share. Both parts keep the order of the rows. They are copies in memory, but for x of a memory map,
        which stays in its file.
        """
        n = len(self)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
            raise BadInput(f"share is {shown(share)}: wanted a number between 0 and 1, the part to train on")
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise BadInput(f"seed is {shown(seed)}: wanted a whole number of 0 or more")
        if n < 2:
            raise BadInput("data has one row: wanted at least two to divide it")
        k = rows_in_share(n, share)
        rng = np.random.default_rng(seed)
        order = rng.permutation(n)
        offset = 0
        if stratify and self.classes is not None:
            label = codes(self._y, self.classes)
            if np.bincount(label).min(initial=2, where=np.bincount(label) > 0) >= 2:
                order = order[np.argsort(label[order], kind="stable")]
                offset = int(rng.integers(n))
        # k of n places as evenly as whole numbers allow: a class is a run of places, so it gets its share
        i = np.arange(n)
        chosen = ((i + 1) * k + offset) // n > (i * k + offset) // n
        return self.take(np.sort(order[chosen])), self.take(np.sort(order[~chosen]))


def rows_in_share(n: int, share: float) -> int:
    """How many of n rows Dataset.split takes as this share, from 0 to 1: neither none nor all, where n is 2 or more."""
    return min(max(round(share * n), 1), n - 1)


def _sorted_classes(classes: Iterable[Label], y: Array) -> tuple[Label, ...]:
    """``classes`` sorted, after a check that they differ, are of one kind, and hold every label of y (N,)."""
    if isinstance(classes, np.ndarray):
        classes = classes.tolist()
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        raise BadInput(f"classes is {shown(classes)}: wanted a list of labels")
    given = [label.item() if isinstance(label, np.generic) else label for label in classes]
    one_kind = any(all(isinstance(label, kind) for label in given) for kind in (str, int))
    if not given or not one_kind or len(set(given)) != len(given):
        raise BadInput(f"classes is {shown(given)}: wanted different labels, all int or all str")
    if y.ndim != 1:
        raise BadInput(f"y has shape {y.shape}: wanted ({len(y)},) labels where classes are named; leave classes out")
    ordered = tuple(sorted(given))
    codes(y, ordered)
    return ordered


def _column_names(columns: Iterable[str], n_in: int) -> tuple[str, ...]:
    if isinstance(columns, str) or not isinstance(columns, Iterable):
        raise BadInput(f"columns is {shown(columns)}: wanted a list of {n_in} names")
    names = tuple(columns)
    if len(names) != n_in or not all(isinstance(name, str) for name in names) or len(set(names)) != n_in:
        raise BadInput(f"columns holds {len(names)} names: wanted {n_in} different texts, one for each column of x")
    return names
