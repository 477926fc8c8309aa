"""``backlit info``: what is in a saved model, or what this installation can do."""

from __future__ import annotations

import platform
from pathlib import Path

import click

from .. import __version__
from ..engines import available_engines
from ..model_file import load, load_preparation
from .common import json_option, print_facts, print_json
from .train import describe


@click.command("info")
@click.argument("model", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@json_option
def command(model: Path | None, as_json: bool) -> None:
    """What is in the saved MODEL; without one, the version and the engines that are ready here."""
    facts = installation() if model is None else contents(model)
    if as_json:
        print_json(facts)
    else:
        print_facts({name: f"{fact:.6g}" if isinstance(fact, float) else fact for name, fact in facts.items()})


def installation() -> dict[str, object]:
    """Version and engines."""
    engines = {f"engine {name}": reason for name, reason in available_engines().items()}
    return {"backlit": __version__, "python": platform.python_version(), **engines}


def contents(model: Path) -> dict[str, object]:
    """The network, the optimizer, how far it was trained, and how raw columns become its inputs."""
    net, opt, state = load(model)
    facts: dict[str, object] = {
        "network": describe(net),
        "parameters": net.n_parameters,
        "dtype": str(state.dtype),
        "optimizer": str(opt),
        "updates": state.step,
        "epochs": len(state.epoch_losses),
    }
    if state.epoch_losses:
        facts["last epoch's loss"] = state.epoch_losses[-1]
    preparation = load_preparation(model) or {}
    for name in ("target", "classes", "columns"):
        if preparation.get(name) is not None:
            value = preparation[name]
            facts[name] = ", ".join(map(str, value)) if isinstance(value, list) else value
    return facts
