"""What the observations of an audited loop mean: facts, and findings for what was really seen. Knows no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from rich.console import RenderableType

MEAN_SCALED = 0.3  # rate · examples of a summed loss from which on the rate looks as if it were made for the mean


@dataclass(slots=True)
class Watched:
    """One parameter: what it is, and what happened to it."""

    name: str
    in_optimizer: bool
    requires_grad: bool
    size: int
    pending: int = 0  # gradients added since they were cleared or used
    gradients: int = 0
    changes: int = 0
    first_change: int = 0  # updates, from 1
    last_change: int = 0
    changed_outside: int = 0
    carried: bool = False  # a gradient was added to one that an update had already used
    stepped: bool = False
    version: int = -1
    zeroed: int = 0
    parameter_version: int = -1
    version_steps: int = 0  # by how much an update raises it
    changed_unseen: int = 0  # times that it had risen by more than the updates between two looks
    sum_seen: Any = None  # a weak reference to the tensor that its gradients are summed in
    frozen: bool = False  # requires_grad was False at the last update
    replaced: bool = False  # in the end the model has another in its place
    moved: bool = False  # in the end it differs from the beginning


    @property
    def left_alone(self) -> bool:
        """Frozen, and not given to the optimizer either: that is meant."""
        return not self.in_optimizer and self.frozen and not self.replaced and not self.gradients


class LossCall(NamedTuple):
    """A loss that was differentiated: by what factor it went into what ``backward`` was called on."""

    name: str
    reduction: str
    examples: int
    factor: float
    made_by: str  # the activation that its input had gone through, where the loss applies one itself


class Group(NamedTuple):
    """What went into one update."""

    passes: int
    calls: tuple[LossCall, ...]
    sizes: tuple[int, ...]
    carried: bool
    closure: bool
    scaled: float  # by how much the gradients were changed between the last backward pass and the update
    rates: tuple[float, ...]
    several: bool = False  # losses of several places, targets or tasks: no micro-batches of one loss
    again: bool = False  # it used the very gradient of the update before

    @property
    def examples(self) -> list[int]:
        """Of each backward pass, where they were seen."""
        return [call.examples for call in self.calls] or list(self.sizes)

    @property
    def accumulates(self) -> bool:
        """Whether several backward passes, each of its own forward pass, went into it."""
        return (
            self.passes > 1 and not self.closure and not self.carried and len(self.sizes or self.calls) >= self.passes
        )


@dataclass(frozen=True)
class Finding:
    """One mistake that was observed: its name, and what was seen and what to do."""

    name: str
    text: str


@dataclass(frozen=True)
class AuditReport:
    """The truth of one loop. ``facts``: what was seen, by name; ``findings``: what is wrong, empty if nothing was seen.

    ``not_observed``: the checks for which the loop gave no occasion.
    """

    facts: dict[str, str]
    findings: tuple[Finding, ...]
    not_observed: tuple[str, ...]

    def __str__(self) -> str:
        width = max(map(len, self.facts))
        lines = [f"{name:<{width}}  {value}" for name, value in self.facts.items()]
        lines.append("")
        lines += [f"{n}. {f.name}: {f.text}" for n, f in enumerate(self.findings, 1)] or ["No mistake was observed."]
        if self.not_observed:
            lines.append(f"Not observed: {', '.join(self.not_observed)}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"AuditReport({', '.join(finding.name for finding in self.findings) or 'no mistake observed'})"

    def __rich__(self) -> RenderableType:
        from rich.text import Text

        return Text(str(self))


class Log(Protocol):
    """What is read of an Audit."""

    watched: list[Watched]
    groups: Counter[Group]
    dropped: list[int]
    broadcasts: list[str]
    outside: int
    strangers: int
    pending_at_end: int
    scales_with_gradient: bool
    resting: Counter[str]
    scaler_steps: int


def judged(log: Log) -> AuditReport:
    """Facts and findings of a finished log."""
    groups = list(log.groups.elements())
    if not groups:
        never, skipped = "the optimizer's step was never called inside the with block", log.scaler_steps
        infinite = f"GradScaler skipped all {skipped:,}, as it does where gradients are infinite or NaN"
        facts = {"updates": f"none: {infinite if skipped else never}"}
        unused = any(w.gradients for w in log.watched) and not any(w.moved for w in log.watched) and not skipped
        return AuditReport(facts, (_finding("never_updated"),) if unused else (), ("everything: nothing was updated",))
    findings = [
        *_clearing(groups), *_used_again(groups), *_accumulation(log, groups), *_modes(log), *_never_changed(log),
        *_outside(log), *_loss(log, groups),
    ]  # fmt: skip
    unseen = []
    if not any(group.calls for group in groups):
        unseen.append("the loss (only PyTorch's own loss functions are seen), and so sum or mean")
    if not _accumulated(groups):
        unseen.append("accumulation over several backward passes")
    return AuditReport(_facts(log, groups), tuple(findings), tuple(unseen))


# --- findings ------------------------------------------------------------------------------------------------------

TEXTS = {
    "gradients_not_cleared": (
        "in {some} of {all} updates the gradients of earlier updates were still in it. Call optimizer.zero_grad()"
        " once per update, before backward."
    ),
    "never_updated": (
        "gradients came, but optimizer.step() was never called, and no parameter changed. Call it after backward."
    ),
    "gradient_used_again": (
        "{some} of {all} updates used a gradient that the update before had used already: no backward pass had reached "
        "it in between. Call optimizer.step() once per backward; where a pass leaves a part of the model out, call "
        "zero_grad() before it."
    ),
    "eval_mode": (
        "in {some} of the updates looked at in full the model was in eval mode: {layers} worked as for predictions. "
        "If that isn't meant, call model.train() before the loop, and after every model.eval()."
    ),
    "accumulation_not_divided": (
        "{some} updates added up the mean losses of {k} backward passes without a division: the gradient is {k} "
        "times that of one large batch. Do (loss / {k}).backward()."
    ),
    "unequal_micro_batches": (
        "{some} updates gave micro-batches of {sizes} examples the same weight: the mean of means is not the "
        "mean. Weigh each loss by its examples / all of them."
    ),
    "last_group_dropped": (
        "the gradients of {some} backward passes never reached an update (usually {k} make one): the last, "
        "unfinished group was dropped. Update after the last batch too."
    ),
    "optimizer_before_replacement": (
        "{names} never changed: the optimizer holds {strangers} parameters that are not the "
        "model's, so it was made before a layer was replaced. Make the optimizer afterwards."
    ),
    "not_in_optimizer": (
        "{names} got gradients but never changed: the optimizer doesn't hold them. Give it all of "
        "model.parameters(), or set requires_grad = False if they are meant to stay."
    ),
    "frozen": (
        "{names} never changed: requires_grad is False, so they are frozen. If that isn't meant, set it to True "
        "and give them to the optimizer."
    ),
    "detached": (
        "{names} never changed: no gradient reached them. Look for detach(), .data, torch.no_grad(), .item() or "
        "NumPy between them and the loss, or for a layer that forward doesn't use."
    ),
    "zero_gradient": (
        "{names} never changed, though gradients came and the optimizer holds them: every change was 0. Look for "
        "a zero_grad() between backward and step, dead units, or a rate of 0."
    ),
    "changed_outside": (
        "parameters{names} were changed between updates by something other than the optimizer. Look for "
        "assignments, copy_(), clamp_() or load_state_dict in the loop."
    ),
    "targets_broadcast": (
        "{some} times, first in {what}: they were broadcast, so every output met every target. Do y = y.reshape(-1, 1)."
    ),
    "double_softmax": (
        "the input of {loss} had gone through {seen}, but it wants {wanted}. Leave that {activation} out."
    ),
    "sum_loss": (
        "{loss} is summed over {n} examples, and the rate of {rate:g} is one for the mean: it acts as {acts:g} "
        "would there. Take reduction='mean', or divide the rate by the batch size."
    ),
}


WANTED = {
    "nll_loss": "the logarithm of probabilities: log_softmax of the logits",
    "binary_cross_entropy": "probabilities, that went through it once",
}


def _finding(name: str, **facts: object) -> Finding:
    return Finding(name, TEXTS[name].format(**facts))


def _clearing(groups: list[Group]) -> Iterable[Finding]:
    carried = sum(group.carried for group in groups)
    if carried:
        yield _finding("gradients_not_cleared", some=carried, all=len(groups))


def _used_again(groups: list[Group]) -> Iterable[Finding]:
    again = sum(group.again for group in groups)
    if again:
        yield _finding("gradient_used_again", some=again, all=len(groups))


def _modes(log: Log) -> Iterable[Finding]:
    for layers, some in log.resting.most_common(1):
        yield _finding("eval_mode", some=some, layers=layers)


def _accumulation(log: Log, groups: list[Group]) -> Iterable[Finding]:
    accumulated = _accumulated(groups)
    means = [g for g in accumulated if len(g.calls) == g.passes and all(c.reduction == "mean" for c in g.calls)]
    # Clipping only ever shrinks: what is still larger than the mean afterwards was never divided.
    undivided = [g for g in means if _share(g) > 1.5 and _share(g) * g.scaled > 1.001]
    if undivided:
        yield _finding("accumulation_not_divided", some=len(undivided), k=undivided[0].passes)
    unequal = [g for g in means if len(set(g.examples)) > 1 and len({round(c.factor, 9) for c in g.calls}) == 1]
    if unequal:
        yield _finding("unequal_micro_batches", some=len(unequal), sizes=_list(unequal[0].examples))
    usual = Counter(g.passes for g in groups if not g.closure).most_common(1)
    lost = sum(log.dropped) + log.pending_at_end
    # Gradients thrown away around every update may be of another loss, as a generator's are in its discriminator.
    around_every_update = len(groups) > 2 and len(log.dropped) + 1 >= len(groups) and not any(g.calls for g in groups)
    if accumulated and usual[0][0] > 1 and lost and not around_every_update:
        yield _finding("last_group_dropped", some=lost, k=usual[0][0])


def _accumulated(groups: list[Group]) -> list[Group]:
    """The updates made of micro-batches of one loss, not of several losses as a discriminator has.

    Losses aren't looked at in every update: those with as many passes as one of several losses are taken for the same.
    """
    several = {g.passes for g in groups if g.several}
    return [g for g in groups if g.accumulates and g.passes not in several]


def _share(group: Group) -> float:
    """The sum of the factors of the losses: 1 where the group is a mean."""
    return sum(call.factor for call in group.calls)


def _never_changed(log: Log) -> Iterable[Finding]:
    reasons: dict[str, list[str]] = {}
    for w in log.watched:
        if not w.moved and not w.left_alone:
            reasons.setdefault(_reason(w, log), []).append(w.name)
    for reason, names in reasons.items():
        yield _finding(reason, names=_list(names), strangers=log.strangers)


def _reason(w: Watched, log: Log) -> str:
    if w.replaced and w.in_optimizer:
        return "optimizer_before_replacement"
    if w.frozen or not w.requires_grad:
        return "frozen"
    if not w.gradients:
        return "detached"
    if not w.in_optimizer:
        return "optimizer_before_replacement" if log.strangers else "not_in_optimizer"
    return "zero_gradient"


def _outside(log: Log) -> Iterable[Finding]:
    if log.outside:
        names = _list(w.name for w in log.watched if w.changed_outside and w.in_optimizer)
        yield _finding("changed_outside", names=f" ({names})" if names else "")


def _loss(log: Log, groups: list[Group]) -> Iterable[Finding]:
    if log.broadcasts:
        yield _finding("targets_broadcast", some=len(log.broadcasts), what=log.broadcasts[0])
    calls = [(g, c) for g in groups for c in g.calls]
    for call in [c for _, c in calls if c.made_by][:1]:
        activation = call.made_by.partition(" ")[0]
        wanted = WANTED.get(call.name, f"logits, and applies {activation} itself")
        yield _finding("double_softmax", loss=call.name, seen=call.made_by, wanted=wanted, activation=activation)
    summed = [(g, c) for g, c in calls if c.reduction == "sum" and c.examples > 1 and _near(c.factor * g.scaled, 1)]
    fast = [(g, c) for g, c in summed if g.rates and max(g.rates) * c.examples >= MEAN_SCALED]
    for g, call in fast[:1] if log.scales_with_gradient else ():
        rate = max(g.rates)
        yield _finding("sum_loss", loss=call.name, n=call.examples, rate=rate, acts=rate * call.examples)


def _near(value: float, wanted: float) -> bool:
    return abs(value - wanted) < 1e-3 * abs(wanted)


# --- facts ---------------------------------------------------------------------------------------------------------


def _facts(log: Log, groups: list[Group]) -> dict[str, str]:
    examples = [n for g in groups for n in g.examples]
    per_update = [sum(g.examples) for g in groups if g.examples and not g.closure]
    rates = sorted({r for g in groups for r in g.rates})
    calls = [c for g in groups for c in g.calls]
    closures = sum(g.closure for g in groups)
    facts = {
        "updates": f"{len(groups):,}" + (f" ({closures:,} with a closure)" if closures else ""),
        "backward passes per update": _counts(g.passes for g in groups if not g.closure),
        "examples per backward pass": _counts(examples),
        "examples per update": _counts(per_update),
        "losses looked at": f"in {sum(bool(g.calls) for g in groups):,} of {len(groups):,} updates",
        "loss": _counts(f"{c.name} ({c.reduction})" for c in calls),
        "loss times": _counts(f"{c.factor:.6g}" for c in calls),
        "rate": f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}" if rates else "not observed",
        "cleared between updates": "not always" if any(g.carried for g in groups) else "yes",
    }
    several = sum(g.several and g.passes > 1 and not g.closure for g in groups)
    if several:
        facts["several losses"] = f"in {several:,} updates, each from a place of its own: not taken for micro-batches"
    for w in log.watched:
        facts[f"parameter {w.name}"] = (
            "not in this optimizer; changed by something else"
            if w.moved and not w.in_optimizer
            else f"changed in {w.changes:,} of {len(groups):,} updates, "
            f"first in {w.first_change}, last in {w.last_change}{_unseen(w)}"
            if w.changes and w.moved
            else "frozen, and not given to the optimizer"
            if w.left_alone
            else "never changed"
        )
    return facts


def _unseen(w: Watched) -> str:
    """Changes of which only the count is known; averages of the weights, put in and out again, make them too."""
    return "; by something else too, between updates" if w.changed_unseen and not w.changed_outside else ""


def _counts(values: Iterable[object]) -> str:
    """ "32 (times 9), 16 (once)": the commonest first."""
    counted = Counter(values).most_common()
    if not counted:
        return "not observed"
    if len(counted) == 1:
        return str(counted[0][0])
    told = [f"{value} ({'once' if n == 1 else f'{n:,} times'})" for value, n in counted[:4]]
    return ", ".join(told) + (", …" if len(counted) > 4 else "")


def _list(values: Iterable[object]) -> str:
    told = [str(value) for value in values]
    return ", ".join(told[:6]) + (f" and {len(told) - 6} more" if len(told) > 6 else "")
