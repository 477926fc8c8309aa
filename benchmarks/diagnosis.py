"""How often ``bl.diagnose`` names the right bug first, and whether it ever accuses a right gradient.

Run as ``python benchmarks/diagnosis.py [cases] [seed]``: random networks of 1 to 4 layers, batches, activations and
losses, each with one bug from learners.py; then as many right gradients, half of them in float32. A case is drawn
anew where the bug leaves the gradient unchanged to 1e-6 or two names give the same numbers; how many is printed.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from learners import CANCELS, Bug, Problem, wrong_gradient

import backlit as bl
from backlit.network import HIDDEN, LOSSES, NEEDS_OUTPUT, OUTPUT

NAMES = (
    "sign", "sum_not_mean", "mean_twice", "scale", "layer_scale", "missing_derivative", "derivative_of_activation",
    "double_derivative", "extra_output_derivative", "stale_gradient", "updated_before_backward",
    "averaged_activations", "last_example_only", "first_example_only", "bias_not_summed", "bias_missing",
    "transposed_weights", "broadcast_targets", "double_softmax",
)  # fmt: skip
CONSTANTS = ("sign", "sum_not_mean", "mean_twice", "scale", "layer_scale")
Random = np.random.Generator


@dataclass
class Score:
    """What was asked and answered."""

    asked: int = 0
    right: int = 0
    drawn_anew: int = 0
    confusions: Counter[tuple[str, str]] = field(default_factory=Counter)
    layer_wrong: int = 0
    accused: int = 0
    right_gradients: int = 0


def problem(random: Random, bug: str) -> Problem:
    """A network and batch on which this bug can be made."""
    layers = int(random.integers(1, 5))
    sizes = [int(v) for v in random.integers(1, 9, layers + 1)]
    pairs = [(o, lo) for o in OUTPUT for lo in LOSSES if NEEDS_OUTPUT.get(lo, o) == o]
    if bug == "extra_output_derivative":
        pairs = [(o, lo) for o, lo in pairs if lo in CANCELS]
    if bug == "double_softmax":
        pairs = [(o, lo) for o, lo in pairs if o == "softmax"]
    if bug == "broadcast_targets":
        pairs, sizes[-1] = [(o, lo) for o, lo in pairs if o != "softmax"], 1
    if bug == "transposed_weights":
        k = int(random.integers(0, layers))
        sizes[k] = sizes[k + 1] = int(random.integers(2, 7))
    output, loss = pairs[random.integers(len(pairs))]
    if output == "softmax" and sizes[-1] < 2:
        sizes[-1] = 3
    hidden = [str(h) for h in random.choice(HIDDEN, layers - 1)]
    shapes = list(pairwise(sizes))
    weights = [random.standard_normal(shape) / np.sqrt(shape[0]) for shape in shapes]
    biases = [0.5 * random.standard_normal(o) for o in sizes[1:]]
    n = int(random.choice([1, 2, 3, 5, 8, 16, 32]))
    x = random.standard_normal((n, sizes[0]))
    s = random.uniform(0.2, 2, n) if random.random() < 0.25 and bug != "bias_not_summed" else np.ones(n)
    reduction = "sum" if random.random() < 0.25 and bug not in ("sum_not_mean", "mean_twice") else "mean"
    previous = [W + 0.2 * random.standard_normal(W.shape) for W in weights]
    return Problem(sizes, hidden, output, loss, reduction, weights, biases, x, targets(random, loss, n, sizes[-1]), s,
                   previous)  # fmt: skip


def targets(random: Random, loss: str, n: int, outputs: int) -> np.ndarray:
    if loss == "cross_entropy":
        return np.eye(outputs)[random.integers(0, outputs, n)]
    if loss == "binary_cross_entropy":
        return random.integers(0, 2, (n, outputs)).astype(float)
    return (
        random.poisson(2.0, (n, outputs)).astype(float) if loss == "poisson" else random.standard_normal((n, outputs))
    )


def places(p: Problem, bug: str) -> list[int | None]:
    """Where the bug can sit."""
    everywhere: list[int | None] = [*range(1, p.layers + 1)]
    sloped = p.output != "linear" and p.loss not in CANCELS
    match bug:
        case "missing_derivative" | "double_derivative" | "derivative_of_activation":
            keeps = sloped and not (bug == "derivative_of_activation" and p.output == "softmax")
            return everywhere if keeps else everywhere[:-1]
        case "layer_scale":
            return everywhere if p.layers > 1 else []
        case "bias_not_summed" | "bias_missing":
            return [*everywhere, None] if p.layers > 1 else everywhere
        case "transposed_weights":
            return [k + 1 for k in range(p.layers) if p.sizes[k] == p.sizes[k + 1] > 1]
        case "extra_output_derivative":
            return [p.layers]
        case "updated_before_backward":
            return [None] if p.layers > 1 else []
    return [None]


def drawn(random: Random, name: str, p: Problem) -> Bug | None:
    """The bug at one of its places, in one of its forms, sometimes with a constant on top."""
    where = places(p, name)
    if not where:
        return None
    layer, n = where[random.integers(len(where))], float(p.s.sum())
    forms = {
        "bias_not_summed": ["first", "last", "first, divided", "last, divided"],
        "transposed_weights": ["gradient", "back"] if layer != 1 else ["gradient"],
        "double_softmax": ["a - y", "through both"],
    }
    form = str(random.choice(forms.get(name, [""])))
    number = {"sign": -1.0, "updated_before_backward": random.uniform(0.05, 2)}.get(name, 1.0)
    if name in ("scale", "layer_scale"):
        number = float(random.choice([2, 0.5, p.sizes[-1], random.uniform(0.2, 5)]))
    structural = name not in (*CONSTANTS, "stale_gradient")
    top = float(random.choice([2, 0.5, n, 1 / n, -1])) if structural and random.random() < 0.2 else 1.0
    return Bug(name, layer, form, number, top)


def apart(one: tuple, other: tuple) -> float:
    """The largest difference over the largest entry of all."""
    a, b = (np.concatenate([array.ravel() for part in g for array in part]) for g in (one, other))
    return float(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max(), 1e-300))


@np.errstate(all="ignore")
def ambiguous(p: Problem, bug: Bug, gradient: tuple) -> bool:
    """Whether the bug leaves no trace, or another one leaves the same."""
    if not all(np.isfinite(array).all() for part in gradient for array in part):
        return True
    if apart(gradient, wrong_gradient(p, Bug("none"))) < 1e-6 or cancelled(gradient):
        return True
    plain = wrong_gradient(p, Bug(bug.name, bug.layer, bug.form, bug.number))
    if bug.name not in CONSTANTS and layer_by_layer(plain, wrong_gradient(p, Bug("none"))):
        return True
    forms = ("", "back", "gradient", "a - y", "first", "last", "first, divided", "last, divided")
    others = [(name, layer, form) for name in NAMES for layer in places(p, name) for form in forms]
    for name, layer, form in others:
        if (name, layer) == (bug.name, bug.layer) or not possible(p, name, layer, form):
            continue
        for number in {"sign": [-1.0], "scale": [2.0, 0.5, p.sizes[-1]]}.get(name, [2.0]):
            other = wrong_gradient(p, Bug(name, layer, form, number))
            constant = name in CONSTANTS or bug.name in CONSTANTS
            if apart(gradient, other) < 1e-9 or (not constant and proportional(plain, other)):
                return True
    return False


def possible(p: Problem, name: str, layer: int | None, form: str) -> bool:
    """Whether there is such a form of this bug here."""
    with_forms = {"transposed_weights": ("back", "gradient"), "double_softmax": ("", "a - y"),
                  "bias_not_summed": ("first", "last", "first, divided", "last, divided")}  # fmt: skip
    if form not in with_forms.get(name, ("",)):
        return False
    if name == "transposed_weights" and form == "back" and layer == 1:
        return False
    needs = {"double_softmax": p.output == "softmax", "extra_output_derivative": p.loss in CANCELS,
             "broadcast_targets": p.sizes[-1] == 1}  # fmt: skip
    return needs.get(name, True)


def cancelled(gradient: tuple) -> bool:
    """Whether nothing but rounding is left."""
    return max(float(np.abs(array).max()) for part in gradient for array in part) < 1e-12


def layer_by_layer(one: tuple, other: tuple) -> bool:
    """Whether every layer is a constant times the other's."""
    pairs = zip(zip(*one, strict=True), zip(*other, strict=True), strict=True)
    return all(proportional((a,), (b,)) for a, b in pairs)


def proportional(one: tuple, other: tuple) -> bool:
    """Whether two gradients differ by a constant only."""
    a, b = (np.concatenate([array.ravel() for part in g for array in part]) for g in (one, other))
    square = float(b @ b)
    return bool(square) and float(np.abs(a - (a @ b) / square * b).max()) < 1e-9 * float(np.abs(a).max())


def network(p: Problem) -> tuple[bl.Network, bl.State]:
    net = bl.Network(p.sizes, p.hidden, p.output, p.loss, p.reduction)
    return net, bl.state_from(net, p.weights, p.biases)


def measure(cases: int, seed: int, show: bool = False) -> Score:
    """``cases`` wrong gradients and as many right ones."""
    random, score = np.random.default_rng(seed), Score()
    while score.asked < cases:
        name = NAMES[score.asked % len(NAMES)]
        p = problem(random, name)
        bug = drawn(random, name, p)
        if bug is None or len(p.x) == 1:
            score.drawn_anew += 1
            continue
        with np.errstate(all="ignore"):
            gradient = wrong_gradient(p, bug)
        if ambiguous(p, bug, gradient):
            score.drawn_anew += 1
            continue
        previous = wrong_gradient(p, Bug("none"), p.previous_weights) if name == "stale_gradient" else None
        net, state = network(p)
        why = bl.diagnose(gradient, net, state, p.x, p.y, sample_weight=p.s, previous=previous)
        first = why.suspects[0] if why.suspects else None
        said = first.name if first else "correct"
        score.asked += 1
        score.right += said == name and first is not None and first.layer == bug.layer
        score.layer_wrong += said == name and first is not None and first.layer != bug.layer
        if said != name or first is None or first.layer != bug.layer:
            score.confusions[name, said] += 1
            if show:
                print(f"  {bug}, {net}, n={len(p.x)}: {[(s.name, s.layer, s.factor) for s in why.suspects]}")
    right_ones(cases, random, score)
    return score


def right_ones(cases: int, random: Random, score: Score) -> None:
    """Right gradients, every second one computed in float32 throughout."""
    for k in range(cases):
        p = problem(random, str(random.choice(NAMES)))
        net, state = network(p)
        if k % 2:
            given = state.astype("float32")
            gradient = bl.step(net, bl.SGD(1.0), given, p.x, p.y, sample_weight=p.s).gradient
            pair: object = ([g.W for g in gradient], [g.b for g in gradient])
        else:
            pair = wrong_gradient(p, Bug("none"))
        why = bl.diagnose(pair, net, state, p.x, p.y, sample_weight=p.s)
        score.right_gradients += 1
        score.accused += not why.correct
        if not why.correct:
            print(f"  accused: {net}, n={len(p.x)}: {why}")


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 304
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    score = measure(cases, seed, show=True)
    print(f"{score.right} of {score.asked} bugs named first, with the layer ({score.right / score.asked:.1%}); "
          f"right name but another layer: {score.layer_wrong}; drawn anew: {score.drawn_anew}")  # fmt: skip
    print(f"{score.accused} of {score.right_gradients} right gradients accused")
    print("confusions (planted -> said first):")
    for (planted, said), times in score.confusions.most_common():
        print(f"  {planted:>26} -> {said:<26} {times}")
    if not score.confusions:
        print("  none")


if __name__ == "__main__":
    main()
