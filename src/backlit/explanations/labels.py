"""Labels: what the inputs and outputs of a network are called where its data names them. Texts only, no number."""

from __future__ import annotations

from typing import NamedTuple

from ..data import Dataset
from ..data.wording import printable
from ..network import Network


class Labels(NamedTuple):
    """The names of the columns of x and of the outputs; None where there are none."""

    layers: int  # with weights
    columns: tuple[str, ...] | None = None
    outputs: tuple[str, ...] | None = None

    @classmethod
    def of(cls, net: Network, data: object) -> Labels:
        """The names in a Dataset, if that is what ``data`` is."""
        if not isinstance(data, Dataset):
            return cls(len(net.sizes) - 1)
        return cls(len(net.sizes) - 1, data.columns, _outputs(net, data))

    def name(self, layer: int, unit: int) -> str | None:
        """What unit ``unit`` (from 0) of a layer is called; layer 0 is the inputs. None if it has no name."""
        names = self.columns if layer == 0 else self.outputs if layer == self.layers else None
        return None if names is None else printable(names[unit])

    def unit(self, layer: int, unit: int) -> str:
        """Its name, or ``input 1``, ``unit 1``, ``output 1``."""
        return self.name(layer, unit) or self.counted(layer, unit)

    def counted(self, layer: int, unit: int) -> str:
        """``input 1``, ``unit 1`` or ``output 1``, as people count."""
        kind = "input" if layer == 0 else "output" if layer == self.layers else "unit"
        return f"{kind} {unit + 1}"

    def both(self, layer: int, unit: int) -> str:
        """``input 3 “petal length”``; without a name ``input 3``."""
        name = self.name(layer, unit)
        return self.counted(layer, unit) + (f" “{name}”" if name else "")


def _outputs(net: Network, data: Dataset) -> tuple[str, ...] | None:
    """What the outputs are called: the classes, if there is one for each; or the one column to predict."""
    if data.classes is None:
        return (data.target,) if data.target and net.sizes[-1] == 1 else None
    names = tuple(name if isinstance(name, str) else f"class {name}" for name in data.classes)
    return names if len(names) == net.sizes[-1] else names[1:] if net.sizes[-1] == 1 and len(names) == 2 else None
