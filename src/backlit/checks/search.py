"""The search for the bug: every candidate against their numbers, one bug first, two only where one is not enough.

What counts as a candidate stands in hypotheses.py, what as a match in matching.py. Here: the order of simplicity.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from .candidates import Candidate
from .comparison import block_errors, blocks
from .hypotheses import all_candidates, with_rate
from .matching import ARBITRARY, Match, Ruler
from .wrong_passes import Pass, Scene, gradient

BUG, CONSTANT, PART = 10, 5, 8  # prices: a changed line; a constant before everything; one before a part
NEAR = 5  # how much dearer an explanation may be than the simplest to be told as well
PAIRS_WORK = 5e10  # multiplications that the search for two bugs may cost: some seconds


class Found(NamedTuple):
    """One explanation: the bugs (none for a constant alone), the constants, and how simple it is."""

    bugs: tuple[tuple[str, Candidate], ...]
    stale: bool
    match: Match
    price: float


class Search(NamedTuple):
    """All explanations, best first; without one: the nearest single bug, and whether pairs were tried."""

    found: list[Found]
    tried: int
    nearest: tuple[str, Candidate, float] | None
    pairs_tried: bool


def search(scene: Scene, measure: Ruler, shifted: Ruler | None) -> Search:
    """Explains ``scene.theirs`` (its Ruler: measure), or what is left of it without the previous one (shifted)."""
    candidates = _that_change_something(scene)
    found = [_found((), False, match) for match in measure.matches(blocks(scene.right))]
    if shifted is not None:
        found += [_found((), True, m, scene.repeated) for m in shifted.matches(blocks(scene.right)) if not m.part]
    computed = []
    for name, candidate in candidates:
        array = blocks(gradient(scene, candidate.how))
        computed.append((name, candidate, array))
        found += [_found(((name, candidate),), False, m) for m in measure.matches(array) if not m.part]
    tried = len(candidates)
    if found:
        return Search(_ranked(found), tried, None, False)
    for name, candidate, array in computed:
        found += [_found(((name, candidate),), False, m) for m in measure.matches(array)]
        if shifted is not None:
            found += [_found(((name, candidate),), True, m) for m in shifted.matches(array) if not m.part]
    pairs = list(_pairs(candidates))
    affordable = len(pairs) * 6 * scene.net.n_parameters * len(scene.x) < PAIRS_WORK
    for both, how in pairs if affordable else ():
        fitted = with_rate(scene, how) if how.updated else how
        if fitted is not None:
            array = blocks(gradient(scene, fitted))
            found += [_found(_refitted(both, fitted), False, m) for m in measure.matches(array) if not m.part]
    nearest = min(((n, c, measure.apart(a)) for n, c, a in computed), key=lambda entry: entry[2], default=None)
    return Search(_ranked(found), tried, nearest, affordable)


def _that_change_something(scene: Scene) -> list[tuple[str, Candidate]]:
    kept, seen, floors = [], [scene.right], [0.0] * (2 * len(scene.layers))
    for name, candidate in all_candidates(scene):
        how = with_rate(scene, candidate.how) if candidate.how.updated else candidate.how
        if how is None:
            continue
        flat = gradient(scene, how)
        if np.isfinite(flat.flat).all() and not any(
            max(block_errors(blocks(flat), blocks(other), floors)) < 1e-9 for other in seen
        ):
            kept.append((name, candidate._replace(how=how)))
            seen.append(flat)
    return kept


def _pairs(candidates: list[tuple[str, Candidate]]) -> Iterator[tuple[tuple[tuple[str, Candidate], ...], Pass]]:
    for first, second in combinations(candidates, 2):
        how = first[1].how.with_(second[1].how)
        if how is not None:
            yield (first, second), how


def _refitted(both: tuple[tuple[str, Candidate], ...], fitted: Pass) -> tuple[tuple[str, Candidate], ...]:
    return tuple(
        (name, candidate._replace(how=replace(candidate.how, rate=fitted.rate)) if candidate.how.updated else candidate)
        for name, candidate in both
    )


def _found(bugs: tuple[tuple[str, Candidate], ...], stale: bool, match: Match, seen: bool = False) -> Found:
    """``seen``: that the gradient is stale was seen, and costs nothing."""
    price: float = (
        BUG * (len(bugs) + (stale and not seen)) + match.factor.price + (CONSTANT if match.factor.price else 0)
    )
    if match.extra is not None:
        # Any number before one layer is a bug with a name; before weights or biases alone it may be no more than a fit.
        price += PART + match.extra.price / (ARBITRARY if match.part in ("layer", "down") else 1)
    return Found(bugs, stale, match, price)


def _ranked(found: list[Found]) -> list[Found]:
    """Those that fit about as well as the best, the simplest first; the order of the table decides between equals."""
    if not found:
        return []
    best = min(f.match.error for f in found)
    near = sorted((f for f in found if f.match.error <= max(100 * best, 1e-9)), key=lambda f: f.price)
    return [f for f in near if f.price <= near[0].price + NEAR]
