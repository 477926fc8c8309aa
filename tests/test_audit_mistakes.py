"""audit: each mistake, planted in loops of several styles, is named, and nothing else is."""

# ruff: noqa: E402  # torch is imported once it is known to be here

from __future__ import annotations

import importlib.util

import pytest
from requires import requires

requires("torch", importlib.util.find_spec("torch") is not None, 'Do: pip install "backlit[torch]".')

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch_loops import B, Bn, R, X, Y, adam, bnnet, net, net1, observed, sgd

import backlit as bl

WRONG = []


def bad(name, make=net, optimizer=sgd):
    """A loop with a planted mistake."""

    def noted(loop):
        WRONG.append((name, loop, make, optimizer))
        return loop

    return noted


def L(loss):
    def f(m, o):
        for x, y in B():
            o.zero_grad()
            loss(m, x, y).backward()
            o.step()

    return f


fl = F.cross_entropy
bad("gradients_not_cleared")(lambda m, o: [(nn.CrossEntropyLoss()(m(x), y).backward(), o.step()) for x, y in B()])
bad("gradients_not_cleared", net, adam)(
    lambda m, o: [
        (fl(m(x), y).backward(), nn.utils.clip_grad_norm_(m.parameters(), 1.0), o.step()) for x, y in list(B()) * 4
    ]
)


def undivided(loss, k=4):
    def f(m, o):
        o.zero_grad()
        for i, (x, y) in enumerate(list(B())[:24]):
            loss(m, x, y).backward()
            if (i + 1) % k == 0:
                o.step()
                o.zero_grad()

    return f


CE = nn.CrossEntropyLoss()
bad("accumulation_not_divided")(undivided(lambda m, x, y: fl(m(x), y)))
bad("accumulation_not_divided")(undivided(lambda m, x, y: CE(m(x), y), 6))
bad("accumulation_not_divided")(undivided(lambda m, x, y: F.cross_entropy(m(x), y, reduction="none").mean(), 2))
bad("accumulation_not_divided", net, adam)(undivided(lambda m, x, y: F.nll_loss(F.log_softmax(m(x), 1), y), 3))
bad("accumulation_not_divided", net1)(
    lambda m, o: [
        ([F.mse_loss(m(x[i : i + 4]), y[i : i + 4]).backward() for i in (0, 4)], o.step(), o.zero_grad())
        for x, y in B(8, R)
    ]
)


def lines(m, o):
    for x, y in list(B(16)) * 3:
        o.zero_grad()
        F.cross_entropy(m(x[:8]), y[:8]).backward()
        F.cross_entropy(m(x[8:]), y[8:]).backward()
        o.step()


bad("accumulation_not_divided")(lines)


def lines2(m, o):
    lf = nn.CrossEntropyLoss()
    for x, y in DataLoader(TensorDataset(X, Y), batch_size=16):
        x1, x2 = x.chunk(2)
        y1, y2 = y.chunk(2)
        o.zero_grad()
        l1 = lf(m(x1), y1)
        l1.backward()
        l2 = lf(m(x2), y2)
        l2.backward()
        o.step()


bad("accumulation_not_divided")(lines2)


def scaleracc(m, o):
    s = torch.amp.GradScaler("cpu")
    for i, (x, y) in enumerate(B(13)):
        s.scale(F.cross_entropy(m(x), y)).backward()
        if (i + 1) % 4 == 0:
            s.step(o)
            s.update()
            o.zero_grad()


bad("accumulation_not_divided")(scaleracc)


def drop(m, o):
    o.zero_grad()
    for _ in range(2):
        for i, (x, y) in enumerate(list(B())[:14]):
            (CE(m(x), y) / 4).backward()
            if (i + 1) % 4 == 0:
                o.step()
                o.zero_grad()
        o.zero_grad()


bad("last_group_dropped")(drop)


def drop_long(m, o):
    for _ in range(4):
        o.zero_grad()
        for i, (x, y) in enumerate(B(4)):  # 52 -> k=8: 6 groups + 4
            (fl(m(x), y) / 8).backward()
            if (i + 1) % 8 == 0:
                o.step()
                o.zero_grad()


bad("last_group_dropped")(drop_long)
bad("detached")(L(lambda m, x, y: fl(m[2](torch.tensor(torch.tanh(m[0](x)).detach().numpy())), y)))


def nograd(m, x, y):
    with torch.no_grad():
        h = m[1](m[0](x))
    return CE(m[2](h), y)


bad("detached", net, adam)(L(nograd))


def froz(m, o):
    m[0].weight.requires_grad = False
    L(lambda m, x, y: fl(m(x), y))(m, o)


bad("frozen")(froz)
bad("sum_loss")(L(lambda m, x, y: nn.CrossEntropyLoss(reduction="sum")(m(x), y)))
bad("sum_loss")(L(lambda m, x, y: F.cross_entropy(m(x), y, reduction="none").sum()))
bad("sum_loss")(L(lambda m, x, y: F.nll_loss(F.log_softmax(m(x), 1), y, reduction="sum")))


def L1(loss, T):
    def f(m, o):
        for x, y in B(8, T):
            o.zero_grad()
            loss(m, x, y).backward()
            o.step()

    return f


bad("targets_broadcast", net1)(L1(lambda m, x, y: nn.MSELoss()(m(x), y.squeeze(1)), R))
bad("targets_broadcast", net1)(L1(lambda m, x, y: F.l1_loss(m(x).squeeze(1), y), R))
bad("targets_broadcast", net1)(L1(lambda m, x, y: nn.SmoothL1Loss()(m(x), y.squeeze(1)), R))
bad("targets_broadcast", net1)(L1(lambda m, x, y: ((y.squeeze(1) - m(x)) ** 2).mean(), R))
bad("targets_broadcast", net1)(L1(lambda m, x, y: torch.mean(torch.square(torch.sub(m(x), y.squeeze(1)))), R))
bad("double_softmax")(L(lambda m, x, y: CE(torch.softmax(m(x), 1), y)))
bad("double_softmax")(L(lambda m, x, y: F.nll_loss(F.softmax(m(x), dim=1), y)))
bad("double_softmax", lambda: nn.Sequential(*net(), nn.Softmax(dim=1)))(L(lambda m, x, y: CE(m(x), y)))
bad("double_softmax", net1)(
    L1(lambda m, x, y: nn.BCEWithLogitsLoss()(torch.sigmoid(m(x)).squeeze(1), y.squeeze(1)), Bn)
)
bad("double_softmax", lambda: nn.Sequential(*net1(), nn.Sigmoid()))(
    L1(lambda m, x, y: F.binary_cross_entropy(torch.sigmoid(m(x)), y), Bn)
)


class Rep(nn.Module):
    def __init__(s):
        super().__init__()
        torch.manual_seed(0)
        s.b = nn.Linear(6, 5)
        s.fc = nn.Linear(5, 9)

    def forward(s, x):
        return s.fc(torch.relu(s.b(x)))


def rep(m):
    o = sgd(m)
    m.fc = nn.Linear(5, 3)
    return o


bad("optimizer_before_replacement", Rep, rep)(L(lambda m, x, y: fl(m(x), y)))


def outs(m, o):
    for x, y in B():
        o.zero_grad()
        fl(m(x), y).backward()
        o.step()
        with torch.no_grad():
            for p in m.parameters():
                p.clamp_(-0.1, 0.1)


bad("changed_outside")(outs)


def manual(m, o):
    for x, y in B():
        o.zero_grad()
        fl(m(x), y).backward()
        o.step()
        for p in m.parameters():
            p.data -= 0.01 * p.grad


bad("changed_outside")(manual)


def never_back_in_training(m, o):
    for _ in range(3):
        for x, y in B():
            o.zero_grad()
            fl(m(x), y).backward()
            o.step()
        m.eval()
        with torch.no_grad():
            m(X)


def trained_in_eval_mode(m, o):
    m.eval()
    L(lambda m, x, y: fl(m(x), y))(m, o)


bad("eval_mode", bnnet)(never_back_in_training)
bad("eval_mode", bnnet, adam)(trained_in_eval_mode)


@bad("gradient_used_again")
@bad("gradient_used_again", net, adam)
def two_steps(m, o):
    for x, y in B():
        o.zero_grad()
        fl(m(x), y).backward()
        o.step()
        o.step()


@bad("never_updated")
def no_step(m, o):
    for x, y in B():
        o.zero_grad()
        fl(m(x), y).backward()


@bad("never_updated")
def scaled_but_no_step(m, o):
    s, other = torch.amp.GradScaler("cpu"), sgd(net())
    for x, y in B():
        o.zero_grad()
        s.scale(fl(m(x), y)).backward()
    s.scale(torch.zeros(()))
    for p in other.param_groups[0]["params"]:
        p.grad = torch.zeros_like(p)
    s.step(other)


@bad("eval_mode", bnnet)
def trained_in_eval_mode_after_the_first_epoch(m, o):
    m.train()
    for _ in range(2):
        for x, y in list(B())[:5]:
            o.zero_grad()
            fl(m(x), y).backward()
            o.step()
        m.eval()


@bad("eval_mode", bnnet)
def eval_mode_with_a_closure(m, o):
    m.eval()
    for x, y in list(B())[:5]:

        def closure(x=x, y=y):
            o.zero_grad()
            loss = fl(m(x), y)
            loss.backward()
            return loss

        o.step(closure)


@pytest.mark.parametrize(("name", "loop", "make", "optimizer"), WRONG, ids=lambda f: f if isinstance(f, str) else "")
def test_a_planted_mistake_is_named(name, loop, make, optimizer):
    assert observed(loop, make, optimizer)[1] == [name]


def test_gradients_cleared_before_the_update():
    model = net()
    held = sgd(model)
    with bl.audit(model, held) as log:
        for x, y in B():
            fl(model(x), y).backward()
            held.zero_grad()
            held.step()
    (found,) = log.report().findings
    assert found.name == "zero_gradient"
    assert "a zero_grad() between backward and step" in found.text


def test_a_decay_by_hand_is_no_rounding():
    def loop(m, o):
        for x, y in B():
            o.zero_grad()
            fl(m(x), y).backward()
            o.step()
            for p in m.parameters():
                p.data.mul_(1 - 0.05 * 1e-4)

    assert observed(loop, net, sgd)[1] == ["changed_outside"]


def test_a_look_at_a_point_nearby_is_no_change():
    def loop(m, o):  # sharpness-aware minimisation, by hand
        for x, y in B():
            o.zero_grad()
            fl(m(x), y).backward()
            away = [0.05 * p.grad for p in m.parameters()]
            with torch.no_grad():
                for p, e in zip(m.parameters(), away, strict=True):
                    p.add_(e)
            o.zero_grad()
            fl(m(x), y).backward()
            with torch.no_grad():
                for p, e in zip(m.parameters(), away, strict=True):
                    p.sub_(e)  # back again, but for rounding
            o.step()

    assert observed(loop, net, sgd)[1] == []


def test_a_part_that_no_backward_pass_reached_is_told_so():
    """Backward passes came before every update, but not through the smallest parameter."""

    class TwoHeads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.small, self.large = nn.Linear(6, 5), nn.Linear(5, 1), nn.Linear(5, 3)

        def forward(self, x):
            return torch.tanh(self.body(x))

    torch.manual_seed(0)
    model = TwoHeads()
    held = sgd(model)
    with bl.audit(model, held) as log:
        for i, (x, y) in enumerate(list(B())[:6]):
            for p in [*model.body.parameters(), *model.large.parameters()]:
                p.grad = None
            if i % 2 == 0:
                model.small.zero_grad()
                model.small(model(x)).mean().backward()
                model.body.zero_grad()
            fl(model.large(model(x)), y).backward()
            held.step()
    (found,) = [f for f in log.report().findings if f.name == "gradient_used_again"]
    assert "no backward pass had reached it in between" in found.text
    assert "without a backward pass" not in found.text
