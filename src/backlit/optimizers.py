"""How a gradient becomes an update: optimizers and learning-rate schedules, as frozen records.

Records only, so that they can be compared, printed and saved. What they do to the parameters is written in
chain.py (``update``). No array and no NumPy here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from typing import Any, ClassVar

from .errors import BadInput

Rate = float | Callable[[int, Sequence[float]], float]
L2_OVER = ("update", "batch")
EPSILON_WITH = ("corrected", "raw")


def rate_at(rate: Rate, step: int, epoch_losses: Sequence[float] = ()) -> float:
    """The learning rate of update number ``step`` (from 0), given the mean losses of the finished epochs."""
    if not callable(rate):
        return rate
    try:
        value = float(rate(step, epoch_losses))
    except OverflowError:
        value = math.inf
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"rate: a function (step, losses of the finished epochs) -> number was wanted; {rate!r:.60}: {error}."
        ) from None
    if not 0 <= value < math.inf:
        raise BadInput(f"rate: {rate!r} gave {value} at step {step}; a finite rate of at least 0 is wanted.")
    return value


def next_rates(rate: Rate, step: int, count: int, epoch_losses: Sequence[float] = ()) -> float | list[float]:
    """The learning rates of ``count`` updates from number ``step`` on, within one epoch; one number where it stays."""
    if not callable(rate):
        return rate
    return [rate_at(rate, step + j, epoch_losses) for j in range(count)]


# --- what a field may hold: each check returns the value as it is kept ------------------------------------


def _number(where: str, value: Any, wanted: str, fits: Callable[[float], bool]) -> float:
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:
        number = math.inf
    if math.isfinite(number) and fits(number):
        return number
    raise BadInput(f"{where} must be {wanted}; got {value!r:.60}.")


def _rate(where: str, value: Any) -> Rate:
    wanted = "a finite number of at least 0, or a schedule such as bl.Cosine(0.1, steps=1000)"
    return value if callable(value) else _number(where, value, wanted, lambda v: v >= 0)


def _at_least_zero(where: str, value: Any) -> float:
    return _number(where, value, "a finite number of at least 0", lambda v: v >= 0)


def _positive(where: str, value: Any) -> float:
    return _number(where, value, "a finite number above 0", lambda v: v > 0)


def _share(where: str, value: Any) -> float:
    return _number(where, value, "a number from 0 to 1", lambda v: 0 <= v <= 1)


def _below_one(where: str, value: Any) -> float:
    return _number(where, value, "a number of at least 0 and below 1", lambda v: 0 <= v < 1)


def _count(where: str, value: Any) -> int:
    if isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    raise BadInput(f"{where} must be a whole number of at least 1; got {value!r}.")


def _l2_over(where: str, value: Any) -> str:
    if value in L2_OVER:
        return str(value)
    raise BadInput(f"{where} must be one of {', '.join(L2_OVER)}; got {value!r}.")


def _epsilon_with(where: str, value: Any) -> str:
    if value in EPSILON_WITH:
        return str(value)
    raise BadInput(f"{where} must be one of {', '.join(EPSILON_WITH)}; got {value!r}.")


def _flag(where: str, value: Any) -> bool:
    if value in (True, False):
        return bool(value)
    raise BadInput(f"{where} must be True or False; got {value!r}.")


def _checked(check: Callable[[str, Any], Any], **default: Any) -> Any:
    return field(metadata={"check": check}, **default)


class _Record:
    """Checks every field when the record is made."""

    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            checked = f.metadata["check"](f"{type(self).__name__}: {f.name}", getattr(self, f.name))
            object.__setattr__(self, f.name, checked)


# --- optimizers -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SGD(_Record):
    """Gradient descent, with momentum if wanted. g is the reduced gradient, with L2 if wanted, η the rate.

    v ← momentum·v − η·g;  update = v, or momentum·v − η·g with the new v if ``nesterov``.

    l2:       adds l2·W to the gradient of the weights (not of the biases).
    l2_over:  "update" adds it as it is; "batch" divides it by the batch's Σ sᵢ (scikit-learn's alpha).

    The momentum is the form of Sutskever et al., "On the importance of initialization and momentum in deep
    learning" (2013), also scikit-learn's: the rate is inside the velocity.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    rate: Rate = _checked(_rate)
    momentum: float = _checked(_share, default=0.0)
    nesterov: bool = _checked(_flag, default=False)
    l2: float = _checked(_at_least_zero, default=0.0)
    l2_over: str = _checked(_l2_over, default="update")


@dataclass(frozen=True)
class Adam(_Record):
    """Adam, Kingma and Ba (2015), algorithm 1: t counts the updates from 1.

    m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  update = −η·m̂/(√v̂ + ε), m̂ = m/(1−β₁ᵗ), v̂ = v/(1−β₂ᵗ).

    ``l2`` and ``l2_over`` as for SGD: they change g before the moments are taken.
    epsilon_with:  "corrected" is the above; "raw" adds ε to √v instead, −η·√(1−β₂ᵗ)/(1−β₁ᵗ)·m/(√v + ε): the shorter
                   form at the end of the paper's section 2, and scikit-learn's.
    """

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")

    rate: Rate = _checked(_rate, default=1e-3)
    beta1: float = _checked(_below_one, default=0.9)
    beta2: float = _checked(_below_one, default=0.999)
    epsilon: float = _checked(_positive, default=1e-8)
    l2: float = _checked(_at_least_zero, default=0.0)
    l2_over: str = _checked(_l2_over, default="update")
    epsilon_with: str = _checked(_epsilon_with, default="corrected")


@dataclass(frozen=True)
class AdamW(_Record):
    """Adam with decoupled weight decay, Loshchilov and Hutter (2019): Adam's update and −η·weight_decay·W.

    The decay acts on the weights only, never on the biases.
    """

    slots: ClassVar[tuple[str, ...]] = ("first_moment", "second_moment")

    rate: Rate = _checked(_rate, default=1e-3)
    beta1: float = _checked(_below_one, default=0.9)
    beta2: float = _checked(_below_one, default=0.999)
    epsilon: float = _checked(_positive, default=1e-8)
    weight_decay: float = _checked(_at_least_zero, default=0.01)


Optimizer = SGD | Adam | AdamW


def check_optimizer(where: str, optimizer: object) -> None:
    """BadInput for anything that is no optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise BadInput(f"{where}: opt must be an optimizer, such as bl.SGD(0.1) or bl.Adam(); got {optimizer!r:.60}.")


def slots_of(optimizer: Optimizer) -> tuple[str, ...]:
    """Names of the vectors that this optimizer carries from step to step."""
    if isinstance(optimizer, SGD) and not optimizer.momentum:
        return ()
    return optimizer.slots


# --- schedules: called with (step, mean losses of the finished epochs) ------------------------------------


@dataclass(frozen=True)
class StepDecay(_Record):
    """``rate`` times ``factor`` once more after every ``every`` updates.

    >>> schedule = bl.StepDecay(8.0, every=100, factor=0.5)
    >>> schedule(0), schedule(99), schedule(250)
    (8.0, 8.0, 2.0)
    """

    rate: float = _checked(_positive)
    every: int = _checked(_count)
    factor: float = _checked(_positive, default=0.1)


    def __call__(self, step: int, epoch_losses: Sequence[float] = ()) -> float:
        return self.rate * self.factor ** (step // self.every)


@dataclass(frozen=True)
class Exponential(_Record):
    """``rate``·``factor``^(step/``every``): a smooth decay by ``factor`` over every ``every`` updates."""

    rate: float = _checked(_positive)
    factor: float = _checked(_positive)
    every: int = _checked(_count, default=1)


    def __call__(self, step: int, epoch_losses: Sequence[float] = ()) -> float:
        return self.rate * self.factor ** (step / self.every)


@dataclass(frozen=True)
class Cosine(_Record):
    """From ``rate`` down to ``final`` along half a cosine over ``steps`` updates, ``final`` afterwards.

    >>> schedule = bl.Cosine(0.5, steps=100)
    >>> schedule(0), round(schedule(50), 3), schedule(100)
    (0.5, 0.25, 0.0)
    """

    rate: float = _checked(_positive)
    steps: int = _checked(_count)
    final: float = _checked(_at_least_zero, default=0.0)


    def __call__(self, step: int, epoch_losses: Sequence[float] = ()) -> float:
        return _cosine(self.rate, self.final, step / self.steps)


@dataclass(frozen=True)
class OneCycle(_Record):
    """Up to ``peak`` and down again, both along half a cosine, over ``steps`` updates (Smith, 2018).

    It starts at ``peak``/``start_divisor``, reaches ``peak`` after the share ``rise`` of the steps, and ends at
    the start divided by ``final_divisor``, where it stays.
    """

    peak: float = _checked(_positive)
    steps: int = _checked(_count)
    rise: float = _checked(_below_one, default=0.3)
    start_divisor: float = _checked(_positive, default=25.0)
    final_divisor: float = _checked(_positive, default=1e4)


    def __call__(self, step: int, epoch_losses: Sequence[float] = ()) -> float:
        start = self.peak / self.start_divisor
        top = self.rise * self.steps
        if step < top:
            return _cosine(start, self.peak, step / top)
        return _cosine(self.peak, start / self.final_divisor, (step - top) / (self.steps - top))


@dataclass(frozen=True)
class WarmUp(_Record):
    """Rises in a straight line over the first ``steps`` updates, then follows ``rate`` from its beginning.

    rate: a number, or another schedule, which sees its own step 0 when the warm-up is over.
    """

    rate: Rate = _checked(_rate)
    steps: int = _checked(_count)


    def __call__(self, step: int, epoch_losses: Sequence[float] = ()) -> float:
        if step < self.steps:
            return rate_at(self.rate, 0, epoch_losses) * (step + 1) / self.steps
        return rate_at(self.rate, step - self.steps, epoch_losses)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))


# --- records for files --------------------------------------------------------------------------------------

RECORDS: dict[str, Any] = {
    kind.__name__: kind for kind in (SGD, Adam, AdamW, StepDecay, Exponential, Cosine, OneCycle, WarmUp)
}


def to_record(value: Any) -> dict[str, Any]:
    """An optimizer or schedule as plain JSON: its kind and its fields. A schedule of your own has no record."""
    kind: str = type(value).__name__
    if RECORDS.get(kind) is not type(value):
        raise BadInput(
            f"saving: only the schedules of backlit can be written to a file, got {value!r}. "
            "Save with an optimizer whose rate is a number."
        )
    record = {"kind": kind, **{f.name: getattr(value, f.name) for f in fields(value)}}
    return {name: to_record(entry) if callable(entry) else entry for name, entry in record.items()}


def from_record(record: Any) -> Any:
    """The optimizer or schedule of a record; BadInput for anything that to_record doesn't write."""
    kind: Any = RECORDS.get(str(record.get("kind"))) if isinstance(record, dict) else None
    if kind is None:
        raise BadInput(f"optimizer record: a kind among {', '.join(RECORDS)} was wanted, got {record!r:.200}.")
    given = {name: value for name, value in record.items() if name != "kind"}
    if set(given) != {f.name for f in fields(kind)}:
        raise BadInput(f"optimizer record: {kind.__name__} has other fields than {sorted(given)!r:.200}.")
    if isinstance(given.get("rate"), dict):
        given["rate"] = from_record(given["rate"])
    return kind(**given)
