"""Trace: one step written out. A record; the formulas behind what it gives when asked are those of chain.py.

How it is shown is decided in explanations, which its display methods call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from .errors import BadInput
from .network import Network
from .optimizers import Optimizer
from .state import Floats, Layers, State


class TraceLayer(NamedTuple):
    """z, a and delta = ∂Lᵢ/∂z of one layer, each (B, fan_out)."""

    z: Floats  # each (B, fan_out)
    a: Floats
    delta: Floats  # ∂Lᵢ/∂z, before sample weights and reduction


@dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """One step written out, as ``step`` gives it: B examples, layers counted from 0.

    before, after:          the States; after = before + update.
    x, y, sample_weight:    the batch, (B, n_in), (B, n_out), (B,); ``rate`` is the learning rate of the step.
    layers:                 ``[l].z``, ``[l].a``, ``[l].delta``, each (B, fan_out).
    example_losses, loss:   (B,), and reduced over the batch; without L2.
    gradient, update:       ``[l].W`` (fan_in, fan_out) and ``[l].b`` (fan_out,): what the optimizer was given, with L2,
                            and what it made of it.
    network, optimizer:     whose step it was.
    """

    network: Network
    optimizer: Optimizer
    before: State
    x: Floats
    y: Floats
    sample_weight: Floats
    rate: float
    layers: tuple[TraceLayer, ...]
    example_losses: Floats  # (B,)
    loss: float  # reduced, without L2
    gradient: Layers
    update: Layers
    after: State

    @property
    def inputs(self) -> list[Floats]:
        """What each layer takes in (B, fan_in): x, then the activations below."""
        return [self.x, *(layer.a for layer in self.layers[:-1])]

    @cached_property
    def example_gradients(self) -> Layers:
        """``[l].W`` (B, fan_in, fan_out) and ``[l].b`` (B, fan_out), computed when asked."""
        from .chain import example_gradients

        return example_gradients(self.network, self.inputs, [layer.delta for layer in self.layers])

    @cached_property
    def example_norms(self) -> Floats:
        """‖gᵢ‖ (B,) of the example gradients, which needn't be made for it."""
        from .example_norms import squared_norms

        norms: Floats = squared_norms(self.inputs, [layer.delta for layer in self.layers]) ** 0.5
        return norms

    def running_sum(self, i: int) -> Layers:
        """Σ sᵢgᵢ of the first i examples, in the order of the batch; i from 0 to B."""
        if isinstance(i, bool) or not hasattr(i, "__index__") or not 0 <= i <= len(self.x):
            wanted = f"a whole number from 0 to {len(self.x)}, the examples of the batch"
            raise BadInput(f"running_sum: i must be {wanted}; got {i!r:.60}.")
        from .chain import weighted_sum

        inputs, deltas = [a[:i] for a in self.inputs], [layer.delta[:i] for layer in self.layers]
        return weighted_sum(self.network, inputs, deltas, self.sample_weight[:i])

    def __repr__(self) -> str:
        sizes = list(self.network.sizes)
        return f"Trace(sizes={sizes}, step {self.before.step}, batch of {len(self.x)}, loss {self.loss:.6g})"

    def __rich__(self) -> object:
        from .explanations import RichTables

        return RichTables(self)

    def _repr_html_(self) -> str:
        from .explanations import html_tables

        return html_tables(self)
