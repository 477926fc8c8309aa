"""What is noted of an audited loop: what a loss and a parameter were. Changes nothing."""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

ROUNDING = 1e-6  # of the largest number of a parameter: float32 leaves a tenth of it behind
FRAMES = 20  # callers of a loss function that make up its place in the program
# What the functions of torch.nn.functional call, by whatever name those were taken: (module, name, position of the
# reduction) -> the name they have there. What a version of PyTorch hasn't isn't observed.
LOSSES = {
    ("torch._C._nn", "cross_entropy_loss", 3): "cross_entropy",
    ("torch._C._nn", "nll_loss_nd", 3): "nll_loss",
    ("torch._C._nn", "mse_loss", 2): "mse_loss",
    ("torch._C._nn", "l1_loss", 2): "l1_loss",
    ("torch._C._nn", "smooth_l1_loss", 2): "smooth_l1_loss",
    ("torch._C._nn", "huber_loss", 2): "huber_loss",
    ("torch._C._nn", "binary_cross_entropy", 3): "binary_cross_entropy",
    ("torch", "binary_cross_entropy_with_logits", 4): "binary_cross_entropy_with_logits",
    ("torch", "kl_div", 2): "kl_div",
    ("torch", "poisson_nll_loss", 5): "poisson_nll_loss",
    ("torch._C._nn", "soft_margin_loss", 2): "soft_margin_loss",
}
REDUCTIONS = ("none", "mean", "sum")
# loss -> the operations, the last first, that its input must not have gone through, and what that is called
TWICE: dict[str, dict[tuple[str, ...], str]] = {
    "cross_entropy": {("Softmax",): "softmax"},
    "nll_loss": {("Softmax",): "softmax", ("LogSoftmax", "Softmax"): "softmax before log_softmax"},
    "binary_cross_entropy_with_logits": {("Sigmoid",): "sigmoid"},
    "binary_cross_entropy": {("Sigmoid", "Sigmoid"): "sigmoid twice"},
}
# What changes the shape or the precision of numbers, and not the numbers.
SHAPES = (
    "View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Select", "Slice", "T", "Transpose", "Permute", "Expand",
    "ToCopy", "Clone", "Alias",
)  # fmt: skip


class SeenLoss(NamedTuple):
    """A call of a loss function, and by what factor it went into what ``backward`` was called on.

    made_by:  the activation that its input had gone through and shouldn't have, or "".
    place:    where in the program it was called: the turns of a loop have the same.
    part:     the memory of its targets: (storage, from, to).
    """

    name: str
    reduction: str
    examples: int
    made_by: str
    place: int
    part: tuple[int, int, int]
    factor: float = 0.0

    def with_gradient(self, gradient: Tensor, loss_scale: float) -> SeenLoss | None:
        """The loss as it was differentiated; None where single examples have weights of their own."""
        if gradient.numel() == 1:
            return self._replace(factor=float(gradient) / loss_scale)
        if self.reduction != "none":
            return None
        first = gradient.reshape(-1)[0]
        if not bool((gradient == first).all()):
            return None
        each = float(first) / loss_scale
        total = each * gradient.numel()
        # The user's own mean gives every entry 1/count, or 1/(k·count) with the division of an accumulation.
        if total < 1.5:
            return self._replace(reduction="mean", factor=total)
        return self._replace(reduction="sum", factor=each)


def seen_loss(name: str, given: Tensor, target: Tensor, reduction: int, examples: int, placed: bool) -> SeenLoss:
    """What is to be noted of a call; if it is to be placed, its place and its targets, too."""
    made_by = _made_by(given, TWICE[name]) if name in TWICE else ""
    kind = REDUCTIONS[reduction] if reduction in (0, 1, 2) else "unknown"
    if not placed or not target.numel():
        return SeenLoss(name, kind, examples, made_by, 0, (0, 0, 0))
    where, first = place(), target.detach().reshape(-1)[0]
    if examples > 1 and bool((target == first).all()):  # "real" or "fake": the losses of a discriminator
        where = hash((where, float(first)))
    return SeenLoss(name, kind, examples, made_by, where, _memory(target))


def every_with_every(given: Tensor) -> str:
    """The shape (N, N) to which a loss has spread outputs (N, 1) or (N,), because the targets had the other; or ""."""
    if given.dim() != 2 or given.shape[0] != given.shape[1] or given.shape[0] < 2 or 0 not in given.stride():
        return ""
    return str(tuple(given.shape))


def column_and_row(terms: tuple[Any, ...]) -> str:
    """The shapes (N, 1) and (N,) of the two terms of a difference (N, N), if they have these; or ""."""
    row, column = sorted([tuple(getattr(t, "shape", ())) for t in terms], key=len)
    return f"{column} and {row}" if len(row) == 1 and row[0] > 1 and column == (row[0], 1) else ""


def _made_by(given: Tensor, wrong: dict[tuple[str, ...], str]) -> str:
    """Which of the wrong operations gave these numbers, whatever their shape is now; "" for none."""
    node, went_through = given.grad_fn, list[str]()
    while node is not None and len(went_through) < 2:
        name = node.name().partition("Backward")[0]
        if name not in SHAPES:
            went_through.append(name)
            if tuple(went_through) in wrong:
                return wrong[tuple(went_through)]
        node = node.next_functions[0][0] if node.next_functions else None
    return ""


def _memory(target: Tensor) -> tuple[int, int, int]:
    start = int(target.storage_offset())
    end = start + sum(int(size - 1) * int(step) for size, step in zip(target.shape, target.stride(), strict=True)) + 1
    return target.untyped_storage().data_ptr(), start, end


def alike(before: Tensor, now: Tensor) -> bool:
    """Whether a parameter is what it was, or as near as (w + e) − e comes to w: a loop may look at a point nearby."""
    return before.equal(now) or bool((now.detach() - before).abs().max() <= ROUNDING * before.abs().max())


def cut_from_one(losses: list[SeenLoss]) -> bool:
    """Whether the targets of all losses are parts of one tensor that don't overlap: then they are of one batch."""
    parts = sorted(c.part for c in losses)
    if len(parts) < 2 or len({memory for memory, _, _ in parts}) > 1 or len({c.name for c in losses}) > 1:
        return False
    return all(end <= start for (_, _, end), (_, start, _) in pairwise(parts))


def place() -> int:
    """Where the program is: the same for every turn of a loop, another for every other call in the source.

    The callers count too, because a loss is often called by a function of the user's own.
    """
    frame, steps = sys._getframe(1), list[tuple[int, int]]()
    while frame is not None and len(steps) < FRAMES:
        steps.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return hash(tuple(steps))
