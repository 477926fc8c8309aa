"""``audit``: watches somebody's own PyTorch training loop by way of public hooks. The only importer of torch.

Only watching happens here: nothing that the loop computes is changed, to the bit. What the observations mean is said
in audit_report.py.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial, wraps
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, EngineUnavailable
from .audit_report import AuditReport, Group, LossCall, Watched, judged

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

MISSING = object()
DATA_CHECKS = 10  # every so many updates a parameter's numbers are compared: .data counts no version
FRAMES = 20  # callers of a loss function that make up its place in the program
ALL_LOSSES, ONE_IN = 50, 8  # after so many updates, losses over the usual number of examples: in one update of so many
LOSSES = (
    "cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "soft_margin_loss", "multi_margin_loss",
)  # fmt: skip
SAME_SHAPE = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss"}
# loss -> what its input must not have gone through already
TWICE = {"cross_entropy": "Softmax", "binary_cross_entropy_with_logits": "Sigmoid"}


def audit(model: nn.Module, optimizer: optim.Optimizer) -> Audit:
    """``with bl.audit(model, optimizer) as log:`` around a training loop; afterwards ``log.report()``.

    Says how many backward passes and examples went into each update, when each parameter changed, and names what
    was really observed to be wrong. Raises EngineUnavailable without PyTorch, BadInput for other objects.
    """
    try:
        import torch
    except ImportError:
        raise EngineUnavailable('audit: PyTorch is not installed. Do: pip install "backlit[torch]".') from None
    if not isinstance(model, torch.nn.Module) or not isinstance(optimizer, torch.optim.Optimizer):
        raise BadInput(
            "audit: a torch.nn.Module and a torch.optim.Optimizer are wanted; got "
            f"{type(model).__name__} and {type(optimizer).__name__}."
        )
    return Audit(model, optimizer)


class Audit:
    """The log of one loop. Nothing is watched before ``with`` and nothing after it."""

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer) -> None:
        self._model, self._optimizer = model, optimizer
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = list(model.named_parameters())
        self._parameters = [p for _, p in named]
        self.strangers = self._count_strangers()
        self.watched = [Watched(name, id(p) in held, p.requires_grad, p.numel()) for name, p in named]
        self.groups: Counter[Group] = Counter()
        self.updates = 0
        self.calls: list[LossCall] = []  # losses that have been differentiated since the last clearing or update
        self.sizes: list[tuple[int, int]] = []  # (examples, place) of the forward passes since then
        self.dropped: list[int] = []  # backward passes whose gradients were cleared without an update
        self.broadcasts: list[str] = []
        self.outside = 0
        # The step of Adam and its kin is the same whatever constant the loss is multiplied by.
        self.scales_with_gradient = type(optimizer).__name__ in ("SGD", "ASGD")
        self.pending_at_end = 0
        self._handles: list[Any] = []
        self._inside = self._over = False
        self._accumulated: Tensor | None = None
        self._replaced: list[tuple[Any, str, Any]] = []
        self._usual = 0  # examples of a loss
        self._zeroed = 0  # calls of zero_grad

    # --- with ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Audit:
        self._start = [p.detach().clone() for p in self._parameters]
        for w, p in zip(self.watched, self._parameters, strict=True):
            w.parameter_version = p._version
        in_use = [k for k, w in enumerate(self.watched) if w.in_optimizer and w.requires_grad]
        self._witness = min(in_use, key=lambda k: self._parameters[k].numel(), default=None)
        self._seen = self._witness_copy()
        for number, p in enumerate(self._parameters):
            if p.requires_grad:
                after = p.register_post_accumulate_grad_hook(self._after(number))  # type: ignore[no-untyped-call]
                self._handles.append(after)
        self._handles.append(self._optimizer.register_step_pre_hook(self._before_step))
        self._handles.append(self._optimizer.register_step_post_hook(self._after_step))
        self._handles.append(self._model.register_forward_hook(lambda *seen: self._forward(*seen)))
        for thing, name, listener in _listeners(self):
            self._replaced.append((thing, name, vars(thing).get(name, MISSING)))
            setattr(thing, name, listener)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for thing, name, before in self._replaced:
            if before is MISSING:
                delattr(thing, name)
            else:
                setattr(thing, name, before)
        for handle in self._handles:
            handle.remove()
        for w, p, start in zip(self.watched, self._parameters, self._start, strict=True):
            w.moved = bool((p.detach() != start).any())
        now = {id(p) for p in self._model.parameters()}
        for w, p in zip(self.watched, self._parameters, strict=True):
            w.replaced = id(p) not in now
        self.strangers = self._count_strangers()
        self.pending_at_end = max((w.pending for w in self.watched if w.in_optimizer), default=0)
        self._over = True
        del self._start

    def _count_strangers(self) -> int:
        """How many parameters the optimizer holds that are not the model's."""
        own = {id(p) for p in self._model.parameters()}
        return sum(id(p) not in own for group in self._optimizer.param_groups for p in group["params"])

    def report(self) -> AuditReport:
        """The truth of the loop, once it is over."""
        if not self._over:
            raise BadInput(
                "audit: the report is ready when the loop has ended: call log.report() after the with block."
            )
        return judged(self)

    # --- hooks -----------------------------------------------------------------------------------------------------

    def _after(self, number: int) -> Any:
        """Of one parameter, just after a gradient was added to what it had.

        What it had is told by identity and version of the sum: looking at the gradient before it is added would make
        PyTorch copy it.
        """
        w, witness = self.watched[number], number == self._witness

        def hook(p: Tensor) -> None:
            gradient = p.grad
            if gradient is None:
                return
            same = w.sum_seen is not None and w.sum_seen() is gradient
            # In place: it was changed by more than this one addition, after an update or by zero_grad.
            zeroed = gradient._version > w.version + 1 and (w.stepped or self._zeroed != w.zeroed)
            if not same or zeroed:
                if w.pending and witness and not self._inside:
                    self.dropped.append(w.pending)
                w.pending, w.carried = 0, False
                if witness:  # the loss of the backward pass under way has been noted already: it stays
                    del self.calls[:-1], self.sizes[:-1]
                if not same:
                    w.sum_seen = weakref.ref(gradient)
            elif w.stepped:
                w.carried = True
            w.pending += 1
            w.gradients += 1
            w.stepped, w.version, w.zeroed = False, gradient._version, self._zeroed
            if witness:
                self._accumulated = gradient.detach().clone() if w.pending > 1 else None

        return hook

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        for w, p in zip(self.watched, self._parameters, strict=True):
            w.frozen = not p.requires_grad
            if p._version != w.parameter_version:
                w.changed_outside += 1
                self.outside += w.in_optimizer  # the others may have an optimizer of their own
        if self._seen is not None and not self._seen.equal(self._parameters[self._witness or 0]):
            self.outside += 1
        # PyTorch passes the optimizer itself as the first of args.
        self._inside = any(a is not None for a in args[1:]) or bool(kwargs and kwargs.get("closure"))
        self._scaled = 1.0
        if self._accumulated is not None and self._witness is not None:
            now, then = self._parameters[self._witness].grad, self._accumulated
            norm = float(then.norm())
            if now is not None and norm:
                self._scaled = float(now.norm()) / norm

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        passes, carried = 0, False
        for w in self.watched:
            if w.in_optimizer and w.pending:
                passes, carried = max(passes, w.pending), carried or w.carried
        rates = tuple([float(g["lr"]) for g in optimizer.param_groups if "lr" in g])
        places = {c.place for c in self.calls} or {place for _, place in self.sizes}
        sizes = tuple([examples for examples, _ in self.sizes])
        several = len(places) > 1
        group = Group(passes, tuple(self.calls), sizes, carried, self._inside, self._scaled, rates, several)
        self.groups[group] += 1
        self.updates += 1
        for w, p in zip(self.watched, self._parameters, strict=True):
            if p._version != w.parameter_version:
                w.parameter_version = p._version
                w.changes += 1
                w.first_change = w.first_change or self.updates
                w.last_change = self.updates
            w.pending, w.stepped = 0, True
            gradient = w.sum_seen() if w.sum_seen is not None else None
            if gradient is not None:
                w.version = gradient._version
        self._seen = self._witness_copy() if self.updates < 3 or self.updates % DATA_CHECKS == 0 else None
        self._accumulated, self._inside = None, False
        self.calls.clear()
        self.sizes.clear()

    def _witness_copy(self) -> Tensor | None:
        return None if self._witness is None else self._parameters[self._witness].detach().clone()

    def _forward(self, module: Any, inputs: Any, output: Any) -> None:
        first = next((i for i in inputs if hasattr(i, "shape")), None)
        if getattr(output, "requires_grad", False) and first is not None and first.dim():
            self.sizes.append((int(first.shape[0]), _place()))

    # --- what is called --------------------------------------------------------------------------------------------

    def saw_loss(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], loss: Any) -> None:
        """A loss function was called; if it is differentiated, the hook notes with what factor."""
        if not getattr(loss, "requires_grad", False) or not args:
            return
        given = args[0]
        target = args[1] if len(args) > 1 else kwargs.get("target")
        if name in SAME_SHAPE and target is not None and target.shape != given.shape:
            self.broadcasts.append(f"{name} of {tuple(given.shape)} with targets {tuple(target.shape)}")
        examples = int(given.shape[0]) if given.dim() else 1
        if self.updates > ALL_LOSSES and self.updates % ONE_IN and examples == self._usual:
            return
        self._usual = examples
        made_by = given.grad_fn.name() if given.grad_fn is not None else ""
        twice = name in TWICE and made_by.startswith(TWICE[name])
        unnormalised = name == "nll_loss" and made_by.startswith("Softmax")
        reduction = str(kwargs.get("reduction", "mean"))
        place = _place()

        def differentiated(gradient: Tensor) -> None:
            if gradient.numel() == 1:
                activation = made_by if twice or unnormalised else ""
                call = LossCall(name, reduction, examples, float(gradient), activation, place)
                self.calls.append(call)

        loss.register_hook(differentiated)

    def saw_zeroing(self, args: Any, kwargs: Any, result: Any) -> None:
        """zero_grad was called."""
        self._zeroed += 1

    def saw_difference(self, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """Two tensors were subtracted: (N, 1) and (N,) give (N, N)."""
        if not getattr(result, "requires_grad", False) or result.dim() != 2:
            return
        shapes = sorted((tuple(getattr(t, "shape", ())) for t in args), key=len)
        if len(shapes[0]) == 1 and len(shapes[1]) == 2:
            n = shapes[0][0]
            if n > 1 and shapes[1] == (n, 1):
                self.broadcasts.append(f"a difference of {shapes[1]} and {shapes[0]}")


def _place() -> int:
    """Where the program is: the same for every turn of a loop, another for every other call in the source.

    The callers count too, because a loss is often called by a function of the user's own.
    """
    frame, steps = sys._getframe(1), list[tuple[int, int]]()
    while frame is not None and len(steps) < FRAMES:
        steps.append((id(frame.f_code), frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return hash(tuple(steps))


def _listeners(log: Audit) -> Iterator[tuple[Any, str, Any]]:
    """(object, attribute, what stands there while the loop is watched): each calls what stood there before."""
    import torch

    functional = torch.nn.functional
    for name in LOSSES:
        yield functional, name, _heard(getattr(functional, name), partial(log.saw_loss, name))
    for name in ("__sub__", "__rsub__"):
        yield torch.Tensor, name, _heard(getattr(torch.Tensor, name), log.saw_difference)
    for kind in (
        torch.nn.Module,
        torch.optim.Optimizer,
    ):  # not of the instances: copies of them would call the originals
        yield kind, "zero_grad", _heard(kind.zero_grad, log.saw_zeroing)


def _heard(function: Callable[..., Any], listener: Callable[..., None]) -> Callable[..., Any]:
    @wraps(function)
    def heard(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        listener(args, kwargs, result)
        return result

    return heard
