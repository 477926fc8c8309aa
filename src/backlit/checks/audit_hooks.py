"""The hook on an audited model, and what is read of a model and a gradient just before an update. Knows no torch.

Nothing is kept here; what the readings mean is said in audit_report.py.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from .audit_losses import alike
from .audit_report import Watched

if TYPE_CHECKING:
    from torch import Tensor, nn

# How the names of layers begin that do in training what they don't do in eval mode.
ACTIVE_IN_TRAINING = ("Dropout", "AlphaDropout", "FeatureAlphaDropout", "BatchNorm", "LazyBatchNorm", "SyncBatchNorm")


class _Log(Protocol):
    def forwarded(self, module: Any, inputs: Any, output: Any) -> None: ...


class ForwardHook:
    """The hook on the model. In copies of the model, and in files of it, it does nothing."""

    def __init__(self, log: _Log) -> None:
        self._log = log

    def __call__(self, module: Any, inputs: Any, output: Any) -> None:
        self._log.forwarded(module, inputs, output)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return partial, (_nothing,)


def _nothing(module: Any, inputs: Any, output: Any) -> None:
    """What the hook is in a copy."""


def resting(model: nn.Module) -> str:
    """The kinds of layers that would do something else in training, and are in eval mode; "" for none."""
    kinds = {
        type(module).__name__
        for module in model.modules()
        if not module.training
        and type(module).__name__.startswith(ACTIVE_IN_TRAINING)
        and getattr(module, "p", True)
        and getattr(module, "track_running_stats", True)
    }
    return " and ".join(sorted(kinds))


def used_again(w: Watched, gradient: Tensor | None, used: Tensor | None) -> bool:
    """Whether the update before used this very gradient (``used``: a copy), and nothing was added to it since."""
    return (
        gradient is not None
        and used is not None
        and not gradient.is_sparse
        and w.stepped
        and not w.pending
        and w.sum_seen is not None
        and w.sum_seen() is gradient
        and gradient._version == w.version
        and alike(used, gradient)
    )
