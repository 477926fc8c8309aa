"""The file of a checkpoint: safetensors with a JSON header and a digest over both, read without trust.

Only this format lives here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import BadInput
from ..network import Network
from ..state import State

FORMAT = "backlit checkpoint 1"


class Damaged(Exception):
    """A checkpoint that isn't as it was written."""


def to_bytes(plan: Mapping[str, Any], states: Sequence[State], records: Sequence[Any], note: Any = None) -> bytes:
    """States (that of the run first), the plan of the run, its observers' records and a note, as one file.

    Raises TypeError or ValueError where a record isn't plain JSON.
    """
    from safetensors.numpy import save

    tensors = {}
    for i, state in enumerate(states):
        for name, vector in {"parameters": state.parameters, **state.slots}.items():
            tensors[f"{i}.{name}"] = np.ascontiguousarray(vector)
    header = {
        "plan": plan,
        "states": [
            {"step": s.step, "started": s.started, "epoch_losses": s.epoch_losses, "epoch_sum": s.epoch_sum}
            for s in states
        ],
        "records": records,
        "note": note,
    }
    text = to_json(header)
    return save(tensors, metadata={"format": FORMAT, "backlit": text, "digest": _digest(text, tensors)})


def to_json(value: Any) -> str:
    """As JSON, NumPy's numbers as Python's; TypeError or ValueError for what isn't plain."""
    return json.dumps(value, default=_plain_number)


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is no plain JSON")


class Contents(NamedTuple):
    """What is in a checkpoint: the State of the run comes first."""

    plan: dict[str, Any]
    states: list[State]
    records: list[Any]
    note: Any


def from_bytes(content: bytes) -> Contents:
    """What ``to_bytes`` was given; raises Damaged for whatever it didn't write."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        length = int.from_bytes(content[:8], "little")
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        tensors = load(content)
        if metadata["format"] != FORMAT or metadata["digest"] != _digest(metadata["backlit"], tensors):
            raise Damaged("its numbers are not those that were written")
        header = json.loads(metadata["backlit"])
        net = Network(**header["plan"]["network"])
        states = _states(header["states"], tensors, net)
        return Contents(header["plan"], states, header["records"], header.get("note"))
    except (SafetensorError, BadInput, ValueError, KeyError, TypeError, IndexError, RecursionError, OverflowError):
        raise Damaged(f"its {len(content)} bytes are cut short or altered") from None


def _states(records: Sequence[Any], tensors: Mapping[str, Any], net: Network) -> list[State]:
    states = []
    for i, record in enumerate(records):
        prefix = f"{i}."
        vectors = {name.removeprefix(prefix): v for name, v in tensors.items() if name.startswith(prefix)}
        parameters = vectors.pop("parameters")
        if any(vector.shape != (net.n_parameters,) for vector in (parameters, *vectors.values())):
            raise Damaged(f"its vectors don't have the {net.n_parameters} parameters of its network")
        states.append(
            State(net.sizes, parameters, vectors, **{**record, "epoch_losses": tuple(record["epoch_losses"])})
        )
    return states


def _digest(text: str, tensors: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        digest.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        digest.update(memoryview(tensors[name]).cast("B") if tensors[name].size else b"")
    return digest.hexdigest()
