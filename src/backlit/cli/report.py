"""How a tested network did, in detail: who was taken for whom, or how far the numbers were off. No command here."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from ..data import Dataset, Preparation
from ..evaluation import BLOCK, predict
from ..network import Network
from ..state import State
from .common import counted, print_table

MOST_CLASSES = 20  # a wider table fits no screen


def details(net: Network, state: State, data: Dataset, preparation: Preparation) -> dict[str, Any]:
    """For classes ``confusion``: classes, and counts [true][predicted]. For numbers: ``rmse`` in the answers' unit."""
    blocks = [predict(net, state, data.x[first : first + BLOCK]) for first in range(0, len(data), BLOCK)]
    outputs, targets = np.concatenate(blocks), data.targets(net)
    if data.classes is not None and outputs.shape[1] == len(data.classes) > 1:
        if len(data.classes) > MOST_CLASSES:
            return {}
        counts = np.zeros((len(data.classes),) * 2, int)
        np.add.at(counts, (targets.argmax(axis=1), outputs.argmax(axis=1)), 1)
        return {"confusion": {"classes": _names(data.classes, preparation), "counts": counts.tolist()}}
    apart = preparation.restore(outputs.astype(np.float64)) - preparation.restore(targets.astype(np.float64))
    return {"rmse": float(np.sqrt(np.mean(apart**2)))}


def _names(classes: tuple[Any, ...], preparation: Preparation) -> list[Any]:
    """The classes by name; an imported folder holds their places only, its preparation the names."""
    names = preparation.classes
    if names is not None and len(names) == len(classes) and classes == tuple(range(len(classes))):
        return list(names)
    return list(classes)


def print_details(found: dict[str, Any], target: str | None) -> None:
    """The same for people: a table, or one line."""
    if "confusion" in found:
        classes, counts = found["confusion"]["classes"], found["confusion"]["counts"]
        rows = [[name, *row] for name, row in zip(classes, counts, strict=True)]
        title = f"confusion over {counted(sum(map(sum, counts)), 'row')}: true classes down, predicted across"
        print_table(title, ["", *map(str, classes)], rows)
    elif "rmse" in found:
        unit = "the answers" if target is None else repr(target)
        click.echo(f"root mean squared error {found['rmse']:.6g}, in the unit of {unit}")
