"""The compiled module, as native/bind.cpp makes it."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

class _Core:
    def __init__(
        self,
        sizes: Sequence[int],
        activations: Sequence[str],
        loss: str,
        mean: bool,
        optimizer: dict[str, Any],
        parameters: NDArray[Any],
        slots: Sequence[NDArray[Any]],
        update: int,
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        threads: int,
    ) -> None: ...
    def advance(
        self,
        x: NDArray[Any],
        x_rows: NDArray[Any],
        data_rows: NDArray[Any],
        rates: NDArray[Any],
        squares: NDArray[Any] | None = None,
    ) -> NDArray[Any]: ...
    def parameters(self) -> NDArray[Any]: ...
    def slot(self, i: int) -> NDArray[Any]: ...
    @property
    def updates(self) -> int: ...

class Core32(_Core): ...
class Core64(_Core): ...

def forward(
    sizes: Sequence[int],
    activations: Sequence[str],
    parameters: NDArray[Any],
    x: NDArray[Any],
    out: NDArray[Any],
    threads: int,
) -> None: ...
def examples(
    sizes: Sequence[int],
    activations: Sequence[str],
    loss: str,
    parameters: NDArray[Any],
    x: NDArray[Any],
    targets: NDArray[Any],
    losses: NDArray[Any],
    squares: NDArray[Any],
) -> None: ...
def instruction_set() -> str: ...
def instruction_sets() -> list[str]: ...
def usable_cores() -> int: ...
def measured_peak(double_precision: bool) -> float: ...
def shuffle_both(items: list[Any], rows: NDArray[Any], state: Sequence[int]) -> list[int]: ...
def addresses(items: list[Any]) -> NDArray[Any]: ...
def say_on_bus_error(line: str) -> None: ...
