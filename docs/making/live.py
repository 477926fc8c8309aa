"""The page of the explorer that the site carries: a short run on the digits, watched, written at the end of a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import backlit as bl

WATCHED = (0, 1, 2, 40, 160)


def write(app: Any, error: Exception | None) -> None:
    """Sphinx's build-finished."""
    if error is None:
        folder = Path(app.outdir) / "live"
        folder.mkdir(exist_ok=True)
        (folder / "explorer.html").write_text(page(), "utf-8")


def page() -> str:
    """Five steps of a 64-16-10 network on the digits, batches of 8."""
    data = bl.load_dataset("digits")
    data = bl.Preparation.learn(data, scale=False).apply_to(data)
    net = bl.Network([64, 16, 10], hidden="sigmoid", output="softmax", loss="cross_entropy")
    watched = []
    for progress in bl.train(net, bl.SGD(0.05), data, batch_size=8, epochs=1, watch=WATCHED):
        watched += progress.watched
    return bl.explorer(watched)
