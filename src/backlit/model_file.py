"""The file of a trained model: safetensors with a JSON header, read without trust.

Only this format lives here; what a State is stands in state.py, how a file is written in whole_file.py.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .errors import BadInput
from .network import Network
from .optimizers import Optimizer, check_optimizer, from_record, slots_of, to_record
from .state import Floats, State, check_state
from .whole_file import write_whole

FORMAT = "backlit 1"
MOST_STEPS = 2**53  # the largest count that every reader of JSON takes; the core's own limit is beyond


def save(
    path: str | os.PathLike[str],
    net: Network,
    opt: Optimizer,
    state: State,
    *,
    preparation: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
) -> None:
    """Writes a safetensors file; nothing in it is ever executed.

    It is written beside its place, synced, read back, compared, and only then renamed: whatever happens, the
    file at ``path`` is either the old or the new one, whole. ``preparation`` is plain JSON: how raw columns
    become x, and the names of the classes; ``run`` too: what the run was given that made it, so that its steps can be
    opened again. Raises BadInput where the place can't be written.
    """
    from safetensors.numpy import save as to_bytes

    check_state("save", net, state)
    check_optimizer("save", opt)
    if state.slots and set(state.slots) != set(slots_of(opt)):
        raise BadInput(
            f"save: the state carries {', '.join(state.slots)}, which isn't what {type(opt).__name__} carries. Save it "
            "with the optimizer that it was trained with, or give state.anew()."
        )
    for name, vector in {"parameters": state.parameters, **state.slots}.items():
        if not np.isfinite(vector).all():
            raise BadInput(f"save: the state's {name} hold NaN or infinity; finite numbers are wanted.")
    for name, given in (("preparation", preparation), ("run", run)):
        if not (given is None or isinstance(given, Mapping)):
            such = ", such as Preparation.to_record() gives" if name == "preparation" else ""
            raise BadInput(f"save: {name} must be a dict of plain JSON{such}; got {given!r:.60}.")
    header = {
        "format": FORMAT,
        "network": {name: getattr(net, name) for name in Network.__dataclass_fields__},
        "optimizer": to_record(opt),
        "step": state.step,
        "started": state.started,
        "epoch_losses": [float(loss) for loss in state.epoch_losses],
        "epoch_sum": float(state.epoch_sum),
        "preparation": preparation,
        "run": run,
    }
    vectors = {"parameters": state.parameters, **state.slots}
    # Contiguous copies, because safetensors writes the memory of a strided array in the wrong order.
    tensors = {name: np.ascontiguousarray(vector) for name, vector in vectors.items()}
    if not isinstance(path, str | os.PathLike) or not str(path) or "\0" in str(path):
        raise BadInput(f"save: a path was wanted; got {path!r}.")
    try:
        content = to_bytes(tensors, metadata={"backlit": json.dumps(header, allow_nan=False)})
        # through a link, the file that it names is replaced
        write_whole(Path(os.path.realpath(path)), content, lambda aside: _verify(aside, net, opt, state))
    except OSError as error:
        raise BadInput(f"save: {path} can't be written: {error.strerror or error}. Nothing was changed.") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"save: {path}: preparation and run must be plain JSON, numbers finite: {error}.") from None


def _verify(path: Path, network: Network, optimizer: Optimizer, state: State) -> None:
    read_network, read_optimizer, read = load(path)
    same = (
        (read_network, read_optimizer, read.slots.keys()) == (network, optimizer, state.slots.keys())
        and read.parameters.tobytes() == state.parameters.tobytes()
        and all(read.slots[name].tobytes() == slot.tobytes() for name, slot in state.slots.items())
    )
    if not same:
        raise BadInput(f"save: {path}: what was read back differs from what was written. Check the disk.")


def load(path: str | os.PathLike[str]) -> tuple[Network, Optimizer, State]:
    """What ``save`` wrote: (network, optimizer, state). Checks every name, type and shape, and runs nothing.

    Raises BadInput that names the file for anything else.
    """
    header, vectors = _read(path)
    network = _network_of(path, header)
    optimizer = _optimizer_of(path, header)
    wanted = {"parameters", *slots_of(optimizer)}
    if vectors.keys() not in (wanted, {"parameters"}):
        raise BadInput(f"load: {path}: tensors {sorted(wanted)} were wanted, it holds {sorted(vectors)!r:.200}.")
    for name, vector in vectors.items():
        if vector.shape != (network.n_parameters,) or vector.dtype != vectors["parameters"].dtype:
            raise BadInput(
                f"load: {path}: tensor {name!r} must be ({network.n_parameters},) of one dtype, "
                f"got {vector.shape} {vector.dtype}."
            )
        if not np.isfinite(vector).all():
            raise BadInput(f"load: {path}: tensor {name!r} holds NaN or infinity; finite numbers are wanted.")
    parameters = vectors.pop("parameters")
    return network, optimizer, State(network.sizes, parameters, vectors, **_progress_of(path, header))


def load_preparation(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The preparation that was saved with the model, plain JSON; None if there is none."""
    preparation = _read(path)[0].get("preparation")
    if preparation is not None and not isinstance(preparation, dict):
        raise BadInput(f"load: {path}: the preparation must be a JSON object, got {type(preparation).__name__}.")
    return preparation


def load_run(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What the run was given that made this model, plain JSON; None if that wasn't saved."""
    run = _read(path)[0].get("run")
    return run if isinstance(run, dict) else None


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Floats]]:
    from safetensors import SafetensorError, safe_open

    try:
        if os.path.isdir(path):
            raise IsADirectoryError
        with safe_open(str(path), framework="np") as file:
            metadata = file.metadata() or {}
            header = json.loads(metadata.get("backlit", "null"))
            vectors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except FileNotFoundError:
        raise BadInput(f"load: there is no file {path}.") from None
    except IsADirectoryError:
        raise BadInput(
            f"load: {path} is a folder, not a model that backlit saved: name a file, as train --save FILE makes it."
        ) from None
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInput(f"load: {path} is not a model that backlit saved: {reason:.200}.") from None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise BadInput(f"load: {path} is a safetensors file, but not a model of format {FORMAT!r}.")
    if any(vector.dtype not in (np.float32, np.float64) for vector in vectors.values()):
        raise BadInput(f"load: {path}: tensors of float32 or float64 were wanted.")
    return header, vectors


def _network_of(path: object, header: dict[str, Any]) -> Network:
    record = header.get("network")
    try:
        return Network(**record)  # type: ignore[arg-type]
    except (TypeError, BadInput) as error:
        raise BadInput(f"load: {path}: the network in it doesn't hold: {error!s:.200}") from None


def _optimizer_of(path: object, header: dict[str, Any]) -> Optimizer:
    try:
        optimizer = from_record(header.get("optimizer"))
    except BadInput as error:
        raise BadInput(f"load: {path}: {error}") from None
    if not isinstance(optimizer, Optimizer):
        raise BadInput(f"load: {path}: an optimizer was wanted, it holds {optimizer!r}.")
    return optimizer


def _progress_of(path: object, header: dict[str, Any]) -> dict[str, Any]:
    step, started = header.get("step"), header.get("started")
    losses: Any = header.get("epoch_losses")
    running: Any = header.get("epoch_sum")
    counts = type(step) is int and type(started) is int and 0 <= started <= step < MOST_STEPS
    numbers = type(losses) is list and all(type(n) is float and math.isfinite(n) for n in [*losses, running])
    if not (counts and numbers):
        raise BadInput(f"load: {path}: step, started, epoch_losses and epoch_sum don't hold together.")
    return {"step": step, "started": started, "epoch_losses": tuple(map(float, losses)), "epoch_sum": float(running)}
