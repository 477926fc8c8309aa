"""Lengths and products of example gradients, without the example gradients; and the noise of a mini-batch from them.

The gradient of example i with respect to W of a layer is outer(aᵢ, δᵢ), with respect to b it is δᵢ, so that

    ‖gᵢ‖² = Σ over layers (‖aᵢ‖² + 1)·‖δᵢ‖²          ⟨gᵢ, gⱼ⟩ = Σ over layers (aᵢ·aⱼ + 1)·(δᵢ·δⱼ)

with a what the layer takes in and δ = ∂Lᵢ/∂z (Goodfellow, 2015, arXiv 1510.01799): B·units numbers instead of B·P.
Formulas only, plain NumPy like chain.py; each engine has its own kernel for them, which the tests hold to these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .state import Floats


def squared_norms(inputs: Sequence[Floats], deltas: Sequence[Floats]) -> Floats:
    """‖gᵢ‖² (B,) of each example's gradient, from the inputs (B, fan_in) and deltas (B, fan_out) of every layer."""
    pairs = zip(inputs, deltas, strict=True)
    total: Floats = sum(((a * a).sum(1) + 1) * (delta * delta).sum(1) for a, delta in pairs)  # type: ignore[assignment]
    return total


def products(inputs: Sequence[Floats], deltas: Sequence[Floats]) -> Floats:
    """⟨gᵢ, gⱼ⟩ (B, B) between the gradients of every two examples."""
    pairs = zip(inputs, deltas, strict=True)
    total: Floats = sum((a @ a.T + 1) * (delta @ delta.T) for a, delta in pairs)  # type: ignore[assignment]
    return total


def signal_and_noise(
    mean_square: NDArray[np.float64], square_of_mean: NDArray[np.float64], rows: int, population: int | None = None
) -> NDArray[np.float64]:
    """(k, 2): estimates of ‖G‖² and of tr Σ from one batch each, for k batches of ``rows`` examples.

    G is the mean of the example gradients over all the data, Σ their covariance. With n = mean ‖gᵢ‖² (k,) and
    m = ‖mean gᵢ‖² (k,) over the batch's B rows,

        ‖G‖² ≈ (B·m − n)/(B − 1)          tr Σ ≈ (n − m)·B/(B − 1)

    (McCandlish et al., 2018, arXiv 1812.06162, appendix A, with batches of 1 and B). Both are unbiased for rows drawn
    with replacement. ``population``: how many rows there are, where a batch never holds a row twice, as in an epoch:
    then E m = ‖G‖² + tr Σ/B · (N − B)/(N − 1), and what follows for both is taken account of.

    Average each of the two over many batches, then divide: the quotient of one batch is biased, and its first number
    may be negative. One row tells no noise from signal: NaN.
    """
    if rows < 2:
        return np.full((len(mean_square), 2), np.nan)
    with np.errstate(all="ignore"):  # a run that leaves the finite numbers is told by its losses
        signal = (rows * square_of_mean - mean_square) / (rows - 1)
        noise = (mean_square - square_of_mean) * (rows / (rows - 1))
        if population is not None:
            signal = signal + noise / population
            noise = noise * ((population - 1) / population)
    return np.stack([signal, noise], axis=1)
