"""A PyTorch loop with two mistakes, watched by bl.audit. Needs PyTorch: pip install ".[torch]"."""

import torch

import backlit as bl

torch.manual_seed(0)
first, second = torch.nn.Linear(8, 16), torch.nn.Linear(16, 3)
model = torch.nn.ModuleList([first, second])
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
x, y = torch.randn(128, 8), torch.randint(0, 3, (128,))

with bl.audit(model, optimizer) as log:
    for rows in torch.arange(128).split(32):
        hidden = torch.relu(first(x[rows])).detach()
        loss = torch.nn.functional.cross_entropy(second(hidden), y[rows])
        loss.backward()
        optimizer.step()

print(log.report())
