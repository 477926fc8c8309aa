"""``backlit info``: what is in a saved model, what this installation can do, or what this processor can."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..engines import available_engines
from ..engines.native import instruction_sets, measured_peak, threads_wanted, usable_cores
from ..model_file import load, load_preparation
from .common import json_option, print_facts, print_json
from .train import describe

SETS = {"base": "what every processor of this family has", "v3": "AVX2 and fused multiply-add", "v4": "AVX-512"}


@click.command("info")
@click.argument("model", metavar="[MODEL]", required=False, type=click.Path(path_type=Path))
@click.option("--cpu", is_flag=True, help="What the native engine makes of this processor; measures for 0.1 seconds.")
@json_option
def command(model: Path | None, cpu: bool, as_json: bool) -> None:
    """What is in the saved MODEL; without one, the version and the engines that are ready here."""
    if cpu and model is not None:
        raise click.UsageError("--cpu tells of the processor, not of a model: leave MODEL out.")
    if cpu:
        measured = processor()
        print_json(measured) if as_json else print_facts(spoken(measured))
        return
    facts = installation() if model is None else contents(model)
    if as_json:
        print_json(facts)
    else:
        print_facts({name: _listed(value) for name, value in facts.items()})


def _listed(value: object) -> object:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:.6g}" if isinstance(value, float) else value


def installation() -> dict[str, object]:
    """Version and engines."""
    engines = {f"engine {name}": reason for name, reason in available_engines().items()}
    return {"backlit": __version__, "python": platform.python_version(), **engines}


def processor() -> dict[str, Any]:
    """What the compiled core uses of this processor, and how fast it is at best. EngineUnavailable without the core."""
    used, usable = instruction_sets()
    return {
        "processor": _name(),
        "cores": usable_cores(),
        "threads": threads_wanted() or None,
        "instruction_set": used,
        "instruction_sets": list(usable),
        "peak_gflops": {dtype: round(measured_peak(dtype), 1) for dtype in ("float32", "float64")},
    }


def spoken(measured: dict[str, Any]) -> dict[str, object]:
    """The same for people."""
    others = [name for name in measured["instruction_sets"] if name != measured["instruction_set"]]
    can = f" (also here: {', '.join(others)}; BACKLIT_ISA chooses)" if others else ""
    peaks = (f"{peak:.0f} GFLOP/s in {dtype}" for dtype, peak in measured["peak_gflops"].items())
    return {
        "processor": measured["processor"],
        "cores": measured["cores"],
        "threads": measured["threads"] or "as many as pay for a step's size; BACKLIT_NUM_THREADS sets them",
        "instruction set": f"{measured['instruction_set']}, {SETS[measured['instruction_set']]}{can}",
        "peak of one core": f"{', '.join(peaks)}, multiply-adds alone",
    }


def _name() -> str:
    """As the system calls it; Python itself knows only the family."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


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
            facts[name] = preparation[name]
    return facts
