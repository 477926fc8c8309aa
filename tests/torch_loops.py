"""Networks, batches and optimizers of the loops that audit is tested with, and one audited run. No tests."""

from __future__ import annotations

import warnings

import torch
import torch.nn as nn

import backlit as bl

torch.set_num_threads(1)  # these networks are tiny
GENERATOR = torch.Generator().manual_seed(1)
X = torch.randn(208, 6, generator=GENERATOR)
Y = torch.randint(0, 3, (208,), generator=GENERATOR)
R = torch.randn(208, 1, generator=GENERATOR)
Bn = torch.randint(0, 2, (208, 1), generator=GENERATOR).float()


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def net1():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1))


def bnnet():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))


class Tied(nn.Module):
    def __init__(s):
        super().__init__()
        torch.manual_seed(0)
        s.a = nn.Linear(6, 6)
        s.b = nn.Linear(6, 6)
        s.b.weight = s.a.weight
        s.c = nn.Linear(6, 3)

    def forward(s, x):
        return s.c(torch.tanh(s.b(torch.tanh(s.a(x)))))


def sgd(m):
    return torch.optim.SGD(m.parameters(), lr=0.05)


def adam(m):
    return torch.optim.Adam(m.parameters(), lr=0.01)


def fused(m):
    return torch.optim.AdamW(m.parameters(), lr=0.01, fused=True)


def foreach(m):
    return torch.optim.SGD(m.parameters(), lr=0.05, foreach=True, momentum=0.9)


def B(n=8, T=Y):
    for i in range(0, 208, n):
        yield X[i : i + n], T[i : i + n]


def observed(loop, make, optimizer):
    model = make()
    torch.manual_seed(5)
    held = optimizer(model)
    with warnings.catch_warnings(), bl.audit(model, held) as log:
        warnings.simplefilter("ignore")  # PyTorch's own, of broadcasts and of schedulers out of order
        loop(model, held)
    report = log.report()
    assert str(report)
    return model, [f.name for f in report.findings]
