"""What ``bl.audit`` costs a PyTorch loop: 784-128-10, batch 32, SGD, measured in turns with and without it.

Run as ``python benchmarks/audit_overhead.py``. One thread, processor time; printed are the median of the ratios of
neighbouring rounds, and whether the parameters come out the same to the bit.
"""

from __future__ import annotations

import statistics
import time
from contextlib import nullcontext

import torch
from torch import nn
from torch.nn import functional

import backlit as bl

ROUNDS, STEPS = 41, 200


def loop(audited: bool, x: torch.Tensor, y: torch.Tensor) -> tuple[float, list[torch.Tensor]]:
    """(processor seconds of the steps, the parameters afterwards)."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with bl.audit(model, optimizer) if audited else nullcontext():
        start = time.process_time()
        for step in range(STEPS):
            rows = slice(32 * step % 3200, 32 * step % 3200 + 32)
            optimizer.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        seconds = time.process_time() - start
    return seconds, [p.detach() for p in model.parameters()]


def main() -> None:
    torch.set_num_threads(1)
    x, y = torch.rand(3200, 784), torch.randint(0, 10, (3200,))
    loop(True, x, y)
    ratios, plain_times = [], []
    for _ in range(ROUNDS):
        plain, without = loop(False, x, y)
        audited, with_it = loop(True, x, y)
        ratios.append(audited / plain)
        plain_times.append(plain / STEPS)
        assert all(torch.equal(a, b) for a, b in zip(without, with_it, strict=True)), "the audit changed the results"
    step, cost = 1e6 * statistics.median(plain_times), statistics.median(ratios) - 1
    print(f"a step takes {step:.0f} µs; with the audit {cost:+.1%}, rounds from {min(ratios) - 1:+.1%} to "
          f"{max(ratios) - 1:+.1%}; the same parameters to the bit")  # fmt: skip


if __name__ == "__main__":
    main()
