"""``audit``: watches somebody's own PyTorch training loop by way of public hooks. The only importer of torch.

Only watching happens here: nothing that the loop computes is changed, to the bit. What is noted of a loss is said in
audit_losses.py, what the observations mean in audit_report.py.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, EngineUnavailable
from .audit_hooks import ForwardHook, resting, used_again
from .audit_losses import LOSSES, SeenLoss, alike, column_and_row, cut_from_one, every_with_every, place, seen_loss
from .audit_report import AuditReport, Group, LossCall, Watched, judged
from .overhearing import overhear, put_back

if TYPE_CHECKING:
    from torch import Tensor, nn, optim

SAME_SHAPE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss")
IN_FULL, ONE_IN = 20, 20  # so many updates are looked at in full, then one in so many


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
    """The log of one loop. Nothing is watched before ``with`` and nothing after it.

    The first updates are looked at in full, and later one in so many. Between those only the passes, the clearing and
    the rates are noted, and losses over an unusual number of examples; the changes are counted afterwards.
    """

    def __init__(self, model: nn.Module, optimizer: optim.Optimizer) -> None:
        import torch

        self._model, self._optimizer = model, optimizer
        self._tensor, self._is_compiling = torch.Tensor, torch.compiler.is_compiling
        held = {id(p): group for group in optimizer.param_groups for p in group["params"]}
        named = list(model.named_parameters())
        self._parameters = [p for _, p in named]
        self.strangers = self._count_strangers()
        self.watched = [Watched(name, id(p) in held, p.requires_grad, p.numel()) for name, p in named]
        # Fused steps change parameters without counting a version.
        self._fused = [bool(held.get(id(p), {}).get("fused")) for p in self._parameters]
        self._pairs = list(zip(self.watched, self._parameters, self._fused, strict=True))
        self.groups: Counter[Group] = Counter()
        self.updates = 0
        self._losses: list[SeenLoss] = []  # that have been differentiated since the last clearing or update
        self._inputs: list[tuple[int, int, float]] = []  # (examples, place, sum) of the forward passes since then
        self.dropped: list[int] = []  # backward passes whose gradients were cleared without an update
        self.broadcasts: list[str] = []
        self.outside = 0
        # The step of Adam and its kin is the same whatever constant the loss is multiplied by.
        self.scales_with_gradient = type(optimizer).__name__ in ("SGD", "ASGD")
        self.pending_at_end = 0
        self._handles: dict[object, Any] = {}
        self._looking: list[Any] = []  # hooks for the updates that are looked at in full
        self._in_full = True
        self._lightly: tuple[tuple[int, bool, tuple[float, ...]], int] = ((0, False, ()), 0)  # (what was noted, times)
        self._counted = 0  # the update up to which the changes are counted
        self._inside = self._over = False
        self._accumulated: Tensor | None = None
        self._replaced: list[tuple[Any, str, Any]] = []
        self._usual = 0  # examples of a loss
        self._with_closure = False
        self._passes = 2  # of the last update; where there are several, it is found out whether they belong together
        self._kept: list[Watched] = []  # whose gradients are watched in every update
        self._scaled = 1.0
        self._loss_scale = 1.0  # what a GradScaler multiplies the loss by
        self.scaler_steps = 0  # calls of GradScaler.step, which skips the update where gradients aren't finite
        self._zeroed = 0  # calls of zero_grad
        self.resting: Counter[str] = Counter()  # layers that rested in eval mode: in so many updates
        self._modes = set[bool]()  # in which the forward passes with gradient since the last update were: in training?
        self._used: Tensor | None = None  # the witness's gradient at the update before
        self._again = False

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
                self._handles[number] = after
        self._handles["after"] = self._optimizer.register_step_post_hook(self._after_step)
        self._look(in_full=True)
        self._replaced = [overhear(thing, name, listener) for thing, name, listener in _listeners(self)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        put_back(self._replaced)
        self._count_changes()
        self._note_lightly((0, False, ()))
        for handle in self._looking:
            handle.remove()
        for handle in self._handles.values():
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

    def _look(self, in_full: bool) -> None:
        """Begins or ends to look in full: a hook costs even where it does nothing."""
        if in_full and not self._looking:
            self._looking = [
                self._model.register_forward_hook(ForwardHook(self)),
                self._optimizer.register_step_pre_hook(self._before_step),
            ]
        elif not in_full:
            for handle in self._looking:
                handle.remove()
            self._looking = []
        self._in_full = in_full

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
        w = self.watched[number]

        def hook(p: Tensor) -> None:
            gradient, witness = p.grad, number == self._witness
            if gradient is None:
                return
            version = gradient._version
            same = w.sum_seen is not None and w.sum_seen() is gradient
            # In place: it was changed by more than this one addition, after an update or by zero_grad.
            zeroed = version > w.version + 1 and (w.stepped or self._zeroed != w.zeroed)
            if not same or zeroed:
                if w.pending and witness and not self._inside:
                    self.dropped.append(w.pending)
                w.pending, w.carried = 0, False
                if witness:  # the loss of the backward pass under way has been noted already: it stays
                    del self._losses[:-1], self._inputs[:-1]
                if not same:
                    w.sum_seen = weakref.ref(gradient)
            elif w.stepped:
                w.carried = True
            w.pending += 1
            w.gradients += 1
            w.stepped, w.version, w.zeroed = False, version, self._zeroed
            if witness:
                self._accumulated = gradient.detach().clone() if w.pending > 1 else None

        return hook

    def _before_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        """Of an update that is looked at in full. The witness's numbers are compared: .data counts no version."""
        changed = [w for w, p, _ in self._pairs if p._version != w.parameter_version]
        seen, witness = self._seen, self._witness
        # What was changed and put back, as averages of the weights are for an evaluation, is as it was.
        same = seen is not None and witness is not None and alike(seen, self._parameters[witness])
        if changed and not (same and self.watched[witness or 0] in changed):
            for w in changed:
                w.changed_outside += 1
                self.outside += w.in_optimizer  # the others may have an optimizer of their own
        if seen is not None and not same:
            self.outside += 1
        for w, p, _ in self._pairs:
            w.frozen = not p.requires_grad
            w.parameter_version = p._version
        # PyTorch passes the optimizer itself as the first of args.
        self._inside = any(a is not None for a in args[1:]) or bool(kwargs and kwargs.get("closure"))
        if witness is not None and not self._inside:
            self._again = used_again(self.watched[witness], self._parameters[witness].grad, self._used)
        self._scaled = 1.0
        if self._accumulated is not None and witness is not None:
            now, then = self._parameters[witness].grad, self._accumulated
            norm = float(then.norm())
            if now is not None and norm:
                self._scaled = float(now.norm()) / norm * self._loss_scale

    def _after_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        number = self.updates = self.updates + 1
        # Here, as a closure makes its passes in the update. Beside one in training others may be looks at the score.
        if self._modes == {False} and not self._model.training and (layers := resting(self._model)):
            self.resting[layers] += 1
        self._modes.clear()
        rates = tuple([float(g["lr"]) for g in optimizer.param_groups if "lr" in g])
        if self._in_full:
            passes = max([w.pending for w in self.watched if w.in_optimizer], default=0)
            carried = any(w.carried for w in self.watched if w.in_optimizer and w.pending)
            stepped = self.watched
            self._count_changes()
        else:
            stepped = self._kept
            passes = max([w.pending for w in stepped], default=0)
            carried = any(w.carried for w in stepped)
        for w in stepped:
            w.pending, w.stepped = 0, True
            gradient = w.sum_seen() if w.sum_seen is not None else None
            if gradient is not None:
                w.version = gradient._version
        if self._in_full or self._losses:
            self._note_group(passes, carried, rates)
        else:
            self._note_lightly((passes, carried, rates))
        if number == IN_FULL:
            self._keep_one_hook()
        # Losses of micro-batches are looked at in every update: their sizes and factors must be known together.
        in_full = number < IN_FULL or number % ONE_IN == 0 or passes > 1 or self._with_closure
        if in_full and not self._in_full:
            self._count_changes()
        if in_full != self._in_full:
            self._look(in_full)
        self._seen = self._witness_copy() if in_full else None
        used = self._parameters[self._witness].grad if in_full and self._witness is not None else None
        self._used = None if used is None else used.detach().clone()

    def _count_changes(self) -> None:
        """Of each parameter since it was last done, by the versions: an update counts one, or some fixed number."""
        updates = self.updates - self._counted
        if not updates:
            return
        each = max([w.version_steps for w in self.watched], default=0) or 1
        for w, p, fused in self._pairs:
            version = p._version
            grown = version - w.parameter_version
            if self._in_full:  # what went before the update has been taken off
                w.version_steps = grown
                changes = int(grown > 0)
            else:
                changes = min(updates, grown // each)
                w.changed_unseen += max(grown - updates * each, 0) > 0
            if fused and p.grad is not None:
                changes = updates
            if changes:
                w.changes += changes
                w.first_change = w.first_change or self.updates - changes + 1
                w.last_change = self.updates
            w.parameter_version = version
        self._counted = self.updates

    def _note_lightly(self, noted: tuple[int, bool, tuple[float, ...]]) -> None:
        """Counts updates that were not looked at in full, as long as they are the same."""
        before, times = self._lightly
        if noted == before:
            self._lightly = before, times + 1
            return
        if times:
            passes, carried, rates = before
            self.groups[Group(passes, (), (), carried, False, 1.0, rates)] += times
        self._lightly = noted, 1

    def _note_group(self, passes: int, carried: bool, rates: tuple[float, ...]) -> None:
        losses, inputs = self._losses, self._inputs
        calls = tuple([LossCall(c.name, c.reduction, c.examples, c.factor, c.made_by) for c in losses])
        sizes, several = tuple([examples for examples, _, _ in inputs]), False
        if passes > 1 and self._passes == 1:  # nothing is known of their places, so nothing is said of them
            calls, sizes = (), ()
        elif passes > 1 and inputs:
            same_data = len(inputs) >= passes and len({(examples, total) for examples, _, total in inputs}) == 1
            several = same_data or len({c.place for c in losses} or {where for _, where, _ in inputs}) > 1
            several = several and not cut_from_one(losses)
        group = Group(passes, calls, sizes, carried, self._inside, self._scaled, rates, several, self._again)
        self.groups[group] += 1
        self._again = False
        self._with_closure |= self._inside
        self._passes = 2 if self.updates < 3 else passes
        self._accumulated, self._inside = None, False
        losses.clear()
        inputs.clear()

    def _keep_one_hook(self) -> None:
        """Of the parameters that had gradients only one goes on being watched, one that every pass has reached."""
        reached = [k for k in self._handles if isinstance(k, int) and self.watched[k].gradients]
        held = [k for k in reached if self.watched[k].in_optimizer]
        most = max((self.watched[k].gradients for k in held), default=0)
        if self._witness is None or self.watched[self._witness].gradients < most:
            self._witness = next((k for k in held if self.watched[k].gradients == most), self._witness)
        for k in reached:
            if k != self._witness:
                self._handles.pop(k).remove()
                self.watched[k].sum_seen = None
                self.watched[k].carried = False
        self._kept = [self.watched[k] for k in self._handles if isinstance(k, int) and self.watched[k].in_optimizer]

    def _witness_copy(self) -> Tensor | None:
        return None if self._witness is None else self._parameters[self._witness].detach().clone()

    def forwarded(self, module: Any, inputs: Any, output: Any) -> None:
        """The model was called."""
        # While it is being compiled the call is only read, not made.
        if self._is_compiling() or not getattr(output, "requires_grad", False):
            return
        self._modes.add(module.training)
        first = next((i for i in inputs if hasattr(i, "shape")), None)
        if first is not None and first.dim():
            # The sum tells whether two passes saw the same examples: then they are of two losses.
            total = float(first.detach().sum()) if self._passes > 1 else 0.0
            self._inputs.append((int(first.shape[0]), place() if self._passes > 1 else 0, total))

    # --- what is called --------------------------------------------------------------------------------------------

    def saw_loss(self, name: str, at: int, args: tuple[Any, ...], kwargs: dict[str, Any], loss: Any) -> None:
        """A loss function was called; if it is differentiated, the hook notes with what factor."""
        if type(loss) is not self._tensor or not loss.requires_grad:  # a tensor of another type: it is being compiled
            return
        given, target = args[0], args[1]
        if name in SAME_SHAPE and (spread := every_with_every(given)):
            self.broadcasts.append(f"{name} over {spread}")
        examples = int(given.shape[0]) if given.dim() else 1
        if not self._in_full and examples == self._usual:
            return
        self._usual = examples
        reduction = args[at] if len(args) > at else kwargs.get("reduction", 1)
        seen = seen_loss(name, given, target, reduction, examples, self._in_full and self._passes > 1)

        def differentiated(gradient: Tensor) -> None:
            noted = seen.with_gradient(gradient, self._loss_scale)
            if noted is not None:
                self._losses.append(noted)

        loss.register_hook(differentiated)  # type: ignore[no-untyped-call]

    def saw_scaling(self, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """GradScaler.scale was called."""
        self._loss_scale = float(args[0].get_scale())

    def saw_scaler_step(self, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """GradScaler.step was called."""
        self.scaler_steps += any(given is self._optimizer for given in (*args[1:], *kwargs.values()))

    def saw_zeroing(self, args: Any, kwargs: Any, result: Any) -> None:
        """zero_grad was called."""
        self._zeroed += 1

    def saw_difference(self, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
        """Two tensors were subtracted: (N, 1) and (N,) give (N, N)."""
        if getattr(result, "requires_grad", False) and result.dim() == 2 and (spread := column_and_row(args)):
            self.broadcasts.append(f"a difference of {spread}")


def _listeners(log: Audit) -> Iterator[tuple[Any, str, Callable[..., None]]]:
    """(object, attribute, what is to hear of its calls)."""
    import torch

    for (module, name, at), known_as in LOSSES.items():
        if hasattr(sys.modules.get(module), name):
            yield sys.modules[module], name, partial(log.saw_loss, known_as, at)
    for name in ("__sub__", "__rsub__", "sub"):
        yield torch.Tensor, name, log.saw_difference
    yield torch, "sub", log.saw_difference
    # Of the classes, not the instances: copies of them would call the originals.
    yield torch.nn.Module, "zero_grad", log.saw_zeroing
    yield torch.optim.Optimizer, "zero_grad", log.saw_zeroing
    yield torch.amp.GradScaler, "scale", log.saw_scaling
    yield torch.amp.GradScaler, "step", log.saw_scaler_step
