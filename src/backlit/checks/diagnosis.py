"""``diagnose``: what is wrong with a gradient that somebody else computed, by name.

From reading their numbers to the verdict; the bugs themselves are in hypotheses.py, the sentences in wording.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import BadInput
from ..network import Network
from ..state import Floats, Layers, State, check_batch, check_finite, check_state
from .candidates import IN_EVERY_HIDDEN
from .comparison import DIFFERENCES_LIMIT, EXACT_LIMIT, block_errors, blocks
from .hypotheses import HYPOTHESES
from .layouts import Foreign, called, read
from .matching import MATCH, Constant, Match, Ruler, meaningful
from .network_objects import is_network_object, network_and_state, object_gradient, rows_of
from .penalty import fitted_penalty
from .search import Found, Search, search
from .slack import corner_slack, magnitudes
from .wording import bug_text, factor_text, place
from .wrong_passes import Scene

if TYPE_CHECKING:
    from rich.console import RenderableType

SINGLE_MATCH, SINGLE_TIMES = 3e-5, 30  # in float32: this, or this many times what float32 costs backlit itself
# A block's entries are held against this share of its terms at least: with the limits above, that is 1e-14 and 1e-6 of
# the terms, which is what rounding leaves where they cancel.
FLOOR, SINGLE_FLOOR = 1e-7, 0.03
NEAREST = 0.2  # what the nearest bug may leave over, to be worth telling
CONSTANT_BUGS = {"sign": "sign", "n": "sum_not_mean", "1/n": "mean_twice"}


@dataclass(frozen=True)
class Suspect:
    """One bug. ``layer`` counts from 1, the first with weights; None: all.

    factor:  theirs = factor · the gradient that this bug gives.
    error:   what is left once the bug is assumed: the largest difference over the largest entry, worst layer.
    text:    what it is, where to look, one line of what it should be.
    """

    name: str
    layer: int | None
    factor: float
    error: float
    text: str


@dataclass(frozen=True)
class Diagnosis:
    """The verdict on a gradient: ``correct``, or ``suspects``, best first. Printing it shows the report.

    error:    of their gradient against the right one: the largest difference over the largest entry, worst layer.
    remarks:  the form it came in, and its precision.
    """

    correct: bool
    suspects: list[Suspect]
    error: float
    remarks: tuple[str, ...] = ()

    def _lines(self) -> list[str]:
        verdict = f"right (error {self.error:.1e})" if self.correct else f"wrong (error {self.error:.2g})"
        lines = [f"The gradient is {verdict}."]
        for number, suspect in enumerate(self.suspects, 1):
            where = (
                "" if suspect.layer is None or suspect.name == "unknown" else f", layer {suspect.layer}"
            )  # its text says
            left = "" if suspect.name == "unknown" else f" (explains it to {suspect.error:.0e})"
            lines.append(f"{number}. {suspect.name}{where}{left}: {suspect.text}")
        return [*lines, *self.remarks]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def __repr__(self) -> str:
        found = "correct" if self.correct else f"wrong: {', '.join(suspect.name for suspect in self.suspects)}"
        return f"Diagnosis({found}; error {self.error:.2g})"

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        first, *rest = self._lines()
        return Text("\n").join([Text(first, style="green" if self.correct else "red"), *map(Text, rest)])


def diagnose(
    gradient: Any, net: Network | None = None, state: State | None = None,
    x: ArrayLike | None = None, y: ArrayLike | None = None, *,
    sample_weight: ArrayLike | None = None, previous: Any = None,
) -> Diagnosis:  # fmt: skip
    """Says whether a gradient is right, and if it isn't, which bug gives these very numbers.

    gradient:  a pair (weight gradients [(fan_in, fan_out)], bias gradients [(fan_out,)]), reduced over the batch as
               ``net`` says, or a function f(weights, biases, x, y) that returns one. (fan_out, fan_in), (fan_out, 1)
               and the other order of the pair are recognised, and said. Or an object with the methods of the
               well-known book's ``Network``, then without net and state.
    previous:  the gradient they had one step before, in the same form: only with it can a forgotten zero_grad be seen.

    Each suspect is computed and compared, never guessed. Raises BadInput for what is no gradient of this network.

    >>> def wrong_way(weights, biases, x, y):
    ...     delta = y - (x @ weights[0] + biases[0])
    ...     return [x.T @ delta / len(x)], [delta.mean(axis=0)]
    >>> net = bl.Network([2, 1])
    >>> found = bl.diagnose(wrong_way, net, bl.initial_state(net), [[0.1, 0.9], [0.4, 0.2]], [[1], [0]])
    >>> found.correct, found.suspects[0].name
    (False, 'sign')
    """
    where, notes = "diagnose", list[str]()
    if is_network_object(gradient):
        found_net, found_state = network_and_state(where, gradient)
        net, state = net or found_net, state or found_state
        gradient = object_gradient(gradient, notes=notes)
        x, y = rows_of(x, net.sizes[0]), rows_of(y, net.sizes[-1])
    if net is None or state is None or x is None or y is None:
        raise BadInput(f"{where}: gradient, net, state, x and y are wanted (or an object with backprop, and x=, y=).")
    check_state(where, net, state)
    state = state.astype(np.float64)
    x, y, s = check_batch(where, net, state, x, y, sample_weight)
    check_finite(where, x, y)
    remarks, repeated = list[str](), False
    if callable(gradient):
        gradient, previous, remarks, repeated = _asked_twice(gradient, state, x, y, previous)
    foreign = read(where, net, gradient, len(x))
    scene = Scene(net, state.layers, x, y, s, foreign.gradient, None, repeated)
    if not np.isfinite(scene.right.flat).all():
        raise BadInput(f"{where}: the right gradient itself is not finite at this state. Look at the parameters and x.")
    before = None if previous is None else read(f"{where}: previous", net, previous, len(x))
    verdict = _of_readings(scene, foreign, before)
    remarks += [f"backprop returns {note}." for note in dict.fromkeys(notes)]
    return replace(verdict, remarks=(*verdict.remarks, *remarks))


def _of_readings(scene: Scene, foreign: Foreign, before: Foreign | None) -> Diagnosis:
    """The verdict on the reading that is right, else on the first that is explained."""
    readings, verdicts = foreign.readings(), list[Diagnosis]()
    befores = [] if before is None else before.readings()
    for number, reading in enumerate(readings):
        if before is not None:  # in the same form as the gradient
            scene = replace(scene, previous=befores[min(number, len(befores) - 1)].gradient)
        verdict = _of_unsummed(scene, reading) if reading.unsummed else _judged(scene, reading)
        verdicts.append(replace(verdict, remarks=(*verdict.remarks, *reading.remarks)))
        if verdict.correct:
            return verdicts[-1]
    # Any number before a layer may be no more than a fit.
    poor = ("scale", "layer_scale", "unknown")
    return min(verdicts, key=lambda v: poor.index(v.suspects[0].name) + 1 if v.suspects[0].name in poor else 0)


def _asked_twice(
    f: Callable[..., Any], state: State, x: Any, y: Any, previous: Any
) -> tuple[Any, Any, list[str], bool]:
    """What the function gives when called a second time, which must be what it gave the first time."""
    answers, remarks = [], []
    for _ in range(2):
        weights, biases = [layer.W.copy() for layer in state.layers], [layer.b.copy() for layer in state.layers]
        answer = called("diagnose", f, weights, biases, x.copy(), y.copy())
        answers.append(_deep_copy(answer))
        moved = any(not np.array_equal(layer.W, W) for layer, W in zip(state.layers, weights, strict=True))
        moved |= any(not np.array_equal(layer.b, b) for layer, b in zip(state.layers, biases, strict=True))
    if moved:
        remarks.append("The function changes the weights or biases that it is given: it must only read them.")
    if previous is None and not _same(*answers):
        remarks.append("A second call with the same arguments gave another gradient: it was diagnosed, with the first "
                       "as the one before.")  # fmt: skip
        return answers[1], answers[0], remarks, True
    return answers[0], previous, remarks, False


def _deep_copy(answer: Any) -> Any:
    """The arrays as they are now: a function may give the same arrays again and add to them."""
    if isinstance(answer, tuple | list):
        return [_deep_copy(part) for part in answer]
    return np.array(answer) if isinstance(answer, np.ndarray) else answer


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, list):
        return isinstance(second, list) and len(first) == len(second) and all(map(_same, first, second))
    if not isinstance(first, np.ndarray) or not isinstance(second, np.ndarray):
        return True
    with_nan = first.dtype.kind == second.dtype.kind == "f"  # NaN twice is no other gradient
    return bool(np.array_equal(first, second, equal_nan=with_nan))


# --- the verdict ---------------------------------------------------------------------------------------------------


def _judged(scene: Scene, foreign: Foreign) -> Diagnosis:
    scene = replace(scene, theirs=foreign.gradient)
    if not np.isfinite(foreign.gradient.flat).all():
        return Diagnosis(False, [_not_finite(scene)], float("inf"))
    floors = [(SINGLE_FLOOR if foreign.single else FLOOR) * size for size in magnitudes(scene)]
    limits = _limits(scene, foreign.single, floors)
    right, theirs = blocks(scene.right), blocks(foreign.gradient)
    error = max(block_errors(theirs, right, floors))
    slack = corner_slack(scene, 1e-5 if foreign.single else 1e-12)
    if _within(theirs, right, limits, slack, floors):
        single = ("Right, as far as float32 goes: computed in float64 the error would be far smaller.",)
        return Diagnosis(True, [], error, single if foreign.single and error > 1e-10 else ())
    ruler = _ruler(scene, scene.theirs.flat, foreign.single, limits, floors)
    old = scene.previous
    shifted = None if old is None else _ruler(scene, scene.theirs.flat - old.flat, foreign.single, limits, floors)
    with np.errstate(all="ignore"):  # a wrong line may leave the finite numbers; then it is not the one
        found = search(scene, ruler, shifted)
    small = error <= DIFFERENCES_LIMIT and not foreign.single
    if small and not (found.found and found.found[0].match.error < error / 100 and _has_a_meaning(found.found[0])):
        remark = f"Right to {error:.0e}, as finite differences or a lower precision give it; exact would be 1e-12."
        return Diagnosis(True, [], error, (remark,))
    suspects = [s for explanation in found.found[:3] for s in _suspects(scene, explanation)]
    unique = {(s.name, s.layer): s for s in reversed(suspects)}
    ordered = [s for s in suspects if unique.get((s.name, s.layer)) is s]
    return Diagnosis(False, ordered or _l2_included(scene, ruler) or [_unknown(scene, found)], error)


def _has_a_meaning(found: Found) -> bool:
    """Whether it is more than constants near 1, which fit to the noise of a few numbers."""
    extra = found.match.extra
    return bool(found.bugs or found.stale or found.match.factor.parts or (extra is not None and extra.parts))


def _limits(scene: Scene, single: bool, floors: list[float]) -> list[float]:
    """How far each block may lie from the right one. In float32: from what float32 does to backlit's own gradient."""
    if not single:
        return [EXACT_LIMIT] * (2 * len(scene.layers))
    with np.errstate(over="ignore", invalid="ignore"):
        x, y, s = (array.astype(np.float32) for array in (scene.x, scene.y, scene.s))
        own = Scene(
            scene.net, Layers(scene.net.sizes, scene.layers.flat.astype(np.float32)), x, y, s, scene.theirs
        ).right
    errors = block_errors(blocks(own), blocks(scene.right), floors)
    return [max(SINGLE_MATCH, SINGLE_TIMES * e) if np.isfinite(e) else 0.01 for e in errors]


def _within(theirs: list[Any], right: list[Any], limits: list[float], slack: list[Any], floors: list[float]) -> bool:
    closer = [t - np.clip(t - r, -room, room) for t, r, room in zip(theirs, right, slack, strict=True)]
    return all(e <= limit for e, limit in zip(block_errors(closer, right, floors), limits, strict=True))


def _ruler(scene: Scene, theirs: Floats, single: bool, limits: list[float], floors: list[float]) -> Ruler:
    tolerances = [max(MATCH, limit) if single else MATCH for limit in limits]
    constants = meaningful(scene.net, scene.n, len(scene.x))
    return Ruler(blocks(Layers(scene.net.sizes, theirs)), tolerances, floors, constants)


def _of_unsummed(scene: Scene, foreign: Foreign) -> Diagnosis:
    """Biases with a row axis: their sum over the rows is judged, divided as the network says or not."""
    verdicts = []
    for factor in (1.0, scene.factor):
        summed = Layers(scene.net.sizes, foreign.gradient.flat.copy())
        for l in foreign.unsummed:  # noqa: E741
            summed[l].b[...] *= factor
        verdicts.append(_judged(scene, replace(foreign, gradient=summed)))
    best = min(verdicts, key=lambda v: (not v.correct, "unknown" in [s.name for s in v.suspects], len(v.suspects)))
    everywhere = len(foreign.unsummed) == len(scene.layers) > 1
    layers = [None] if everywhere else [k + 1 for k in foreign.unsummed]
    detail = "it still has one row per example"
    ours = [Suspect("bias_not_summed", layer, 1.0, best.error if best.correct else best.suspects[0].error,
                    bug_text(scene.net, "bias_not_summed", layer, detail)) for layer in layers]  # fmt: skip
    return Diagnosis(False, ours + best.suspects, 1.0 if best.correct else best.error, best.remarks)


# --- suspects ------------------------------------------------------------------------------------------------------


def _suspects(scene: Scene, found: Found) -> list[Suspect]:
    """The bugs of one explanation, then the constants before them, as suspects."""
    net, match = scene.net, found.match
    named = [(name, c.layer, _detail(c), c.detail.startswith(IN_EVERY_HIDDEN)) for name, c in found.bugs]
    if found.stale:
        named.insert(0, ("stale_gradient", None, "", False))
    if match.extra is not None:
        named.append(_partial(match, match.extra, net.reduction))
    constants = _constant_bugs(match.factor, net.reduction) if match.factor.price else []
    if not named:
        constants = constants or ["scale"]
        told = "" if len(match.factor.parts) == 1 and constants != ["scale"] else _times(match.factor, net.reduction)
        return [Suspect(c, None, match.factor.value, match.error, bug_text(net, c, None) + told) for c in constants]
    suspects = []
    together = " This and the next suspect explain the numbers together." if len(named) > 1 else ""
    top = _times(match.factor, net.reduction) if match.factor.price else ""
    for name, layer, detail, hidden_only in named:
        local = match.extra is not None and not found.bugs
        factor = match.extra.value if local and match.extra else match.factor.value
        text = bug_text(net, name, layer, detail, hidden_only) + top + together
        suspects.append(Suspect(name, layer, factor, match.error, text))
        together = ""
    return suspects + [Suspect(c, None, match.factor.value, match.error, bug_text(net, c, None)) for c in constants]


def _times(constant: Constant, reduction: str, what: str = "All of it is {} times that") -> str:
    mean = " The loss is meant to be a sum over the batch, and a mean was taken: reduction='mean' is that one's."
    told = mean if reduction == "sum" and constant.parts == ("1/n",) else ""
    return f" {what.format(f'{constant.value:.6g}')}: {factor_text(constant.parts, constant.value)}.{told}"


def _constant_bugs(constant: Constant, reduction: str) -> list[str]:
    """The names that the parts of a constant have. A sum that should be a sum has none."""
    names = CONSTANT_BUGS if reduction == "mean" else {"sign": "sign"}
    return list(dict.fromkeys(names[part] for part in constant.parts if part in names))


def _detail(candidate: Any) -> str:
    if candidate.how.updated:
        return f"as if they had moved by {candidate.how.rate:.6g} times their gradient"
    return str(candidate.detail).removeprefix(IN_EVERY_HIDDEN).removeprefix(": ")


def _partial(match: Match, extra: Constant, reduction: str) -> tuple[str, int | None, str, bool]:
    """The bug of a constant before a part of the gradient."""
    meaning = f"{extra.value:.6g}: {factor_text(extra.parts, extra.value)}"
    if match.part in ("biases", "weights"):
        name = (_constant_bugs(extra, reduction) or ["scale"])[0]
        return name, None, f"only the {match.part}, {meaning}", False
    parts = {"down": ", it and every layer below it", "layer_biases": ", only its biases", "layer_weights":
             ", only its weights"}  # fmt: skip
    return "layer_scale", match.layer, meaning + parts.get(str(match.part), ""), False


def _l2_included(scene: Scene, ruler: Ruler) -> list[Suspect]:
    """The penalty, and the constant before the rest of the gradient; none where they don't explain it."""
    found = fitted_penalty(scene, ruler)
    if found is None:
        return []
    net, (factor, size, error) = scene.net, found
    wrong = ", with the wrong sign" if size < 0 < factor.value else ""
    text = bug_text(net, "l2_included", None, f"{size:.6g} · W{wrong}")
    if factor.price:
        text += _times(factor, net.reduction, "The gradient beside it is {} times the right one")
    constants = _constant_bugs(factor, net.reduction) if factor.parts else ["scale"] if factor.price else []
    rest = [Suspect(c, None, factor.value, error, bug_text(net, c, None)) for c in constants]
    return [Suspect("l2_included", None, size, error, text), *rest]


def _unknown(scene: Scene, result: Search) -> Suspect:
    net = scene.net
    per_block = block_errors(blocks(scene.theirs), blocks(scene.right), [FLOOR * size for size in magnitudes(scene)])
    wrong = [k // 2 for k, e in enumerate(per_block) if e > DIFFERENCES_LIMIT]
    top = max(wrong, default=0)
    parts = [f"{_right_and_wrong(scene, per_block)}. None of the bugs with a name gives these numbers. "
             f"Going down from the output, {place(net, top + 1)} is the first that is wrong: look there."]  # fmt: skip
    if _are_weights(scene):
        parts = ["these are the weights, not a gradient: look at what is returned."]
    if not scene.theirs.flat.any():
        parts = ["every entry is 0: nothing was written into the gradient, or another array was returned."]
    if result.nearest is not None and scene.theirs.flat.any() and result.nearest[2] < NEAREST:
        name, candidate, apart = result.nearest
        parts.append(f"The nearest is {name} in {place(net, candidate.layer)}, which still leaves {apart:.1%}.")
    names = [*CONSTANT_BUGS.values(), "scale", "layer_scale", *HYPOTHESES]
    names += ["stale_gradient"] if scene.previous is not None else []
    pairs = ", and any two of them together" if result.pairs_tried else "; two at once would take too long here"
    parts.append(f"Excluded, with a constant before them or not: {', '.join(names)}{pairs}. Excluded too: l2_included, "
                 "beside the right gradient or a constant times it.")  # fmt: skip
    if scene.previous is None:
        parts.append("stale_gradient can only be seen with previous=, the gradient of the step before.")
    return Suspect("unknown", top + 1, 1.0, max(per_block), " ".join(parts))


def _right_and_wrong(scene: Scene, errors: list[float]) -> str:
    """ "layer 1: W right, b wrong by 0.01 in every entry; layer 2 (the output): W and b right"."""
    net, told = scene.net, []
    if len(scene.theirs) > 1 and min(errors) > DIFFERENCES_LIMIT:
        return "W and b of every layer are wrong"
    theirs, right = blocks(scene.theirs), blocks(scene.right)
    words = [_wrong(t, r, e) for t, r, e in zip(theirs, right, errors, strict=True)]
    for number, (W, b) in enumerate(zip(words[::2], words[1::2], strict=True), 1):
        told.append(f"{place(net, number)}: " + ("W and b right" if W == b == "right" else f"W {W}, b {b}"))
    return "; ".join(told)


def _wrong(theirs: Floats, right: Floats, error: float) -> str:
    apart = theirs - right
    if error <= DIFFERENCES_LIMIT:
        return "right"
    largest = float(np.abs(apart).max())
    if apart.size > 1 and np.ptp(apart) <= 1e-6 * largest:
        return f"wrong by {float(apart.flat[0]):.6g} in every entry"
    count = int((np.abs(apart) > DIFFERENCES_LIMIT * max(largest, float(np.abs(right).max()))).sum())
    return f"wrong in {count:,} of {apart.size:,} entries, by {largest:.6g} at most"


def _are_weights(scene: Scene) -> bool:
    pairs = zip(scene.theirs, scene.layers, strict=True)
    return all(bool(mine.W.any()) and np.allclose(mine.W, layer.W, rtol=1e-6, atol=0) for mine, layer in pairs)


def _not_finite(scene: Scene) -> Suspect:
    layers = [k + 1 for k, layer in enumerate(scene.theirs) if not all(np.isfinite(a).all() for a in layer)]
    text = (f"the gradient of layer {', '.join(map(str, layers))} holds NaN or infinity. Look for an exp or log that "
            "leaves its range, or a division by 0, and begin with the last of these layers.")  # fmt: skip
    return Suspect("unknown", layers[-1], 1.0, float("inf"), text)
