"""How derivatives are written and said: letters, the same with places for numbers, and a sentence.

Texts only: every value that stands beside them comes from chain.py. The explorer page fills the same places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..network import NEEDS_OUTPUT, Network
from .labels import Labels

SUPER = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SUB = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class Wording(NamedTuple):
    """One derivative: ``letters``, ``filled`` with {a}, {z}, {y}, {n}, {Y} for numbers, and a sentence.

    otherwise: what is filled where z ≤ 0, for activations with a corner.
    """

    letters: str
    filled: str
    words: str
    otherwise: str = ""


# ∂a/∂z of one unit.
ACTIVATION_SLOPES = {
    "linear": Wording("1", "1", "the layer is linear: a moves exactly as z does"),
    "sigmoid": Wording(
        "a·(1 − a)", "{a}·(1 − {a})", "how steep the sigmoid is here: at most 1/4, nearly 0 when a is near 0 or 1"
    ),
    "tanh": Wording("1 − a²", "1 − {a}²", "how steep tanh is here: at most 1, nearly 0 when a is close to −1 or 1"),
    "relu": Wording(
        "1 if z > 0, otherwise 0",
        "1, for z = {z} > 0",
        "relu lets everything through while z is positive, and nothing otherwise",
        "0, for z = {z} ≤ 0",
    ),
    "leaky_relu": Wording(
        "1 if z > 0, otherwise 0.01",
        "1, for z = {z} > 0",
        "leaky relu lets everything through while z is positive, then a hundredth",
        "0.01, for z = {z} ≤ 0",
    ),
    "gelu": Wording(
        "Φ(z) + z·φ(z)",
        "Φ({z}) + {z}·φ({z})",
        "how steep gelu is here: Φ is the normal distribution function, φ its density",
    ),
    "softplus": Wording("σ(z)", "σ({z})", "how steep softplus is here: its slope is the sigmoid of z"),
    "exp": Wording("a", "{a}", "the exponential is its own slope"),
}

_JOINED = (
    "the slopes of {loss} and of its {output} output, multiplied: all that is left of them is output minus target, "
    "so no separate factor ∂a/∂z follows"
)
# ∂L/∂a of one output, or ∂L/∂z where the loss and its output are one formula.
LOSS_SLOPES = {
    "quadratic": Wording("a − y", "{a} − {y}", "how fast the loss ½(a − y)² changes with the output"),
    "squared_error": Wording("2·(a − y)", "2·({a} − {y})", "how fast the loss (a − y)² changes with the output"),
    "mean_squared_error": Wording(
        "2·(a − y)/n",
        "2·({a} − {y})/{n}",
        "how fast the loss, the mean of (a − y)² over the n outputs, changes with this one",
    ),
    "absolute_error": Wording(
        "sign(a − y)", "sign({a} − {y})", "the absolute error has slope 1 on one side of the target and −1 on the other"
    ),
    "huber": Wording(
        "a − y, kept within ±1",
        "clip({a} − {y}, −1, 1)",
        "the Huber loss is ½(a − y)² near the target; beyond a distance of 1 its slope is ±1",
    ),
    "binary_cross_entropy": Wording(
        "a − y", "{a} − {y}", _JOINED.format(loss="binary cross-entropy", output="sigmoid")
    ),
    "cross_entropy": Wording("a − y", "{a} − {y}", _JOINED.format(loss="cross-entropy", output="softmax")),
    "poisson": Wording("a − y", "{a} − {y}", _JOINED.format(loss="the Poisson loss", output="exponential")),
}

# Cross-entropy for targets that don't add up to 1: Y is their sum.
CROSS_ENTROPY_OF_ANY_SUM = LOSS_SLOPES["cross_entropy"]._replace(letters="a·Σy − y", filled="{a}·{Y} − {y}")
SOFTMAX_SLOPES = Wording(
    "Σ ∂L/∂aₖ · ∂aₖ/∂z", "", "softmax ties the outputs together: each changes with this z, so their shares are added up"
)
ABOVE = Wording("Σ δₖ·wₖ", "", "every path from here to the loss: the delta of each unit above times the weight to it")


def joined(net: Network) -> bool:
    """Whether loss and output are one formula, whose slope is ∂L/∂z."""
    return net.loss in NEEDS_OUTPUT


def number(value: float, digits: int = 6) -> str:
    """Six significant digits, as people write them; never ``-0``."""
    text = f"{float(value):.{digits}g}"
    return "0" if text == "-0" else text


def fill(wording: Wording, **values: float) -> str:
    """The formula with its numbers; a negative number that follows an operator is put in brackets."""
    template = wording.otherwise if wording.otherwise and not values["z"] > 0 else wording.filled
    texts = {name: number(value) for name, value in values.items()}
    for name, text in texts.items():
        if text.startswith("-"):
            for before in ("− ", "·", "+ "):
                template = template.replace(before + "{" + name + "}", before + "({" + name + "})")
            template = template.replace("{" + name + "}²", "({" + name + "})²")
    return template.format(**texts)


class Name(NamedTuple):
    """A quantity such as a⁽²⁾₁: its letter, its layer (from 1; 0 for none), and its places, counted from 1."""

    letter: str
    layer: int = 0
    at: tuple[int, ...] = ()

    def __str__(self) -> str:
        layer = f"⁽{str(self.layer).translate(SUPER)}⁾" if self.layer else ""
        return self.letter + layer + _joined_places(self.at).translate(SUB)

    @property
    def latex(self) -> str:
        layer = f"^{{({self.layer})}}" if self.layer else ""
        at = f"_{{{_joined_places(self.at)}}}" if self.at else ""
        return f"{self.letter}{layer}{at}"


def _joined_places(at: Sequence[int]) -> str:
    return ("" if max(at, default=0) < 10 else ",").join(map(str, at))


def unit_name(layer: int, unit: int) -> Name:
    """What layer number ``layer`` (from 1) takes in from ``unit`` (from 0): an input x, or an activation below."""
    return Name("a", layer - 1, (unit + 1,)) if layer > 1 else Name("x", 0, (unit + 1,))


def weight_name(layer: int, source: int | None, unit: int) -> Name:
    """w⁽¹⁾₁₁ of layer 1, source 0, unit 0; without a source the bias of the unit."""
    return Name("b", layer, (unit + 1,)) if source is None else Name("w", layer, (source + 1, unit + 1))


def parameter_at(net: Network, parameter: int) -> tuple[int, int | None, int]:
    """(layer from 1, source or None for a bias, unit) of a place in the flat vector of parameters."""
    layer, rest = 1, parameter
    while rest >= (net.sizes[layer - 1] + 1) * net.sizes[layer]:
        rest -= (net.sizes[layer - 1] + 1) * net.sizes[layer]
        layer += 1
    source, unit = divmod(rest, net.sizes[layer])
    return layer, None if source == net.sizes[layer - 1] else source, unit


def place(labels: Labels, layer: int, source: int | None, unit: int) -> str:
    """Where a parameter is, in people's counting and in the arrays' own: layer from 1, source and unit from 0."""
    to = labels.both(layer, unit)
    if source is None:
        return f"layer {layer} · b[{unit}] · the bias of {to}"
    origin = labels.both(layer - 1, source) + ("" if layer == 1 else f" of layer {layer - 1}")
    return f"layer {layer} · W[{source}, {unit}] · from {origin} to {to}"


def typed(layer: int, source: int | None, unit: int) -> str:
    """A parameter as the command line takes it: ``1:0:2``, or ``1:b:2`` for a bias."""
    return f"{layer}:{'b' if source is None else source}:{unit}"


def division(net: Network, weights: Sequence[float]) -> str:
    """How the sum over the batch is reduced, once."""
    if net.reduction == "sum":
        return "not divided: sum"
    total = float(sum(weights))
    return f"÷ {number(total)}, once" if total == len(weights) else f"÷ Σs = {number(total, 4)}, once"


def describe(net: Network) -> str:
    """The network in one line: ``2-3-1 · sigmoid · linear output · squared error, mean over the batch``."""
    hidden = [" ".join(name.split("_")) for name in dict.fromkeys(net.hidden)]
    over = "mean over the batch" if net.reduction == "mean" else "sum over the batch"
    loss = net.loss.replace("_", " ")
    return " · ".join(["-".join(map(str, net.sizes)), *hidden, f"{net.output} output", f"{loss}, {over}"])
