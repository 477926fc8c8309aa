"""The rows of the speed table: network, batch and optimizer of each. No timing and no library lives here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Row:
    sizes: tuple[int, ...]
    hidden: str  # sigmoid, tanh or relu
    output: str  # sigmoid with quadratic loss, softmax with cross-entropy, or linear with quadratic loss
    batch: int
    optimizer: str  # SGD or Adam

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))} {self.hidden} {self.output}, batch {self.batch}, {self.optimizer}"

    @property
    def operations(self) -> int:
        """Floating-point operations of the matrix products of one step: forward, weight gradients, and the deltas of
        all layers but the first."""
        products = [i * o for i, o in pairwise(self.sizes)]
        return 2 * self.batch * (2 * products[0] + 3 * sum(products[1:]))


RATE = {"SGD": 0.1, "Adam": 1e-3}

ROWS = (
    Row((784, 30, 10), "sigmoid", "sigmoid", 10, "SGD"),
    Row((784, 100, 10), "sigmoid", "sigmoid", 10, "SGD"),
    Row((2, 3, 1), "sigmoid", "sigmoid", 1, "SGD"),
    Row((64, 100, 10), "relu", "softmax", 200, "Adam"),
    Row((784, 128, 10), "relu", "softmax", 32, "Adam"),
    Row((20, 64, 64, 1), "tanh", "linear", 64, "Adam"),
    Row((784, 512, 512, 10), "relu", "softmax", 128, "SGD"),
)
