"""What the explorer page carries of each step: its arrays, the numbers of the ledger, and what had to be left out.

Every number that the page shows is made here, except the products aᵢ·δⱼ and their running sums.
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
from .inside_loop import inside_the_loop, once
from .labels import Labels
from .tables import largest
from .wording import division, parameter_at, place, weight_name

NUMBERS = 1_400_000  # in one page, at most
BYTES = 4_850_000  # of all numbers packed; the page around them has 50 kB
EXACT = 60_000  # up to so many numbers the page carries float64, above float32
LEDGER_ALL = (
    500  # up to so many parameters, every one has its whole ledger; above, the LISTED with the largest gradient
)
LISTED = 200
EXAMPLES = 64  # examples of a batch that are shown one by one
PATHS = 20_000  # products δₖ·wₖ of one step, up to so many


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
    return (2 * trace.network.n_parameters if whole else 0) + shown * per_example + listed


def step_record(store: Store, given: Trace | Replayed, whole: bool, before: int | None) -> dict[str, Any]:
    """One step as the page reads it; arrays by their number in the store.

    whole:   with all parameters before and after; otherwise only the listed ones.
    before:  the number of the parameters before, if they are already there as the ``after`` of the step watched last.
    """
    trace = as_trace("explorer", given)
    net, s, shown = trace.network, trace.sample_weight, min(len(trace.x), EXAMPLES)
    after: int | None = None
    if whole:
        before = store.add(trace.before.parameters) if before is None else before
        after = store.add(trace.after.parameters, like=before)
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
        "before": before,
        "after": after,
        "x": store.add(trace.x[:shown]),
        "y": store.add(trace.y[:shown]),
        "ySum": store.add(trace.y[:shown].sum(1)),
        "losses": store.add(trace.example_losses[:shown]),
        "layers": [_layer(store, trace, number, shown, weighted) for number in range(len(trace.layers))],
    }
    return record | _ledger(store, trace, shown, Labels.of(net, getattr(given, "data", None)))


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
    record = {
        "z": store.add(z),
        "a": store.add(a),
        "delta": store.add(delta),
        "counted": store.add(s * delta) if weighted else None,  # s·δ
        "up": store.add(up),  # ∂L/∂a; of a joined loss ∂L/∂z
        "slope": None if slope is None else store.add(slope),  # ∂a/∂z
        "paths": None,
    }
    if not top and shown * net.sizes[l + 1] * net.sizes[l + 2] <= PATHS:
        delta_above = trace.layers[above].delta[:shown]
        record["paths"] = store.add(delta_above[:, None, :] * trace.before.layers[above].W)  # (shown, unit, unit above)
    return record


def _ledger(store: Store, trace: Trace, shown: int, labels: Labels) -> dict[str, Any]:
    """For the listed parameters: the sum, divided, with L2, the update, the difference quotient, inside the loop."""
    net, s, gradient = trace.network, trace.sample_weight, np.abs(trace.gradient.flat)
    total = trace.running_sum(len(s)).flat
    reduced = total * chain.batch_factor(net, s)
    listed = largest(gradient, net.n_parameters if net.n_parameters <= LEDGER_ALL else LISTED)
    checked = set(largest(gradient, LISTED))
    numeric = iter(differences(trace, [p for p in listed if p in checked], None))
    path, end = inside_the_loop(trace), once(trace)
    gap = path[-1] - end
    worst = int(np.abs(gap).argmax())
    at = parameter_at(net, worst)
    moved = float(np.abs(end - trace.before.parameters).max())
    return {
        "listed": listed,
        "sum": store.add(total[listed]),
        "rest": store.add((total - trace.running_sum(shown).flat)[listed]) if shown < len(s) else None,
        "reduced": store.add(reduced[listed]),
        "gradient": store.add(trace.gradient.flat[listed]) if _has_l2(trace) else None,
        "update": store.add(trace.update.flat[listed]),
        "listedBefore": store.add(trace.before.parameters[listed]),
        "listedAfter": store.add(trace.after.parameters[listed]),
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
