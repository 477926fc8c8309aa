"""audit: planted mistakes in real PyTorch loops are named, right loops raise no finding, and nothing is changed."""

# ruff: noqa: E402  # torch is imported once it is known to be here

from __future__ import annotations

import importlib.util

import pytest
from requires import requires

requires("torch", importlib.util.find_spec("torch") is not None, 'Do: pip install "backlit[torch]".')

import torch
import torch.nn as nn
import torch.nn.functional as F

import backlit as bl


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


X = torch.randn(52, 6)
Y = torch.randint(0, 3, (52,))


def batches(b=8):
    for i in range(0, len(X), b):
        yield X[i : i + b], Y[i : i + b]


def plain(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


def nozero(m, o):
    for x, y in batches():
        F.cross_entropy(m(x), y).backward()
        o.step()


def acc(m, o, div=True, last=True):
    k = 4
    o.zero_grad()
    B = list(batches(4))[:13]
    for i, (x, y) in enumerate(B):
        (F.cross_entropy(m(x), y) / (k if div else 1)).backward()
        if (i + 1) % k == 0 or (last and i == len(B) - 1):
            o.step()
            o.zero_grad()


def summed(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x), y, reduction="sum").backward()
        o.step()


def detached(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m[2](m[1](m[0](x)).detach()), y).backward()
        o.step()


def clip(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        nn.utils.clip_grad_norm_(m.parameters(), 0.1)
        o.step()


def clipacc(m, o):
    o.zero_grad()
    for i, (x, y) in enumerate(list(batches(4))[:12]):
        (nn.CrossEntropyLoss()(m(x), y) / 4).backward()
        if (i + 1) % 4 == 0:
            nn.utils.clip_grad_norm_(m.parameters(), 0.1)
            o.step()
            o.zero_grad(set_to_none=False)


def lbfgs(m, o):
    for _ in range(3):

        def closure():
            o.zero_grad()
            loss = F.cross_entropy(m(X), Y)
            loss.backward()
            return loss

        o.step(closure)


def sched(m, o):
    s = torch.optim.lr_scheduler.CosineAnnealingLR(o, 5)
    for _ in range(2):
        plain(m, o)
        s.step()


def mixed(m, o):
    o.zero_grad()
    k = 0
    for i, (x, y) in enumerate(batches(8)):
        grp = [8, 8, 8, 8] if i < 4 else [8, 8, 4]
        (F.cross_entropy(m(x), y) * len(x) / sum(grp)).backward()
        k += 1
        if k == len(grp):
            o.step()
            o.zero_grad()
            k = 0


def unequal(m, o):
    o.zero_grad()
    for a, b in ((0, 8), (8, 12)):
        (F.cross_entropy(m(X[a:b]), Y[a:b]) / 2).backward()
    o.step()


def softmaxed(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x).softmax(1), y).backward()
        o.step()


def outside(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        with torch.no_grad():
            m[0].weight.mul_(0.99)


def outside2(m, o):
    for x, y in batches():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        for p in m.parameters():
            p.data.mul_(0.99)


def bc(m, o):
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for x, y in batches():
            o.zero_grad()
            F.mse_loss(m(x)[:, :1], y.float()).backward()
            o.step()


def bc2(m, o):
    for x, y in batches():
        o.zero_grad()
        ((m(x)[:, :1] - y.float()) ** 2).mean().backward()
        o.step()


def two(m, o):
    for x, y in batches():
        o.zero_grad()
        out = m(x)
        F.cross_entropy(out, y).backward(retain_graph=True)
        (out**2).mean().backward()
        o.step()


def sumdiv(m, o):
    for x, y in batches():
        o.zero_grad()
        (F.cross_entropy(m(x), y, reduction="sum") / len(x)).backward()
        o.step()


def gradaccdiv(m, o):
    o.zero_grad()
    for i, (x, y) in enumerate(list(batches(4))[:12]):
        F.cross_entropy(m(x), y).backward()
        if (i + 1) % 4 == 0:
            for p in m.parameters():
                p.grad /= 4
            o.step()
            o.zero_grad()


def undivided(m, o):
    acc(m, o, div=False)


def dropped(m, o):
    acc(m, o, last=False)


def discriminator(m, o):
    for x, _ in batches():
        o.zero_grad()
        F.binary_cross_entropy_with_logits(m(x), torch.ones(len(x), 3)).backward()
        F.binary_cross_entropy_with_logits(m(x + 1), torch.zeros(len(x), 3)).backward()
        o.step()


def adversarial(m, o):
    """Longer than every loss is looked at, through a function, and with gradients that are thrown away."""

    def of(x, target):
        return F.binary_cross_entropy_with_logits(m(x), torch.full((len(x), 3), target))

    for x, _ in list(batches()) * 10:
        o.zero_grad()
        of(x, 1.0).backward(), of(x + 1, 0.0).backward()
        o.step()
        of(x + 1, 1.0).backward()  # of the generator


def parts(m, o):
    other = torch.optim.SGD(m[2].parameters(), lr=0.1)
    for x, y in batches():
        m.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        other.step()


def first_part(m):
    return torch.optim.SGD(m[0].parameters(), lr=0.1)


def sgd(m):
    return torch.optim.SGD(m.parameters(), lr=0.1)


def small_sgd(m):
    return torch.optim.SGD(m.parameters(), lr=0.1 / 8, momentum=0.9)


def lb(m):
    return torch.optim.LBFGS(m.parameters())


def groups(m):
    return torch.optim.AdamW([{"params": m[0].parameters(), "lr": 1e-3}, {"params": m[2].parameters()}], lr=1e-2)


def names(loop, model, optimizer):
    with bl.audit(model, optimizer) as log:
        loop(model, optimizer)
    return [f.name for f in log.report().findings]


RIGHT = [
    (plain, sgd),
    (acc, sgd),
    (clip, sgd),
    (clipacc, sgd),
    (sched, sgd),
    (mixed, sgd),
    (two, sgd),
    (sumdiv, sgd),
    (gradaccdiv, sgd),
    (lbfgs, lb),
    (plain, groups),
    (summed, small_sgd),
    (discriminator, sgd),
    (adversarial, sgd),
    (parts, first_part),
]


@pytest.mark.parametrize(("loop", "make"), RIGHT, ids=lambda f: f.__name__)
def test_a_right_loop_raises_no_finding_and_keeps_its_bits(loop, make):
    watched, alone = net(), net()
    assert names(loop, watched, make(watched)) == []
    loop(alone, make(alone))
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))


WRONG = {
    "gradients_not_cleared": nozero,
    "accumulation_not_divided": undivided,
    "last_group_dropped": dropped,
    "sum_loss": summed,
    "detached": detached,
    "unequal_micro_batches": unequal,
    "double_softmax": softmaxed,
    "targets_broadcast": bc,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_mistake_is_named(name):
    model = net()
    assert names(WRONG[name], model, sgd(model)) == [name]


@pytest.mark.parametrize("loop", [outside, outside2])
def test_changes_from_outside(loop):
    model = net()
    assert names(loop, model, sgd(model)) == ["changed_outside"]


def test_a_difference_that_is_broadcast():
    model = net()
    assert names(bc2, model, sgd(model)) == ["targets_broadcast"]


def test_frozen_by_accident():
    model = net()
    model[0].weight.requires_grad = False
    assert names(plain, model, sgd(model)) == ["frozen"]


def test_an_optimizer_made_before_a_layer_was_replaced():
    model = net()
    optimizer = sgd(model)
    model[2] = nn.Linear(5, 3)
    assert names(plain, model, optimizer) == ["optimizer_before_replacement"]


def test_frozen_inside_the_block():
    model = net()

    def loop(m, o):
        m[0].requires_grad_(False)
        plain(m, o)

    assert names(loop, model, sgd(model)) == ["frozen"]


def test_frozen_after_the_last_update_is_no_cause():
    def loop(m, o):
        detached(m, o)
        m.requires_grad_(False)

    model = net()
    assert names(loop, model, sgd(model)) == ["detached"]


def test_a_layer_replaced_inside_the_block():
    model = net()
    optimizer = sgd(model)
    with bl.audit(model, optimizer) as log:
        model[2] = nn.Linear(5, 3)
        plain(model, optimizer)
    (finding,) = log.report().findings
    assert finding.name == "optimizer_before_replacement"
    assert "2.weight, 2.bias" in finding.text
    assert "holds 2 parameters" in finding.text


@pytest.mark.parametrize("loop", [discriminator, adversarial])
def test_several_losses_of_one_update_are_told(loop):
    model = net()
    with bl.audit(model, sgd(model)) as log:
        loop(model, log._optimizer)
    assert "not taken for micro-batches" in log.report().facts["several losses"]


def test_parameters_with_an_optimizer_of_their_own_are_told():
    model = net()
    with bl.audit(model, first_part(model)) as log:
        parts(model, log._optimizer)
    facts = log.report().facts
    assert facts["parameter 2.weight"] == "not in this optimizer; changed by something else"
    assert "changed in 7 of 7" in facts["parameter 0.weight"]


def test_the_report_and_what_is_put_back():
    model = net()
    optimizer, before = sgd(model), (F.cross_entropy, torch.Tensor.__sub__, torch.optim.Optimizer.zero_grad)
    with bl.audit(model, optimizer) as log:
        with pytest.raises(bl.BadInput, match="after the with block"):
            log.report()
        plain(model, optimizer)
    assert before == (F.cross_entropy, torch.Tensor.__sub__, torch.optim.Optimizer.zero_grad)
    report = log.report()
    assert report.facts["updates"] == "7"
    assert report.facts["examples per update"] == "8 (6 times), 4 (once)"
    assert report.facts["rate"] == "0.1"
    assert "changed in 7 of 7" in str(report)


def test_updates_that_the_scaler_skipped_are_told():
    model = net()
    optimizer, scaler, before = sgd(model), torch.amp.GradScaler("cpu"), torch.amp.GradScaler.step
    with bl.audit(model, optimizer) as log:
        for _ in range(3):
            scaler.scale(float("inf") * model(torch.ones(2, model[0].in_features)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
    assert torch.amp.GradScaler.step is before
    report = log.report()
    assert report.facts["updates"] == "none: GradScaler skipped all 3, as it does where gradients are infinite or NaN"
    assert report.findings == ()


def test_nothing_observed_and_wrong_objects():
    model = net()
    with bl.audit(model, sgd(model)) as log:
        pass
    assert "never called" in str(log.report())
    with pytest.raises(bl.BadInput, match="Module"):
        bl.audit(3, 4)
