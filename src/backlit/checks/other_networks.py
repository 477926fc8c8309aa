"""Which network somebody's gradient belongs to, where nobody has said it: another activation, output or loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import BadInput
from ..network import HIDDEN, LOSSES, NEEDS_OUTPUT, OUTPUT, Network
from ..state import Floats, State
from .comparison import block_errors, blocks
from .layouts import read
from .matching import MATCH
from .wrong_passes import Scene

TRIED = 6  # networks that agree in the output layer only


def right_for(gradient: Any, net: Network, state: State, x: Floats, y: Floats, said: set[str]) -> Network | None:
    """A network of the same sizes whose right gradient this is; ``said``: what of hidden, output, loss is known."""
    compared = _compared(gradient, net, state, x, y, said)
    return next((other for other, error, _ in compared if error < MATCH and other != net), None)


def near(gradient: Any, net: Network, state: State, x: Floats, y: Floats, said: set[str]) -> list[Network]:
    """The networks in whose output layer this gradient agrees, up to a constant; not more than a few."""
    compared = _compared(gradient, net, state, x, y, said)
    return [other for other, _, output in compared if output < MATCH][:TRIED]


def _compared(
    gradient: Any, net: Network, state: State, x: Floats, y: Floats, said: set[str]
) -> Iterator[tuple[Network, float, float]]:
    """(network, error of the whole gradient, error of the output layer up to a constant)."""
    for other in _others(net, said):
        try:
            foreign = read("check", other, gradient, len(x))
        except BadInput:
            return
        with np.errstate(all="ignore"):
            right = blocks(Scene(other, state.layers, x, y, np.ones(len(x)), foreign.gradient).right)
        for reading in foreign.readings() if not foreign.unsummed else []:
            theirs = blocks(reading.gradient)
            if all(np.isfinite(block).all() for block in right):
                yield other, max(block_errors(theirs, right, [0.0] * len(right))), _apart(theirs[-2], right[-2])


def _others(net: Network, said: set[str]) -> Iterator[Network]:
    hidden = [net.hidden[0]] if "hidden" in said and net.hidden else list(HIDDEN) if net.hidden else ["sigmoid"]
    for loss in [net.loss] if "loss" in said else LOSSES:
        for output in [net.output] if "output" in said else OUTPUT:
            if NEEDS_OUTPUT.get(loss, output) == output and not (output == "softmax" and net.sizes[-1] == 1):
                yield from (Network(net.sizes, h, output, loss, net.reduction) for h in hidden)


def _apart(theirs: Floats, right: Floats) -> float:
    square = float((right * right).sum())
    factor = float((theirs * right).sum()) / square if square else 0.0
    return float(np.abs(theirs - factor * right).max()) / (float(np.abs(theirs).max()) or 1.0)
