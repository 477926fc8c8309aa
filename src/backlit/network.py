"""Network: what is to be trained, said once and checked once.

A specification only: names and sizes. No array, no formula and no NumPy may live here; what the names mean
is written in chain.py.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .errors import BadInput

HIDDEN = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "softplus", "linear")
OUTPUT = ("linear", "sigmoid", "softmax", "tanh", "exp")
LOSSES = (
    "quadratic",
    "squared_error",
    "mean_squared_error",
    "absolute_error",
    "huber",
    "binary_cross_entropy",
    "cross_entropy",
    "poisson",
)
REDUCTIONS = ("mean", "sum")

# These losses take the logarithm of an output, so only the output that keeps it in range goes with them.
NEEDS_OUTPUT = {"binary_cross_entropy": "sigmoid", "cross_entropy": "softmax", "poisson": "exp"}


@dataclass(frozen=True)
class Network:
    """A dense feed-forward network with its loss: frozen, hashable, checked when made.

    sizes:      units of every layer, inputs first, outputs last: ``[784, 30, 10]``.
    hidden:     activation of the hidden layers: one name for all, or one for each; ignored where there are none.
    output:     activation of the last layer.
    loss:       loss of one example; the formulas stand in chain.py.
    reduction:  over the batch, with sample weights s: "mean" is Σ sᵢLᵢ / Σ sᵢ, "sum" is Σ sᵢLᵢ.

    Raises BadInput for unknown names, sizes that are no positive whole numbers, and pairs of output and loss
    that make no sense (a loss that takes a logarithm needs the output that keeps it in range).

    >>> bl.Network([784, 30, 10], hidden="sigmoid", output="sigmoid").n_parameters
    23860
    """

    sizes: tuple[int, ...]
    hidden: tuple[str, ...]
    output: str
    loss: str
    reduction: str

    def __init__(
        self,
        sizes: Iterable[int],
        hidden: str | Sequence[str] = "relu",
        output: str = "linear",
        loss: str = "quadratic",
        reduction: str = "mean",
    ) -> None:
        checked = _sizes(sizes)
        names = _hidden(hidden, len(checked) - 2)
        _known("output", output, OUTPUT)
        _known("loss", loss, LOSSES)
        _known("reduction", reduction, REDUCTIONS)
        needed = NEEDS_OUTPUT.get(loss, output)
        if needed != output:
            raise BadInput(
                f"Network: loss {loss!r} takes logarithms and needs output={needed!r}, got output={output!r}. "
                f"Give output={needed!r}, or another loss, such as 'quadratic'."
            )
        if output == "softmax" and checked[-1] < 2:
            raise BadInput(
                "Network: output 'softmax' needs at least 2 outputs, because over one it is always 1; got "
                f"sizes={list(checked)}. For two classes with one output use output='sigmoid', "
                "loss='binary_cross_entropy'."
            )
        for name, value in (
            ("sizes", checked),
            ("hidden", names),
            ("output", output),
            ("loss", loss),
            ("reduction", reduction),
        ):
            object.__setattr__(self, name, value)

    @property
    def activations(self) -> tuple[str, ...]:
        """The activation of each layer with weights, from the first hidden layer to the output."""
        return (*self.hidden, self.output)

    @property
    def n_parameters(self) -> int:
        """How many weights and biases there are."""
        return sum((i + 1) * o for i, o in zip(self.sizes, self.sizes[1:], strict=False))


def _sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    wanted = "Network: sizes must be at least two positive whole numbers, inputs first, such as [784, 30, 10]"
    if isinstance(sizes, str | bytes):
        raise BadInput(f"{wanted}; got {sizes!r}.")
    try:
        given = tuple(sizes)
        checked = tuple(map(operator.index, given))
    except TypeError:
        raise BadInput(f"{wanted}; got {sizes!r}.") from None
    if len(checked) < 2 or any(size < 1 for size in checked) or any(isinstance(size, bool) for size in given):
        raise BadInput(f"{wanted}; got {list(given)}.")
    return checked


def _hidden(hidden: str | Sequence[str], layers: int) -> tuple[str, ...]:
    if not isinstance(hidden, str | Sequence):
        raise BadInput(f"Network: hidden must be a name, or a list of one per hidden layer; got {hidden!r}.")
    names = (hidden,) * layers if isinstance(hidden, str) else tuple(hidden)
    for name in (hidden,) if isinstance(hidden, str) else names:
        _known("hidden", name, HIDDEN)
    if layers and len(names) != layers:
        raise BadInput(
            f"Network: hidden must be one name, or one per hidden layer; there are {layers} hidden layers, "
            f"got {len(names)} names: {list(names)}."
        )
    return names[:layers]


def _known(argument: str, value: object, names: tuple[str, ...]) -> None:
    if value not in names:
        raise BadInput(f"Network: {argument} must be one of {', '.join(names)}; got {value!r}.")
