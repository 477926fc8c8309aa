"""Whether somebody's gradient is a candidate's, up to a constant; and what that constant would mean.

A constant may stand before everything, before one layer, before a layer and all below it, or before the biases.
Candidates come from hypotheses.py; which match wins is decided in diagnosis.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from ..network import Network
from ..state import Floats

MATCH = 1e-6  # how near a candidate must come, of each block's largest entry, in float64
ARBITRARY = 9  # the price of a constant without a meaning, in words


class Constant(NamedTuple):
    """A factor, what it may mean, and how many words that takes (its price in simplicity)."""

    value: float
    parts: tuple[str, ...]  # of the keys of wording.PARTS; () for 1
    price: int


def meaningful(net: Network, n: float, rows: int) -> list[Constant]:
    """The constants with a meaning for this network and batch (n = Σ sᵢ), the simpler first."""
    outputs = float(net.sizes[-1])
    batch = [(1.0, ()), (n, ("n",)), (1 / n, ("1/n",)), (n * n, ("n", "n")), (1 / n**2, ("1/n", "1/n"))]
    if rows > 2 and rows == n:
        batch += [(n / (n - 1), ("n/(n-1)",))]
    if rows != n:  # with sample weights: divided by the number of examples, where Σ sᵢ belongs
        batch += [(n / rows, ("Σs/N",))]
    halves = [(1.0, ()), (2.0, ("2",)), (0.5, ("1/2",))]
    per_output = [(1.0, ()), (outputs, ("outputs",)), (1 / outputs, ("1/outputs",))]
    found: dict[float, Constant] = {}
    signs = [(1.0, ()), (-1.0, ("sign",))]
    for (s, sign), (o, out), (h, half), (b, over) in product(signs, per_output, halves, batch):
        # The first stays where two take as many words: with n = 2 outputs = 2, the batch is the likeliest of the three.
        parts: tuple[str, ...] = (*sign, *over, *half, *out)
        constant = Constant(s * b * h * o, parts, len(parts))
        if constant.value not in found or found[constant.value].price > constant.price:
            found[constant.value] = constant
    return sorted(found.values(), key=lambda c: c.price)


class Match(NamedTuple):
    """theirs = factor · candidate, with ``extra`` as a further factor on a part of it.

    part:  None, or "layer" (W and b of layer ``layer``), "down" (that layer and all below it), "biases", "weights",
           "layer_biases", "layer_weights".
    """

    factor: Constant
    part: str | None
    layer: int | None  # from 1
    extra: Constant | None
    error: float


class Ruler:
    """Their blocks [W, b, W, b, …], measured once, and the tolerance of each block."""

    def __init__(
        self, theirs: Sequence[Floats], tolerances: Sequence[float], floors: Sequence[float], constants: list[Constant]
    ) -> None:
        self.theirs = [block.ravel() for block in theirs]
        self.largest = [float(np.abs(block).max(initial=0)) for block in self.theirs]
        self.tolerances, self.floors = list(tolerances), list(floors)
        self.constants = constants
        self.values = np.array([c.value for c in constants])

    def matches(self, candidate: Sequence[Floats]) -> Iterator[Match]:
        """Every way in which their gradient is this candidate, up to constants."""
        fitted = self._ratios(candidate)
        if fitted is None:
            return
        ratios, error = fitted
        for part, layer, chosen in self._parts():
            rest = self._common([k for k in range(len(ratios)) if k not in chosen], ratios)
            if not rest:  # no ratio in common, or 0: a gradient of nothing but zeros is explained by nothing
                continue
            if not chosen:
                yield Match(self.constant(rest, error), None, None, None, error)
                return
            own = self._common(chosen, ratios)
            if own is not None and (own or part in ("layer", "down")):  # biases of 0 have a name of their own
                factor = self.constant(rest, error)
                yield Match(factor, part, layer, self.constant(own / factor.value, error), error)

    def apart(self, candidate: Sequence[Floats]) -> float:
        """The worst block error after the best common factor: how far this candidate is from fitting."""
        flat = np.concatenate([block.ravel() for block in candidate])
        theirs = np.concatenate(self.theirs)
        square = float(flat @ flat)
        factor = float(flat @ theirs) / square if square else 0.0
        return max(
            float(np.abs(mine - factor * block.ravel()).max()) / (large or 1.0)
            for mine, block, large in zip(self.theirs, candidate, self.largest, strict=True)
        )

    def _ratios(self, candidate: Sequence[Floats]) -> tuple[list[float | None], float] | None:
        """(their block / the candidate's, None where both are 0; the worst of what is left), or None."""
        ratios: list[float | None] = []
        errors = []
        for k, (mine, block) in enumerate(zip(self.theirs, candidate, strict=True)):
            flat = block.ravel()
            largest = float(np.abs(flat).max(initial=0))
            if not np.isfinite(largest):
                return None
            if max(self.largest[k], largest) <= 10 * self.tolerances[k] * self.floors[k]:
                ratios.append(None)  # a block that cancels to nothing, on both sides
                continue
            if not largest:
                if self.largest[k]:
                    return None
                ratios.append(None)
                continue
            scaled = flat / largest
            ratio = float(scaled @ mine) / float(scaled @ scaled) / largest
            left = float(np.abs(mine - ratio * flat).max()) / (max(self.largest[k], self.floors[k]) or 1.0)
            if left > self.tolerances[k]:
                return None
            ratios.append(ratio)
            errors.append(left)
        return ratios, max(errors, default=0.0)

    def _parts(self) -> Iterator[tuple[str | None, int | None, list[int]]]:
        """(part, layer from 1, its blocks); the whole first."""
        layers = len(self.theirs) // 2
        yield None, None, []
        if layers > 1:
            yield from (("layer", k + 1, [2 * k, 2 * k + 1]) for k in range(layers))
            yield from (("down", k + 1, list(range(2 * k + 2))) for k in range(1, layers - 1))
        yield "biases", None, list(range(1, 2 * layers, 2))
        yield "weights", None, list(range(0, 2 * layers, 2))
        if layers > 1:
            yield from (("layer_biases", k + 1, [2 * k + 1]) for k in range(layers))
        yield from (("layer_weights", k + 1, [2 * k]) for k in range(layers))

    def _common(self, chosen: Sequence[int], ratios: Sequence[float | None]) -> float | None:
        """The one ratio of these blocks, or None where they differ. That of the largest block counts."""
        known = [(k, r) for k in chosen if (r := ratios[k]) is not None]
        if not known:
            return None
        # The block with most entries is the surest; a single bias may have cancelled to almost nothing.
        best = max(known, key=lambda kr: len(self.theirs[kr[0]]))[1]
        for k, ratio in known:
            if abs(ratio - best) > 3 * self.tolerances[k] * max(abs(ratio), abs(best)):
                return None
        return best

    def constant(self, value: float, error: float) -> Constant:
        """The simplest constant with a meaning that this number is, or the number itself."""
        near = np.abs(self.values - value) <= max(3 * error, 1e-7) * abs(value)
        return self.constants[int(near.argmax())] if near.any() else Constant(value, (), ARBITRARY)
