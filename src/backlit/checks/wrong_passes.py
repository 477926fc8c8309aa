"""The backward pass with exchangeable lines: what a program computes in which one line, or two, is another.

The right pass is chain.py's; here it is laid out so that a line can be replaced. Every formula is still taken from
chain.py. Which replacements make which bug is said in hypotheses.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from .. import chain
from ..network import Network
from ..state import Floats, Layers

SlopeRule = Callable[[chain.Activation, Floats, Floats], Floats]  # (activation, z, a) -> (B, fan_out)
Rows = tuple[list[Floats], list[Floats], Floats]  # (inputs, deltas, sample weights) that are summed up


@dataclass(frozen=True, eq=False)
class Scene:
    """One batch at one State, in float64, and somebody's gradient for it: all that a hypothesis may draw on."""

    net: Network
    layers: Layers
    x: Floats  # (B, n_in)
    y: Floats  # (B, n_out)
    s: Floats  # (B,)
    theirs: Layers
    previous: Layers | None = None
    repeated: bool = False  # theirs and previous came from two calls that should have given the same
    _known: dict[tuple[object, int], Floats] = field(default_factory=dict, init=False)

    def slope(self, rule: SlopeRule, l: int) -> Floats:  # noqa: E741
        """``rule`` of layer l (B, fan_out), computed once: gelu's is dear, and asked for by every candidate."""
        if (rule, l) not in self._known:
            activation = chain.ACTIVATIONS[self.net.activations[l]]
            self._known[rule, l] = rule(activation, self.zs[l], self.activations[l])
        return self._known[rule, l]

    @cached_property
    def _forward(self) -> tuple[list[Floats], list[Floats]]:
        return chain.forward(self.net, self.layers, self.x)

    @property
    def zs(self) -> list[Floats]:
        """z (B, fan_out) of each layer."""
        return self._forward[0]

    @property
    def activations(self) -> list[Floats]:
        """a (B, fan_out) of each layer."""
        return self._forward[1]

    @property
    def inputs(self) -> list[Floats]:
        """What each layer takes in."""
        return [self.x, *self.activations[:-1]]

    @property
    def n(self) -> float:
        """Σ sᵢ: the number of examples, where no weights are given."""
        return float(self.s.sum())

    @cached_property
    def factor(self) -> float:
        """What the sum over the batch is multiplied by."""
        return chain.batch_factor(self.net, self.s)

    @cached_property
    def deltas(self) -> list[Floats]:
        """The right deltas."""
        return chain.backward(self.net, self.layers, self.zs, self.activations, self.y)

    @cached_property
    def right(self) -> Layers:
        """The right gradient."""
        return gradient(self, Pass())

    def output_slope(self, v: Floats) -> Floats:
        """v (B, n_out) times the slope of the output's activation, which for softmax is a matrix.

        chain.py multiplies a − y by this slope for the quadratic loss, so y = a − v gives it for any v.
        """
        quadratic = replace_loss(self.net, "quadratic")
        a = self.activations[-1]
        return chain.output_delta(quadratic, self.zs[-1], a, a - v)


def replace_loss(net: Network, loss: str) -> Network:
    """The same network with another loss."""
    return Network(net.sizes, net.hidden, net.output, loss, net.reduction)


def right_output(scene: Scene) -> Floats:
    """∂Lᵢ/∂z of the output layer, as it should be."""
    return chain.output_delta(scene.net, scene.zs[-1], scene.activations[-1], scene.y)


def right_slope(activation: chain.Activation, z: Floats, a: Floats) -> Floats:
    """da/dz, as it should be."""
    return activation.slope(z, a)


def all_rows(scene: Scene, inputs: list[Floats], deltas: list[Floats]) -> Rows:
    """Every example, with its sample weight."""
    return inputs, deltas, scene.s


Edit = Callable[[Scene, Layers, list[Floats]], None]


@dataclass(frozen=True)
class Pass:
    """One way to compute a gradient. The defaults are the right lines; a bug is another line.

    scene:    what the forward pass sees.
    output:   the delta of the output layer.
    slopes:   per hidden layer (from 0), what its delta is multiplied by.
    turned:   layers whose W goes back without being transposed.
    updated:  layers whose W has already moved by −rate·gradient when it is used to go back.
    rows:     which inputs and deltas are multiplied and summed.
    edits:    what is done to the finished gradient, layer by layer.
    """

    scene: Callable[[Scene], Scene] = lambda scene: scene
    output: Callable[[Scene], Floats] = right_output
    slopes: Mapping[int, SlopeRule] = field(default_factory=dict)
    turned: frozenset[int] = frozenset()
    updated: frozenset[int] = frozenset()
    rate: float = 0.0
    rows: Callable[[Scene, list[Floats], list[Floats]], Rows] = all_rows
    edits: tuple[Edit, ...] = ()

    def with_(self, other: Pass) -> Pass | None:
        """Both bugs at once, or None where they replace the same line."""
        mine, theirs = self._changed(), other._changed()
        if (mine & theirs) - {"slopes", "edits", "turned"} or self.slopes.keys() & other.slopes.keys():
            return None
        both = {name: getattr(other, name) for name in theirs}
        both["slopes"] = {**self.slopes, **other.slopes}
        both["turned"] = self.turned | other.turned
        both["edits"] = self.edits + other.edits
        return replace(self, **both)

    def _changed(self) -> set[str]:
        right = RIGHT
        return {f.name for f in fields(self) if getattr(self, f.name) != getattr(right, f.name)}


RIGHT = Pass()


def gradient(scene: Scene, how: Pass) -> Layers:
    """What a program with these lines computes, reduced over the batch."""
    seen = how.scene(scene)
    deltas = _deltas(seen, how)
    total = chain.weighted_sum(seen.net, *how.rows(seen, seen.inputs, deltas))
    total.flat[...] *= scene.factor
    for edit in how.edits:
        edit(seen, total, deltas)
    return total


def _deltas(scene: Scene, how: Pass) -> list[Floats]:
    """chain.backward, with the lines of ``how``."""
    deltas = [how.output(scene)]
    for l in range(len(scene.layers) - 2, -1, -1):  # noqa: E741
        W = scene.layers[l + 1].W
        if l + 1 in how.updated and how.rate:
            W = W - how.rate * scene.factor * (scene.activations[l].T @ (deltas[0] * scene.s[:, None]))
        back = deltas[0] @ (W if l + 1 in how.turned else W.T)
        deltas.insert(0, back * scene.slope(how.slopes.get(l, right_slope), l))
    return deltas
