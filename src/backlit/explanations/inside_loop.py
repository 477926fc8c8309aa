"""What updating inside the loop over the examples would have given: the same batch, another result.

Each example takes its own small step, so every later one sees parameters that have moved. Plain gradient descent
on both sides, with the rate and the L2 of the step: an optimizer with a memory has no "same" small steps.
"""

from __future__ import annotations

import numpy as np

from .. import chain
from ..optimizers import SGD, AdamW
from ..state import Floats
from ..trace import Trace


def inside_the_loop(trace: Trace) -> Floats:
    """(B + 1, P) parameters: before, and after each example took its share of the one update by itself."""
    net, s = trace.network, trace.sample_weight
    state, factor = trace.before, chain.batch_factor(net, s)
    path, l2 = [state.parameters], l2_in_gradient(trace)
    for i in range(len(s)):
        if s[i] > 0:
            # A batch of one under "mean" forgets its weight, so its share goes into the rate.
            rate = trace.rate * (factor * float(s[i]) if net.reduction == "mean" else 1.0)
            opt = SGD(rate, l2=l2 if net.reduction == "mean" else l2 * float(s[i] / s.sum()))
            rows = slice(i, i + 1)
            state = chain.step(net, opt, state, trace.x[rows], trace.y[rows], sample_weight=s[rows]).after
        path.append(state.parameters)
    return np.stack(path)


def once(trace: Trace) -> Floats:
    """(P,) parameters after the one update of the whole batch by plain gradient descent."""
    return trace.before.parameters - trace.rate * trace.gradient.flat


def l2_in_gradient(trace: Trace) -> float:
    """What W times it is added to the reduced gradient of a weight."""
    opt = trace.optimizer
    if isinstance(opt, AdamW) or not opt.l2:
        return 0.0
    return opt.l2 / float(trace.sample_weight.sum()) if opt.l2_over == "batch" else opt.l2
