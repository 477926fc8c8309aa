"""``explain``: the chain of factors from the loss down to one weight, with its numbers.

Every value is taken from a Trace and the tables of chain.py; products and sums of them are all that is added here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from operator import index as whole
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .. import chain
from ..data import Dataset
from ..errors import BadInput
from ..state import Layers
from ..trace import Trace
from .chain_text import chain_latex, chain_text, shares_latex, shares_text
from .labels import Labels
from .wording import (
    ABOVE,
    ACTIVATION_SLOPES,
    CROSS_ENTROPY_OF_ANY_SUM,
    LOSS_SLOPES,
    SOFTMAX_SLOPES,
    Name,
    Wording,
    fill,
    joined,
    number,
    place,
    unit_name,
    weight_name,
)

DIFFERENCE = 1e-5  # to either side, in float64: the step of all gradient checks


class Replayed(Protocol):
    """A step that can be replayed, as ``train(..., watch=...)`` gives it."""

    @property
    def data(self) -> Dataset: ...

    @property
    def rows(self) -> NDArray[np.intp]: ...

    @property
    def difference(self) -> float: ...

    def trace(self) -> Trace: ...


def as_trace(where: str, given: Trace | Replayed) -> Trace:
    """The Trace itself, or the replay of a watched step; BadInput for anything else."""
    trace = given if isinstance(given, Trace) or not hasattr(given, "trace") else given.trace()
    if not isinstance(trace, Trace):
        came = type(given).__name__
        raise BadInput(f"{where}: a Trace is wanted, as bl.step gives it, or a watched step of a run; got {came}.")
    return trace


@dataclass(frozen=True)
class Factor:
    """One factor: ``symbol`` (∂a/∂z), ``formula`` in letters, ``filled`` with its numbers, ``value``, ``words``.

    A factor that gathers several paths opens: ``open()`` gives them, and their products add up to ``value``.
    """

    symbol: str
    formula: str
    filled: str
    value: float
    words: str
    latex: str
    paths: Callable[[], tuple[Path, ...]] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        return f"Factor({self.symbol} = {self.value:.6g})"

    def open(self) -> tuple[Path, ...]:
        """The paths that this factor gathers; none if it is a single derivative."""
        return () if self.paths is None else self.paths()


@dataclass(frozen=True)
class Path:
    """Factors whose product is one summand of the factor that was opened."""

    terms: tuple[Factor, ...]

    @property
    def product(self) -> float:
        return math.prod(term.value for term in self.terms)


@dataclass(frozen=True)
class Factors:
    """The gradient of one example's loss with respect to one parameter, as a product of ``terms``."""

    trace: Trace
    name: Name
    where: str  # in words: layer, place in the arrays, from where to where
    parameter: int  # its place in the flat vector of parameters
    example: int
    terms: tuple[Factor, ...]

    @property
    def product(self) -> float:
        return math.prod(term.value for term in self.terms)

    @cached_property
    def difference(self) -> float:
        """The same derivative without the chain rule: by central differences in float64."""
        return differences(self.trace, [self.parameter], self.example)[0]

    def text(self, depth: int = 0) -> str:
        """The chain as lines of text; ``depth`` levels of gathered paths are opened."""
        return chain_text(self, depth)

    def latex(self) -> str:
        """The chain as one formula, for MathJax and for matplotlib's mathtext (put it between $ signs)."""
        return chain_latex(self)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Factors(∂L/∂{self.name} = {self.product:.6g}, {len(self.terms)} factors; print it to see them)"


@dataclass(frozen=True)
class Shares:
    """The batch's reduced gradient of one parameter, without L2: ``terms`` are the shares of its examples.

    ``product`` is their sum. Each share opens into the chain of factors of its example.
    """

    trace: Trace
    name: Name
    where: str
    parameter: int
    examples: tuple[Factors, ...]
    terms: tuple[Factor, ...]

    @property
    def product(self) -> float:
        return sum(term.value for term in self.terms)

    @cached_property
    def difference(self) -> float:
        """The same derivative of the batch's loss without the chain rule: by central differences in float64."""
        return differences(self.trace, [self.parameter], None)[0]

    def text(self, depth: int = 0) -> str:
        """A line per example, and the running sum; of a large batch the largest shares. 1 adds all and their chains."""
        return shares_text(self, depth)

    def latex(self) -> str:
        """The sum as one formula, for MathJax and for matplotlib's mathtext (put it between $ signs)."""
        return shares_latex(self)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Shares(∂L/∂{self.name} = {self.product:.6g}, {len(self.terms)} examples; print it to see them)"


def explain(
    trace: Trace | Replayed, layer: int = 1, source: int | str | None = 0, unit: int = 0, example: int | None = None
) -> Factors | Shares:
    """The chain-rule factors of one parameter of a traced step, from the loss down to it.

    trace:    a Trace, or a watched step, whose columns and classes are then called by their names.
    layer:    from 1, the first layer with weights.
    source:   row of W (from 0): where the weight comes from; None or "bias" for the bias of ``unit``.
    unit:     column of W (from 0): where it leads to.
    example:  of the batch (from 0): the product is ``example_gradients[layer-1].W[example, source, unit]``. None: the
              whole batch, the product is the reduced gradient without L2, and the terms are the examples' shares.

    >>> net = bl.Network([1, 1])
    >>> trace = bl.step(net, bl.SGD(0.1), bl.state_from(net, [[[2.0]]]), x=[[3.0]], y=[[5.0]])
    >>> factors = bl.explain(trace, layer=1, source=0, unit=0, example=0)
    >>> [(term.symbol, term.value) for term in factors.terms], factors.product
    ([('∂L/∂a⁽¹⁾₁', 1.0), ('∂z⁽¹⁾₁/∂w⁽¹⁾₁₁', 3.0)], 3.0)
    """
    labels = Labels.of(as_trace("explain", trace).network, getattr(trace, "data", None))
    trace = as_trace("explain", trace)
    sizes = trace.network.sizes
    layer = _within("layer", layer, 1, len(sizes) - 1)
    row = None if source is None or source == "bias" else _within("source", source, 0, sizes[layer - 1] - 1)
    unit = _within("unit", unit, 0, sizes[layer] - 1)
    if example is not None:
        return _factors(trace, labels, layer, row, unit, _within("example", example, 0, len(trace.x) - 1))
    examples = tuple(_factors(trace, labels, layer, row, unit, i) for i in range(len(trace.x)))
    first = examples[0]
    terms = tuple(_share(trace, factors) for factors in examples)
    return Shares(trace, first.name, first.where, first.parameter, examples, terms)


def differences(trace: Trace, parameters: list[int], example: int | None) -> list[float]:
    """Central differences in float64 of one example's loss, or of the batch's reduced loss, for some parameters."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped,unused-ignore]  # scikit-learn's

    rows = slice(None) if example is None else slice(example, example + 1)
    s = trace.sample_weight[rows].astype(np.float64) if example is None else np.ones(1)
    flat, x, y = (array.astype(np.float64) for array in (trace.before.parameters, trace.x[rows], trace.y[rows]))
    # Hundreds of small passes: threads that wait for each other make them ten times slower on a busy machine.
    with threadpool_limits(limits=1):
        found = chain.difference_gradient(trace.network, flat, x, y, s, DIFFERENCE, central=True, only=parameters)
    return [float(found[p]) for p in parameters]


def _within(name: str, value: object, least: int, most: int) -> int:
    try:
        number = whole(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        also = ", or 'bias'" if name == "source" else " (left out: the whole batch)" if name == "example" else ""
        raise BadInput(f"explain: {name} must be a whole number from {least} to {most}{also}; got {value!r}.")
    return number


def _factors(trace: Trace, labels: Labels, layer: int, source: int | None, unit: int, example: int) -> Factors:
    builder, name = _Builder(trace, example), weight_name(layer, source, unit)
    numbers = Layers(trace.network.sizes, np.arange(trace.network.n_parameters, dtype=np.float64))[layer - 1]
    parameter = int(numbers.b[unit] if source is None else numbers.W[source, unit])
    terms = (*builder.delta(layer - 1, unit), builder.last(layer, source, unit))
    return Factors(trace, name, place(labels, layer, source, unit), parameter, example, terms)


def _share(trace: Trace, factors: Factors) -> Factor:
    """One example's share of the reduced gradient: its factors, times its weight, times what reduces the sum."""
    i, s = factors.example, trace.sample_weight
    reduced = chain.batch_factor(trace.network, s) * float(s[i])
    over = f"{number(s[i])}/{number(s.sum())}" if trace.network.reduction == "mean" else number(s[i])
    letters = "s/Σs" if trace.network.reduction == "mean" else "s"
    weight = Factor(letters, letters, over, reduced, "what this example counts in the batch", r"s/\Sigma s")
    gradient = f"∂L/∂{factors.name}"
    return Factor(
        symbol=f"share of example {i + 1}",
        formula=f"{letters}·{gradient}",
        filled=f"{over} · {number(factors.product)}",
        value=reduced * factors.product,
        words=f"the gradient of example {i + 1}, times what it counts in the batch",
        latex=rf"\frac{{\partial L_{{{i + 1}}}}}{{\partial {factors.name.latex}}}",
        paths=lambda: (Path((weight, *factors.terms)),),
    )


class _Builder:
    """Writes the factors of one example's chain. Layers are counted from 0 in here, as in trace.layers."""

    def __init__(self, trace: Trace, example: int) -> None:
        self.trace, self.net, self.example = trace, trace.network, example
        self.top = len(trace.layers) - 1

    def delta(self, l: int, unit: int) -> tuple[Factor, ...]:  # noqa: E741
        """Factors whose product is δ = ∂L/∂z of a unit."""
        if l == self.top:
            return self.output(unit)
        return (*self.above(l, unit), *self.slope(l, unit))

    def above(self, l: int, unit: int) -> tuple[Factor, ...]:  # noqa: E741
        """∂L/∂a of a hidden unit: one chain where a single unit is above, otherwise one factor of all paths."""
        if self.net.sizes[l + 2] == 1:
            return (*self.delta(l + 1, 0), self.weight(l + 1, unit, 0))

        def paths() -> tuple[Path, ...]:
            above = range(self.net.sizes[l + 2])
            return tuple(Path((self.whole_delta(l + 1, k), self.weight(l + 1, unit, k))) for k in above)

        value = sum(path.product for path in paths())
        return (self.gathered(Name("a", l + 1, (unit + 1,)), ABOVE, value, paths),)

    def whole_delta(self, l: int, unit: int) -> Factor:  # noqa: E741
        """δ of a unit as one factor, which opens into its own."""
        value = float(self.trace.layers[l].delta[self.example, unit])
        name = Name("z", l + 1, (unit + 1,))
        words = f"the delta of {'output' if l == self.top else 'unit'} {unit + 1} of layer {l + 1}"
        latex = _fraction("L", name.latex)
        return Factor(
            f"∂L/∂{name}", f"δ⁽{l + 1}⁾", number(value), value, words, latex, lambda: (Path(self.delta(l, unit)),)
        )

    def output(self, unit: int) -> tuple[Factor, ...]:
        """From the loss to z of an output unit."""
        layer = self.trace.layers[self.top]
        z = Name("z", self.top + 1, (unit + 1,))
        if joined(self.net):
            return (self.loss(unit),)
        if self.net.output != "softmax":
            return (self.loss(unit), *self.slope(self.top, unit))

        def paths() -> tuple[Path, ...]:
            return tuple(Path((self.loss(k), self.softmax_slope(k, unit))) for k in range(self.net.sizes[-1]))

        return (self.gathered(z, SOFTMAX_SLOPES, float(layer.delta[self.example, unit]), paths),)

    def loss(self, unit: int) -> Factor:
        """∂L/∂a of an output, or ∂L/∂z where loss and output are one formula."""
        i, layer = self.example, self.trace.layers[self.top]
        a, y = layer.a[i : i + 1], self.trace.y[i : i + 1]
        value = float(chain.LOSSES[self.net.loss].slope(a, y)[0, unit])
        wording, total = LOSS_SLOPES[self.net.loss], float(y.sum())
        if self.net.loss == "cross_entropy" and total != 1:
            wording = CROSS_ENTROPY_OF_ANY_SUM
        name = Name("z" if joined(self.net) else "a", self.top + 1, (unit + 1,))
        words = wording.words
        if self.net.output == "linear":
            words += "; the output is linear, a = z, and adds no factor"
        filled = fill(wording, a=float(a[0, unit]), y=float(y[0, unit]), n=float(a.shape[1]), Y=total)
        return Factor(f"∂L/∂{name}", wording.letters, filled, value, words, _fraction("L", name.latex))

    def slope(self, l: int, unit: int) -> tuple[Factor, ...]:  # noqa: E741
        """∂a/∂z of a unit; a linear layer, where a = z, adds no factor."""
        activation = self.net.activations[l]
        if activation == "linear":
            return ()
        layer = self.trace.layers[l]
        z, a = (array[self.example : self.example + 1, unit : unit + 1] for array in (layer.z, layer.a))
        value = float(chain.ACTIVATIONS[activation].slope(z, a)[0, 0])
        at, wording = (unit + 1,), ACTIVATION_SLOPES[activation]
        filled = fill(wording, z=float(z[0, 0]), a=float(a[0, 0]))
        return (_derivative(Name("a", l + 1, at), Name("z", l + 1, at), wording.letters, filled, value, wording.words),)

    def softmax_slope(self, k: int, unit: int) -> Factor:
        """∂aₖ/∂z of the softmax: aₖ·((1 if k is this unit else 0) − a)."""
        a = self.trace.layers[self.top].a[self.example]
        same = 1 if k == unit else 0
        top, bottom = Name("a", self.top + 1, (k + 1,)), Name("z", self.top + 1, (unit + 1,))
        letters = "a·(1 − a)" if same else f"−{top}·a"
        filled = f"{number(a[k])}·({same} − {number(a[unit])})"
        words = "an output grows with its own z" if same else "and shrinks when the z of another output grows"
        return _derivative(top, bottom, letters, filled, float(a[k]) * (same - float(a[unit])), words)

    def weight(self, l: int, source: int, unit: int) -> Factor:  # noqa: E741
        """∂z/∂a_below: the weight that leads upwards."""
        value = float(self.trace.before.layers[l].W[source, unit])
        name, below = weight_name(l + 1, source, unit), unit_name(l + 1, source)
        words = "z above is a weighted sum, so it changes with this activation by the weight between them"
        return _derivative(Name("z", l + 1, (unit + 1,)), below, str(name), number(value), value, words)

    def last(self, layer: int, source: int | None, unit: int) -> Factor:
        """∂z/∂w: what came in through the weight; 1 for a bias."""
        z, name = Name("z", layer, (unit + 1,)), weight_name(layer, source, unit)
        if source is None:
            return _derivative(z, name, "1", "1", 1.0, "a bias is added as it is: z changes as it does")
        below = unit_name(layer, source)
        value = float(self.trace.inputs[layer - 1][self.example, source])
        words = "the weight multiplies what comes in through it, so z changes with it by that much"
        return _derivative(z, name, str(below), number(value), value, words)

    def gathered(self, name: Name, wording: Wording, value: float, paths: Callable[[], tuple[Path, ...]]) -> Factor:
        """∂L/∂name, the sum over several paths."""
        return Factor(
            f"∂L/∂{name}",
            wording.letters,
            f"{len(paths())} paths",
            value,
            wording.words,
            _fraction("L", name.latex),
            paths,
        )


def _derivative(top: Name, bottom: Name, letters: str, filled: str, value: float, words: str) -> Factor:
    return Factor(f"∂{top}/∂{bottom}", letters, filled, value, words, _fraction(top.latex, bottom.latex))


def _fraction(top: str, bottom: str) -> str:
    return rf"\frac{{\partial {top}}}{{\partial {bottom}}}"
