"""What a hypothesis yields: a bug in one place, as a wrong pass. The bugs are in hypotheses.py and slopes.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .wrong_passes import Pass, Scene


class Candidate(NamedTuple):
    """A bug in one place: layer from 1, None for all of them; ``detail`` goes into the text."""

    layer: int | None
    how: Pass
    detail: str = ""


IN_EVERY_HIDDEN = "in every hidden layer"  # how the detail of a Candidate begins whose None leaves the output out
Hypothesis = Callable[[Scene], Iterator[Candidate]]


def places(layers: Sequence[int]) -> Iterator[tuple[int | None, Sequence[int]]]:
    """(what is reported, the layers from 0): each on its own, then all of them."""
    for l in layers:  # noqa: E741
        yield l + 1, [l]
    if len(layers) > 1:
        yield None, layers
