"""audit: right loops as people write them raise no finding and keep their bits."""

# ruff: noqa: E402  # torch is imported once it is known to be here

from __future__ import annotations

import copy
import importlib.util
import io
import warnings

import pytest
from requires import requires

requires("torch", importlib.util.find_spec("torch") is not None, 'Do: pip install "backlit[torch]".')

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset
from torch_loops import B, Bn, Tied, X, Y, adam, bnnet, foreach, fused, net, net1, observed, sgd

RIGHT = []


def ok(make=net, optimizer=sgd):
    """A right loop, with the network and the optimizer that it is tried on."""

    def noted(loop):
        RIGHT.append((loop, make, optimizer))
        return loop

    return noted


@ok()
def autocast(m, o):
    for x, y in B():
        o.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(m(x), y)
        loss.backward()
        o.step()


@ok()
def gradscaler(m, o):
    s = torch.amp.GradScaler("cpu")
    for x, y in B():
        o.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(m(x), y)
        s.scale(loss).backward()
        s.unscale_(o)
        nn.utils.clip_grad_norm_(m.parameters(), 0.5)
        s.step(o)
        s.update()


@ok()
def gradscaler_acc(m, o):
    s = torch.amp.GradScaler("cpu")
    for i, (x, y) in enumerate(B(13)):
        loss = F.cross_entropy(m(x), y) / 4
        s.scale(loss).backward()
        if (i + 1) % 4 == 0:
            s.unscale_(o)
            nn.utils.clip_grad_norm_(m.parameters(), 0.05)
            s.step(o)
            s.update()
            o.zero_grad()


@ok()
def compiled(m, o):
    cm = torch.compile(m, backend="eager")
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(cm(x), y).backward()
        o.step()


@ok()
def compiled_step(m, o):
    @torch.compile(backend="aot_eager", fullgraph=True)
    def lossf(x, y):
        return F.cross_entropy(m(x), y)

    for x, y in B():
        o.zero_grad()
        lossf(x, y).backward()
        o.step()


@ok()
def ema(m, o):
    e = copy.deepcopy(m)
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        with torch.no_grad():
            for p, q in zip(e.parameters(), m.parameters(), strict=True):
                p.mul_(0.9).add_(q, alpha=0.1)
        e(x)


@ok()
def ema_swap(m, o):
    e = copy.deepcopy(m.state_dict())
    for i, (x, y) in enumerate(list(B()) * 3):
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        for k, v in m.state_dict().items():
            e[k] = 0.9 * e[k] + 0.1 * v
        if i % 5 == 0:
            keep = copy.deepcopy(m.state_dict())
            m.load_state_dict(e)
            with torch.no_grad():
                m(x)
            m.load_state_dict(keep)


@ok(Tied)
def tied(m, o):
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok(bnnet, adam)
def batchnorm(m, o):
    for x, y in B(16):
        m.train()
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        m.eval()
        with torch.no_grad():
            F.cross_entropy(m(X), Y)


@ok()
def wrong_sched(m, o):
    s = torch.optim.lr_scheduler.StepLR(o, 1, 0.9)
    for _ in range(2):
        s.step()
        for x, y in B():
            o.zero_grad()
            F.cross_entropy(m(x), y).backward()
            o.step()


@ok()
def eval_grad(m, o):
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        F.cross_entropy(m(X), Y).item()


@ok()
def none_false(m, o):
    for x, y in B():
        o.zero_grad(set_to_none=False)
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok(net, lambda m: torch.optim.LBFGS(m.parameters(), max_iter=5, line_search_fn="strong_wolfe"))
def lbfgs(m, o):
    def c():
        o.zero_grad()
        loss = F.cross_entropy(m(X), Y)
        loss.backward()
        return loss

    for _ in range(5):
        o.step(c)


@ok()
def lightning(m, o):
    for x, y in list(B()) * 2:

        def c(x=x, y=y):
            loss = F.cross_entropy(m(x), y)
            o.zero_grad()
            loss.backward()
            return loss

        o.step(closure=c)


@ok()
def loader(m, o):
    tot = 0
    for _ in range(3):
        for x, y in DataLoader(TensorDataset(X, Y), batch_size=32, shuffle=True, drop_last=True):
            o.zero_grad()
            loss = F.cross_entropy(m(x), y)
            loss.backward()
            o.step()
            tot += loss.item()


@ok()
def retain(m, o):
    for x, y in B():
        o.zero_grad()
        out = m(x)
        loss = F.cross_entropy(out, y)
        loss.backward(retain_graph=True)
        torch.autograd.grad(loss, m[0].weight)
        o.step()


@ok()
def none_mean(m, o):
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y, reduction="none").mean().backward()
        o.step()


@ok()
def warmup(m, o):
    for e in range(3):
        for p in m[0].parameters():
            p.requires_grad = e > 0
        for x, y in B():
            o.zero_grad()
            F.cross_entropy(m(x), y).backward()
            o.step()


@ok(net, lambda m: torch.optim.SGD(m[2].parameters(), lr=0.05))
def head_only(m, o):
    m[0].requires_grad_(False)
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok()
def checkpointing(m, o):
    from torch.utils.checkpoint import checkpoint

    for x, y in B():
        o.zero_grad()
        h = checkpoint(m[0], x, use_reentrant=False)
        F.cross_entropy(m[2](m[1](h)), y).backward()
        o.step()


@ok(net, fused)
def fusedloop(m, o):
    for x, y in list(B()) * 2:
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok(net, foreach)
def foreachloop(m, o):
    for x, y in list(B()) * 2:
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok(net1)
def gan_for(m, o):
    G = nn.Linear(2, 6)
    og = torch.optim.Adam(G.parameters())
    torch.manual_seed(3)
    for x, _ in list(B()) * 3:
        z = torch.randn(len(x), 2)
        fake = G(z)
        o.zero_grad()
        for d, t in ((x, 1.0), (fake.detach(), 0.0)):
            F.binary_cross_entropy_with_logits(m(d), torch.full((len(d), 1), t)).backward()
        o.step()
        og.zero_grad()
        F.binary_cross_entropy_with_logits(m(fake), torch.ones(len(x), 1)).backward()
        og.step()


@ok(net1)
def wgan_for(m, o):
    torch.manual_seed(3)
    for x, _ in list(B()) * 3:
        o.zero_grad()
        for d, t in ((x, 1.0), (torch.randn_like(x), -0.9)):
            (t * m(d).mean()).backward()
        o.step()
        m(x).mean().backward()


@ok()
def tasks(m, o):
    for x, y in list(B()) * 3:
        o.zero_grad()
        for t in (y, (y + 1) % 3):
            F.cross_entropy(m(x), t).backward()
        o.step()


@ok()
def adversarial(m, o):
    for x, y in list(B()) * 2:
        x = x.clone().requires_grad_(True)
        o.zero_grad()
        loss = F.cross_entropy(m(x), y)
        loss.backward()
        a = (x + 0.1 * x.grad.sign()).detach()
        F.cross_entropy(m(a), y).backward()
        o.step()


@ok()
def acc_clip_graddiv(m, o):
    for i, (x, y) in enumerate(B(4)):
        F.cross_entropy(m(x), y).backward()
        if (i + 1) % 4 == 0:
            for p in m.parameters():
                p.grad.div_(4)
            nn.utils.clip_grad_norm_(m.parameters(), 0.1)
            o.step()
            o.zero_grad()


@ok()
def savemodel(m, o):
    for x, y in list(B())[:5]:
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()
        torch.save(m, io.BytesIO())
        torch.save(o.state_dict(), io.BytesIO())


@ok()
def domains(m, o):
    X2 = torch.randn(208, 6)
    Y2 = torch.randint(0, 3, (208,))
    for i, (x, y) in enumerate(B()):
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        F.cross_entropy(m(X2[8 * i : 8 * i + 8]), Y2[8 * i : 8 * i + 8]).backward()
        o.step()


@ok(net1)
def bce_sig(m, o):
    for x, y in B(8, Bn):
        o.zero_grad()
        F.binary_cross_entropy(torch.sigmoid(m(x)), y).backward()
        o.step()


@ok()
def nll_ok(m, o):
    for x, y in B():
        o.zero_grad()
        nn.NLLLoss()(F.log_softmax(m(x), 1), y).backward()
        o.step()


@ok()
def scripted_none(m, o):
    for x, y in B():
        for p in m.parameters():
            p.grad = None
        F.cross_entropy(m(x), y, label_smoothing=0.1, weight=torch.ones(3)).backward()
        o.step()


@ok(bnnet)
def evaluated_with_gradients(m, o):
    for _ in range(2):
        for x, y in B():
            m.train()
            o.zero_grad()
            F.cross_entropy(m(x), y).backward()
            m.eval()
            F.cross_entropy(m(X), Y).item()  # without no_grad: dear, but right
            m.train()
            o.step()
            m.eval()
            m(X)


@ok(bnnet)
def evaluated_with_gradients_before_the_update(m, o):
    for _ in range(2):
        for x, y in B():
            m.train()
            o.zero_grad()
            F.cross_entropy(m(x), y).backward()
            m.eval()
            (m(X).argmax(1) == Y).float().mean().item()  # without no_grad: dear, but right
            o.step()


@ok()
def every_update_skipped_by_the_scaler(m, o):
    s = torch.amp.GradScaler("cpu", init_scale=2.0**120)  # in float32 every gradient overflows
    for x, y in list(B())[:5]:
        o.zero_grad()
        s.scale(1e30 * F.cross_entropy(m(x), y)).backward()
        s.step(o)
        s.update()


@ok(bnnet)
def batch_norm_frozen_on_purpose(m, o):
    m[1].eval()
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok()
def eval_mode_of_a_network_in_which_nothing_rests(m, o):
    m.eval()
    for x, y in B():
        o.zero_grad()
        F.cross_entropy(m(x), y).backward()
        o.step()


@ok()
def gradients_by_hand_in_place(m, o):
    for p in m.parameters():
        p.grad = torch.zeros_like(p)
    for x, y in B():
        given = torch.autograd.grad(F.cross_entropy(m(x), y), list(m.parameters()))
        for p, g in zip(m.parameters(), given, strict=True):
            p.grad.data.copy_(g)
        o.step()


@ok()
def first_by_backward_then_by_hand(m, o):
    for i, (x, y) in enumerate(B()):
        loss = F.cross_entropy(m(x), y)
        if i % 2:
            given = torch.autograd.grad(loss, list(m.parameters()))
            for p, g in zip(m.parameters(), given, strict=True):
                p.grad.data.copy_(g)
        else:
            o.zero_grad()
            loss.backward()
        o.step()


@pytest.mark.parametrize(("loop", "make", "optimizer"), RIGHT, ids=lambda f: f.__name__)
def test_a_right_loop_raises_no_finding_and_keeps_its_bits(loop, make, optimizer):
    watched, findings = observed(loop, make, optimizer)
    assert findings == []
    alone = make()
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loop(alone, optimizer(alone))
    assert all(torch.equal(a, b) for a, b in zip(watched.parameters(), alone.parameters(), strict=True))
