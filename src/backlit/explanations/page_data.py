"""What the explorer page carries of each step: its arrays, the numbers of the ledger, and what had to be left out.

Every number that the page shows is made here, except products of two that it carries and their running sums: what an
example adds (aᵢ·δⱼ), what comes back on a path (δₖ·wₖ), the sum over the examples, that sum divided, and a parameter
before plus its update.
"""

from __future__ import annotations

import base64
import gzip
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import chain
from ..optimizers import SGD, AdamW
from ..state import Floats
from ..trace import Trace
from .factors import Replayed, as_trace, differences
from .inside_loop import inside_the_loop, l2_in_gradient, once
from .labels import Labels
from .tables import largest
from .wording import division, parameter_at, place, weight_name

NUMBERS = 1_400_000  # in one page, at most
BYTES = 4_850_000  # of all numbers packed; the page around them has 50 kB
EXACT = 60_000  # up to so many numbers the page carries float64, above float32
LEDGER_ALL = 500  # up to so many parameters, all have what only the LISTED with the largest gradient have above
LISTED = 200
EXAMPLES = 64  # examples of a batch that are shown one by one


class Store:
    """All arrays of a page in one piece: bytes ordered by significance, compressed, as base64 text."""

    def __init__(self) -> None:
        self.arrays: list[tuple[Floats, int | None]] = []

    def add(self, array: Any, like: int | None = None) -> int:
        """The number of this array; ``like`` is the number of one that it hardly differs from."""
        self.arrays.append((np.asarray(array, np.float64), like))
        return len(self.arrays) - 1

    def packed(self, count: int, short: bool = False) -> dict[str, Any]:
        """Shapes and numbers of the first ``count`` arrays: float64 while there are few, otherwise float32.

        short: the last 4 bits of float32 are rounded away, which leaves six digits.
        """
        kept = self.arrays[:count]
        dtype = np.dtype("<f8" if sum(array.size for array, _ in kept) <= EXACT else "<f4")
        bits = [np.ascontiguousarray(array, dtype).view(f"<u{dtype.itemsize}").ravel() for array, _ in kept]
        if short:
            bits = [(own + 8) & np.uint32(0xFFFFFFF0) for own in bits]
        # What hardly differs shares its leading bits: only the difference of the bits is kept, and compresses well.
        mixed = [own if like is None else own ^ bits[like] for own, (_, like) in zip(bits, kept, strict=True)]
        planes = np.concatenate(mixed).view(np.uint8).reshape(-1, dtype.itemsize).T
        data = gzip.compress(np.ascontiguousarray(planes).tobytes(), 6, mtime=0)
        return {
            "bytes": dtype.itemsize,
            "shapes": [list(array.shape) for array, _ in kept],
            "like": [like for _, like in kept],
            "data": base64.b64encode(data).decode("ascii"),
        }


def numbers_of(trace: Trace, whole: bool) -> int:
    """About how many numbers the page needs for a step, with the ``whole`` parameters or only the listed ones."""
    (n_in, *units), shown = trace.network.sizes, min(len(trace.x), EXAMPLES)
    per_example = n_in + 6 * sum(units)
    listed = min(trace.network.n_parameters, LISTED) * (shown + 6)
    each = 2 if shown == len(trace.x) else 3
    return (each * trace.network.n_parameters if whole else 0) + shown * per_example + listed


def step_record(
    store: Store, given: Trace | Replayed, whole: bool, opening: int, last: tuple[Trace, dict[str, Any]] | None
) -> dict[str, Any]:
    """One step as the page reads it; arrays by their number in the store.

    whole:    with all parameters before and their updates; otherwise only the listed ones.
    opening:  the parameter that the page begins with, which is always listed.
    last:     the step shown before this one, and its record.
    """
    trace = as_trace("explorer", given)
    net, s, shown = trace.network, trace.sample_weight, min(len(trace.x), EXAMPLES)
    weighted = bool((s != 1).any())
    record: dict[str, Any] = {
        "step": trace.before.step,
        "rate": trace.rate,
        "loss": _finite(trace.loss),
        "division": division(net, [float(value) for value in s]),
        "batch": len(trace.x),
        "shown": shown,
        "weighted": weighted,
        "difference": None if isinstance(given, Trace) else _finite(given.difference),
        "rows": None if isinstance(given, Trace) else [int(row) for row in given.rows[:shown]],
        "single": trace.before.dtype == np.float32,
        "factor": chain.batch_factor(net, s),
        "l2": l2_in_gradient(trace),
        "whole": whole,
        "x": store.add(trace.x[:shown]),
        "y": store.add(trace.y[:shown]),
        "ySum": store.add(trace.y[:shown].sum(1)),
        "losses": store.add(trace.example_losses[:shown]),
        "layers": [_layer(store, trace, number, shown, weighted) for number in range(len(trace.layers))],
    }
    listed = largest(np.abs(trace.gradient.flat), net.n_parameters if net.n_parameters <= LEDGER_ALL else LISTED)
    listed = listed if opening in listed else [*listed, opening]
    record |= _parameters(store, trace, slice(None) if whole else listed, shown, last if whole else None)
    checked = {*largest(np.abs(trace.gradient.flat), LISTED), opening}
    return record | _ledger(store, trace, shown, listed, checked, Labels.of(net, getattr(given, "data", None)))


def _parameters(store: Store, trace: Trace, keep: Any, shown: int, last: tuple[Trace, dict[str, Any]] | None) -> Any:
    """Of all parameters, or of those to ``keep``: before, the update, and what the examples not shown add to the sum.

    last: the step shown before this one, and its record, if all are kept. Where its parameters after are those before
    this one, they are not carried again: the page adds the update to those before.
    """
    before, like = trace.before.parameters, None if last is None else last[1]["stored"]
    follows = last is not None and np.array_equal(last[0].after.parameters, before)
    stored = like if follows else store.add(before[keep], like=like)
    rest = trace.running_sum(len(trace.x)).flat - trace.running_sum(shown).flat if shown < len(trace.x) else None
    return {
        "before": None if follows else stored,
        "stored": stored,
        "update": store.add(trace.update.flat[keep]),
        "rest": None if rest is None else store.add(rest[keep]),
    }


def _layer(store: Store, trace: Trace, l: int, shown: int, weighted: bool) -> dict[str, Any]:  # noqa: E741
    net, layer, above = trace.network, trace.layers[l], l + 1
    z, a, delta = (array[:shown] for array in layer)
    top = above == len(trace.layers)
    if top:
        up = chain.LOSSES[net.loss].slope(a, trace.y[:shown])
    else:
        up = chain.passed_down(trace.layers[above].delta[:shown], trace.before.layers[above].W)
    slope = None if net.activations[l] == "softmax" else chain.ACTIVATIONS[net.activations[l]].slope(z, a)
    s = trace.sample_weight[:shown, None]
    return {
        "z": store.add(z),
        "a": store.add(a),
        "delta": store.add(delta),
        "counted": store.add(s * delta) if weighted else None,  # s·δ
        "up": store.add(up),  # ∂L/∂a; of a joined loss ∂L/∂z
        "slope": None if slope is None else store.add(slope),  # ∂a/∂z
    }


def _ledger(
    store: Store, trace: Trace, shown: int, listed: list[int], checked: set[int], labels: Labels
) -> dict[str, Any]:
    """For the listed parameters: the sum divided, with L2, the difference quotient, inside the loop."""
    net, s = trace.network, trace.sample_weight
    reduced = trace.running_sum(len(s)).flat * chain.batch_factor(net, s)
    numeric = iter(differences(trace, [p for p in listed if p in checked], None))
    path, end = inside_the_loop(trace), once(trace)
    gap = path[-1] - end
    worst = int(np.abs(gap).argmax())
    at = parameter_at(net, worst)
    moved = float(np.abs(end - trace.before.parameters).max())
    return {
        "listed": listed,
        "reduced": store.add(reduced[listed]),
        "gradient": store.add(trace.gradient.flat[listed]) if _has_l2(trace) else None,
        "numeric": store.add([next(numeric) if p in checked else np.nan for p in listed]),
        "inside": store.add(path[: shown + 1][:, listed]),
        "insideEnd": store.add(path[-1][listed]),
        "insideGap": store.add(gap[listed]),
        "largestGap": _finite(abs(gap[worst])),
        "largestGapAt": f"{weight_name(*at)} ({place(labels, *at)})",
        "largestMove": _finite(moved),
        "plain": isinstance(trace.optimizer, SGD) and not trace.optimizer.momentum,
    }


def _finite(value: Any) -> float | None:
    """A number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None


def _has_l2(trace: Trace) -> bool:
    return not isinstance(trace.optimizer, AdamW) and bool(trace.optimizer.l2)


def opening_of(trace: Trace) -> int:
    """The weight to begin with: of the first layer, whose chain is whole, the largest gradient of those to which the
    first example adds; its number among the parameters."""
    adds = np.outer(trace.x[0], trace.layers[0].delta[0]) != 0
    sizes = np.nan_to_num(np.abs(trace.running_sum(len(trace.x))[0].W) * adds)
    return int(sizes.argmax())  # the parameters begin with W of the first layer, row by row


def image_shape(x: NDArray[Any], columns: tuple[str, ...] | None) -> list[int] | None:
    """[side, side] if each row is a square picture: its neighbours are alike, or its columns are called pixels."""
    side = round(x.shape[1] ** 0.5)
    if side * side != x.shape[1] or side < 6:
        return None
    if columns is not None and all("pixel" in name.lower() for name in columns):
        return [side, side]
    pictures = x.reshape(-1, side, side).astype(np.float64)
    beside = np.abs(np.diff(pictures, axis=2)).mean() + np.abs(np.diff(pictures, axis=1)).mean()
    # Two places as far apart as the picture allows, in the same row or column.
    half = side // 2
    apart = np.abs(pictures - np.roll(pictures, half, axis=2)).mean()
    apart += np.abs(pictures - np.roll(pictures, half, axis=1)).mean()
    return [side, side] if beside < 0.75 * apart else None
