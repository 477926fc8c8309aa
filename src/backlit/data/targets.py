"""From labels or numbers y to the targets (N, n_out) of one network: one-hot rows, 0/1, or y as it is.

Pure functions of arrays; nothing is broadcast, and nothing here knows about files.
"""

from contextlib import suppress
from typing import Protocol

import numpy as np

from ..errors import BadInput
from .arrays import Array, blocks
from .wording import listed

Label = bool | int | str


class Net(Protocol):
    """What targets depend on in a Network."""

    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def output(self) -> str: ...
    @property
    def loss(self) -> str: ...


def labels_in(y: Array) -> tuple[Label, ...] | None:
    """The different labels of y, sorted, as Python scalars; None where y holds floats or is a matrix."""
    return tuple(np.unique(np.asarray(y)).tolist()) if y.ndim == 1 and y.dtype.kind != "f" else None


def classes_with(known: tuple[Label, ...] | None, y: Array) -> tuple[Label, ...] | None:
    """The classes by which to read y (N,) of other rows than those that gave ``known``.

    Texts must be known ones (Dataset sees to it). Whole numbers that are new are added: they may be numbers,
    which only the network tells; where they are labels, there are now more of them than outputs, and
    ``targets_of`` says so.
    """
    if known is None or y.ndim != 1:
        return None
    if y.dtype.kind == "U" or isinstance(known[0], str):
        return known
    different = np.unique(np.asarray(y))
    if (different != np.floor(different)).any():
        return None
    return tuple(sorted({*known, *(int(label) for label in different.tolist())}))


def codes(y: Array, classes: tuple[Label, ...]) -> Array:
    """(N,) places of the labels y in ``classes``, which is sorted; BadInput for a label that isn't there."""
    table = np.array(classes)
    if (y.dtype.kind == "U") != (table.dtype.kind == "U"):
        raise BadInput(f"y holds {y.dtype} labels and classes are {_some(classes)}: wanted both text or both numbers")
    if y.dtype.kind in "iu":
        with suppress(OverflowError):  # of one type where they fit: uint64 and int64 would be compared as floats
            table = np.array(classes, dtype=y.dtype)
    found = np.searchsorted(table, np.asarray(y)).clip(max=len(table) - 1)
    other = table[found] != y
    if other.any():
        row = int(np.argmax(other))
        raise BadInput(f"y[{row}] is {y[row].item()!r}: wanted one of the {len(classes)} classes {_some(classes)}")
    return found


def targets_of(y: Array, classes: tuple[Label, ...] | None, net: Net, dtype: type) -> Array:
    """y as (N, n_out) targets of ``net``; new arrays have ``dtype``, a given matrix passes unchanged."""
    n_out = net.sizes[-1]
    result: Array
    if y.ndim == 2:
        if y.shape[1] != n_out:
            raise BadInput(
                f"y has shape {y.shape}: wanted ({len(y)}, {n_out}) for a network with {_outputs(n_out)}; "
                "change the last size of the network or the columns of y"
            )
        result = y
    elif n_out == 1:
        result = _one_column(y, classes, net.output, dtype)
    else:
        result = _one_hot(y, classes, n_out, dtype)
    _check_against_loss(result, net.loss)
    result.flags.writeable = False
    return result


def _one_hot(y: Array, classes: tuple[Label, ...] | None, n_out: int, dtype: type) -> Array:
    if classes is None:
        y = _whole_numbers(y, n_out)
        classes = tuple(np.unique(y).tolist())
    if len(classes) != n_out:
        raise BadInput(
            f"y has {len(classes)} classes {_some(classes)}, the network {_outputs(n_out)}: wanted as many; "
            "change the network's last size, or name all classes with Dataset(..., classes=...)"
        )
    result: Array = np.zeros((len(y), n_out), dtype)
    result[np.arange(len(y)), codes(y, classes)] = 1
    return result


def _whole_numbers(y: Array, n_out: int) -> Array:
    """Floats (N,) that are labels, as integers; others are refused, as one number fills one output."""
    with np.errstate(invalid="ignore"):
        whole: Array = np.asarray(y).astype(np.int64)
    other = whole != y
    if other.any():
        row = int(np.argmax(other))
        raise BadInput(
            f"y[{row}] is {float(y[row])}: wanted labels (whole numbers) or shape ({len(y)}, {n_out}) for "
            "a network "
            f"with {_outputs(n_out)}; for one number per row give the network one output"
        )
    return whole


def _one_column(y: Array, classes: tuple[Label, ...] | None, output: str, dtype: type) -> Array:
    """Numbers as they are; two classes as 0 and 1 where they are text or the output is a sigmoid."""
    numeric = y.dtype.kind != "U"
    if classes is None or (numeric and (output != "sigmoid" or set(classes) <= {0, 1})):
        return y.reshape(-1, 1)
    if len(classes) != 2:
        raise BadInput(
            f"y has {len(classes)} classes {_some(classes)}, the network one output: wanted two classes, "
            f"or a network with {max(2, len(classes))} outputs"
        )
    return codes(y, classes).astype(dtype).reshape(-1, 1)


def _check_against_loss(targets: Array, loss: str) -> None:
    """Raises BadInput naming the first row (of ``targets`` (N, n_out)) that the loss has no meaning for."""
    if loss not in ("cross_entropy", "binary_cross_entropy", "poisson"):
        return
    exact = targets.dtype.kind != "f" or targets.dtype.itemsize >= 8
    # a row of float32 probabilities adds up to 1 within a few roundings for each of its terms
    slack = 1e-6 if exact else max(1e-6, 4 * targets.shape[1] * float(np.finfo(targets.dtype).eps))
    for start, block in blocks(targets):
        fine = (block >= 0).all(axis=1)
        wanted = "numbers of 0 or more"
        if loss == "binary_cross_entropy":
            fine &= (block <= 1).all(axis=1)
            wanted = "numbers from 0 to 1"
        elif loss == "cross_entropy":
            fine &= np.abs(block.sum(axis=1, dtype=np.float64) - 1) <= slack
            wanted = "probabilities that add up to 1"
        if not fine.all():
            row = int(np.argmin(fine))
            came = listed([f"{float(v):.6g}" for v in block[row]], 6)
            raise BadInput(
                f"y[{start + row}] is {came}: the loss {loss} wants {wanted}; scale y or choose another loss"
            )


def _outputs(n: int) -> str:
    return f"{n} output{'s' * (n != 1)}"


def _some(classes: tuple[Label, ...]) -> str:
    return f"({listed([str(label) for label in classes], 6)})"
