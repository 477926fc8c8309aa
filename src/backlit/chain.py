"""THE PAGE: how a network computes, how the chain rule gives its gradient, and how one step changes it.

Pure NumPy, one step: no loop over steps, no files, no randomness, no printing. The B examples of a batch are rows;
layer l, counted from 0, has weights W (fan_in, fan_out) and biases b (fan_out,), and computes

    z = a_below · W + b    (B, fan_out)         a = activation(z)    (B, fan_out)

The chain rule goes back through the same two lines. With delta = ∂Lᵢ/∂z, one row per example,

    delta = ∂Lᵢ/∂a · activation'(z)             ∂Lᵢ/∂W = outer(a_below, delta), ∂Lᵢ/∂b = delta
    ∂Lᵢ/∂a_below = delta · Wᵀ                   and so on, layer by layer, down to the first

The gradients of the examples are added up, divided once, and the parameters change once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .errors import BadInput
from .network import Network
from .optimizers import SGD, Adam, AdamW, Optimizer, check_optimizer, rate_at
from .state import Floats, Layers, State, check_batch, check_state
from .trace import Trace, TraceLayer

# --- activations: f(z), and its slope da/dz from z and a -------------------------------------------------------


def sigmoid(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))  # at most 1: never overflows
    return np.where(z >= 0, 1, small).astype(z.dtype) / (1 + small)


def softmax(z: Floats) -> Floats:
    powers = np.exp(z - z.max(1, keepdims=True))  # the largest is e⁰ = 1: never overflows
    return powers / powers.sum(1, keepdims=True)


def normal_cdf(z: Floats) -> Floats:
    return np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))), otypes=[z.dtype])(z)


class Activation(NamedTuple):
    f: Callable[[Floats], Floats]
    slope: Callable[[Floats, Floats], Floats]


ACTIVATIONS = {  # softmax has no row: each of its outputs depends on every z of its layer, see output_delta
    "linear":     Activation(lambda z: z,                        lambda z, a: np.ones_like(z)),
    "sigmoid":    Activation(sigmoid,                            lambda z, a: a * (1 - a)),
    "tanh":       Activation(np.tanh,                            lambda z, a: 1 - a * a),
    "relu":       Activation(lambda z: np.maximum(z, 0),         lambda z, a: (z > 0).astype(z.dtype)),
    "leaky_relu": Activation(lambda z: np.maximum(z, 0.01 * z),  lambda z, a: np.where(z > 0, 1, 0.01).astype(z.dtype)),
    "gelu":       Activation(lambda z: z * normal_cdf(z),        lambda z, a: normal_cdf(z) + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)),
    "softplus":   Activation(lambda z: np.logaddexp(0, z),       lambda z, a: sigmoid(z)),
    "exp":        Activation(np.exp,                             lambda z, a: a),
}  # fmt: skip

# --- losses of one example: L(z, a, y) -> (B,), and the slope ∂L/∂a (B, n_out) ----------------------------------


class Loss(NamedTuple):
    value: Callable[[Floats, Floats, Floats], Floats]
    slope: Callable[[Floats, Floats], Floats]
    slope_at: str = "a"  # "z": the slope is ∂L/∂z; the output's own slope has been multiplied in and has cancelled


def huber(d: Floats) -> Floats:
    return np.where(np.abs(d) <= 1, 0.5 * d * d, np.abs(d) - 0.5).sum(1)


def binary_cross_entropy(z: Floats, y: Floats) -> Floats:
    # Σ −y·log σ(z) − (1−y)·log(1−σ(z)), rewritten so that nothing overflows and no digits are lost
    return (np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).sum(1)


def cross_entropy(z: Floats, y: Floats) -> Floats:
    # −Σ y·log softmax(z), with log softmax = z − max − log Σ exp(z − max)
    shifted = z - z.max(1, keepdims=True)
    return -(y * (shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))).sum(1)


def poisson(z: Floats, a: Floats, y: Floats) -> Floats:
    # Σ a − y + y·log(y/a), half the Poisson deviance; log a = z, and 0·log 0 = 0
    return (a - y + y * (np.log(np.where(y > 0, y, 1)) - np.where(y > 0, z, 0))).sum(1)


LOSSES = {
    "quadratic":            Loss(lambda z, a, y: 0.5 * ((a - y) ** 2).sum(1),  lambda a, y: a - y),
    "squared_error":        Loss(lambda z, a, y: ((a - y) ** 2).sum(1),        lambda a, y: 2 * (a - y)),
    "mean_squared_error":   Loss(lambda z, a, y: ((a - y) ** 2).mean(1),       lambda a, y: 2 * (a - y) / a.shape[1]),
    "absolute_error":       Loss(lambda z, a, y: np.abs(a - y).sum(1),         lambda a, y: np.sign(a - y)),
    "huber":                Loss(lambda z, a, y: huber(a - y),                 lambda a, y: np.clip(a - y, -1, 1)),
    "binary_cross_entropy": Loss(lambda z, a, y: binary_cross_entropy(z, y),   lambda a, y: a - y, "z"),
    "cross_entropy":        Loss(lambda z, a, y: cross_entropy(z, y),          lambda a, y: a * y.sum(1, keepdims=True) - y, "z"),
    "poisson":              Loss(poisson,                                      lambda a, y: a - y, "z"),
}  # fmt: skip

# --- forward and backward -----------------------------------------------------------------------------------------


def forward(net: Network, layers: Layers, x: Floats) -> tuple[list[Floats], list[Floats]]:
    """(z of every layer, a of every layer) for x (B, n_in)."""
    zs: list[Floats] = []
    activations = [x]
    for layer, name in zip(layers, net.activations, strict=True):
        zs.append(activations[-1] @ layer.W + layer.b)
        activations.append(softmax(zs[-1]) if name == "softmax" else ACTIVATIONS[name].f(zs[-1]))
    return zs, activations[1:]


def output_delta(net: Network, z: Floats, a: Floats, y: Floats) -> Floats:
    """∂Lᵢ/∂z (B, n_out) of the output layer."""
    loss = LOSSES[net.loss]
    slope = loss.slope(a, y)
    if loss.slope_at == "z":
        return slope
    if net.output == "softmax":  # ∂aⱼ/∂zₖ = aⱼ·(1 if j = k else 0) − aⱼ·aₖ, summed over j
        return a * (slope - (slope * a).sum(1, keepdims=True))
    return slope * ACTIVATIONS[net.output].slope(z, a)


def passed_down(delta: Floats, W: Floats) -> Floats:
    """∂Lᵢ/∂a_below (B, fan_in): the delta of each unit above, times the weight that leads to it, added up."""
    return delta @ W.T


def backward(net: Network, layers: Layers, zs: list[Floats], activations: list[Floats], y: Floats) -> list[Floats]:
    """∂Lᵢ/∂z (B, fan_out) of every layer: from the output down, each from the layer above it."""
    deltas = [output_delta(net, zs[-1], activations[-1], y)]
    for l in range(len(layers) - 2, -1, -1):  # noqa: E741 (l is the layer, here as everywhere)
        deltas.insert(0, passed_down(deltas[0], layers[l + 1].W) * ACTIVATIONS[net.activations[l]].slope(zs[l], activations[l]))
    return deltas


def example_gradients(net: Network, inputs: list[Floats], deltas: list[Floats]) -> Layers:
    """∂Lᵢ/∂W = outer(a_below, delta) and ∂Lᵢ/∂b = delta of every example: Layers over (B, P)."""
    gradients = Layers(net.sizes, np.empty((len(inputs[0]), net.n_parameters), inputs[0].dtype))
    for layer, below, delta in zip(gradients, inputs, deltas, strict=True):
        layer.W[...] = below[:, :, None] * delta[:, None, :]
        layer.b[...] = delta
    return gradients


def weighted_sum(net: Network, inputs: list[Floats], deltas: list[Floats], s: Floats) -> Layers:
    """Σ sᵢ·∂Lᵢ/∂W and Σ sᵢ·∂Lᵢ/∂b: one product of matrices adds up the outer products of all examples."""
    total = Layers(net.sizes, np.empty(net.n_parameters, inputs[0].dtype))
    for layer, below, delta in zip(total, inputs, deltas, strict=True):
        layer.W[...] = below.T @ (delta * s[:, None])
        layer.b[...] = s @ delta
    return total


def batch_factor(net: Network, s: Floats) -> float:
    """What the sum over the batch is multiplied by, once: 1/Σ sᵢ for "mean" (0 if nothing weighs), 1 for "sum"."""
    return 1.0 if net.reduction == "sum" else 1 / float(s.sum()) if s.any() else 0.0


def batch_loss(net: Network, flat: Floats, x: Floats, y: Floats, s: Floats) -> float:
    """The reduced loss, without L2, at the parameters ``flat`` (P,)."""
    zs, activations = forward(net, Layers(net.sizes, flat), x)
    return float(s @ LOSSES[net.loss].value(zs[-1], activations[-1], y)) * batch_factor(net, s)


def difference_gradient(
    net: Network, flat: Floats, x: Floats, y: Floats, s: Floats, step: float = 1e-4, central: bool = False,
    only: Iterable[int] | None = None,
) -> Floats:  # fmt: skip
    """∂loss/∂parameter (P,) without a chain rule: move each parameter by ``step``, divide the change by it.

    P + 1 forward passes for what backpropagation does in one there and one back; ``central``: to either side, 2P.
    ``only``: the numbers of the parameters to move; the others get 0.
    """
    moved, gradient, here = flat.copy(), np.zeros_like(flat), batch_loss(net, flat, x, y, s)
    for p in range(len(flat)) if only is None else only:
        moved[p] = flat[p] + step
        above = batch_loss(net, moved, x, y, s)
        moved[p] = flat[p] - step
        gradient[p] = (above - batch_loss(net, moved, x, y, s)) / (2 * step) if central else (above - here) / step
        moved[p] = flat[p]
    return gradient


# --- the update -----------------------------------------------------------------------------------------------------


def add_l2(opt: Optimizer, gradient: Layers, layers: Layers, weight_sum: float) -> None:
    """Adds l2·W to the gradient of the weights, in place; with l2_over="batch" divided by the batch's Σ sᵢ."""
    if isinstance(opt, AdamW) or not opt.l2 or (opt.l2_over == "batch" and not weight_sum):
        return
    for g, layer in zip(gradient, layers, strict=True):
        g.W[...] += layer.W * (opt.l2 / weight_sum if opt.l2_over == "batch" else opt.l2)


def squared_weights(layers: Layers) -> float:
    """‖W‖² over all layers, without the biases: half of it times l2 is what ``add_l2`` adds the gradient of."""
    # not np.vdot: BLAS wakes its threads for it, which costs more than the sum and quarrels with the engine's threads
    return sum(float(np.square(layer.W).sum()) for layer in layers)


def update(opt: Optimizer, state: State, g: Floats, rate: float) -> tuple[Floats, dict[str, Floats]]:
    """(what is added to the parameters (P,), the new slots) from the gradient g (P,). Sources: optimizers.py."""
    if isinstance(opt, SGD):
        if not opt.momentum:
            return -rate * g, {}
        velocity = opt.momentum * state.slots["velocity"] - rate * g
        return opt.momentum * velocity - rate * g if opt.nesterov else velocity, {"velocity": velocity}
    t = state.step - state.started + 1
    m = opt.beta1 * state.slots["first_moment"] + (1 - opt.beta1) * g
    v = opt.beta2 * state.slots["second_moment"] + (1 - opt.beta2) * g * g
    raw = isinstance(opt, Adam) and opt.epsilon_with == "raw"  # ε beside √v is ε/√(1−β₂ᵗ) beside √v̂
    epsilon = opt.epsilon / math.sqrt(1 - opt.beta2**t) if raw else opt.epsilon
    change = -rate * (m / (1 - opt.beta1**t)) / (np.sqrt(v / (1 - opt.beta2**t)) + epsilon)
    if isinstance(opt, AdamW):
        for moved, layer in zip(Layers(state.sizes, change), state.layers, strict=True):
            moved.W[...] -= rate * opt.weight_decay * layer.W
    return change, {"first_moment": m, "second_moment": v}


# --- THE step -------------------------------------------------------------------------------------------------------


def step(
    net: Network, opt: Optimizer, state: State, x: ArrayLike, y: ArrayLike,
    sample_weight: ArrayLike | None = None, gradient: str = "backpropagation", *, rate: float | None = None,
) -> Trace:  # fmt: skip
    """One step of training on the batch x (B, n_in), y (B, n_out), written out; ``state`` is left as it is.

    Raises BadInput for every other shape; nothing is broadcast.
    gradient: "backpropagation", or "finite_differences" (every parameter moved by 0.0001, in float64).
    rate: instead of the optimizer's own.
    """
    check_state("step", net, state)
    check_optimizer("step", opt)
    x, y, s = check_batch("step", net, state, x, y, sample_weight)
    state = state.for_optimizer(opt)
    zs, activations = forward(net, state.layers, x)
    deltas = backward(net, state.layers, zs, activations, y)
    example_losses = LOSSES[net.loss].value(zs[-1], activations[-1], y)
    if gradient == "backpropagation":
        reduced = weighted_sum(net, [x, *activations[:-1]], deltas, s)
        reduced.flat[...] *= batch_factor(net, s)
    elif gradient == "finite_differences":
        p64, x64, y64, s64 = (array.astype(np.float64) for array in (state.parameters, x, y, s))
        reduced = Layers(net.sizes, difference_gradient(net, p64, x64, y64, s64).astype(state.dtype))
    else:
        raise BadInput(f"step: gradient must be 'backpropagation' or 'finite_differences'; got {gradient!r}.")
    add_l2(opt, reduced, state.layers, float(s.sum()))
    rate = rate_at(opt.rate, state.step, state.epoch_losses) if rate is None else float(rate)
    change, slots = update(opt, state, reduced.flat, rate)
    after = replace(state, parameters=state.parameters + change, slots=slots, step=state.step + 1)
    loss = float(s @ example_losses) * batch_factor(net, s)
    layers = tuple(map(TraceLayer, zs, activations, deltas))
    return Trace(net, opt, state, x, y, s, rate, layers, example_losses, loss, reduced, Layers(net.sizes, change), after)
