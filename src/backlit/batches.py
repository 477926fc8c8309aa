"""Batch: the row numbers of one step. The order is a function of (seed, epoch), so a run can be resumed or
replayed exactly. Row numbers only: x and y are never touched here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import BadInput

Rows = NDArray[np.int64]
Order = str | Callable[[int], Any]
ORDERS = ("shuffled", "shuffled_in_blocks", "as_given")
BLOCK = 1 << 16  # rows that are read together when the order is shuffled in blocks


def steps_per_epoch(n_rows: int, batch_size: int) -> int:
    """Updates in one epoch; a last, shorter batch is one more."""
    return -(-n_rows // batch_size)


def epoch_rows(n_rows: int, seed: int, epoch: int, order: Order = "shuffled") -> Rows:
    """Row numbers (n_rows,) of one epoch (from 0) in the order of training.

    order: "shuffled" by (seed, epoch); "shuffled_in_blocks": runs of BLOCK rows in shuffled order, each shuffled in
    itself, for data on a disk that is slow at random places; "as_given"; or your own function epoch -> row numbers,
    which may leave rows out or repeat them, but must give equally many for every epoch (counted from 0), and for one
    epoch always the same: a run that is resumed or replayed asks again. Raises BadInput for rows that don't exist.
    """
    wanted = f"order must be {', '.join(ORDERS)}, or a function epoch -> row numbers"
    if not isinstance(order, str) and not callable(order):
        raise BadInput(f"{wanted}; got {order!r:.60}.")
    if order == "shuffled":
        return np.random.default_rng([seed, epoch]).permutation(n_rows)
    if order == "shuffled_in_blocks":
        return _in_blocks(n_rows, np.random.default_rng([seed, epoch]))
    if order == "as_given":
        return np.arange(n_rows)
    if isinstance(order, str):
        raise BadInput(f"{wanted}; got {order!r:.60}.")
    try:
        rows = np.asarray(order(epoch))
    except ValueError:
        raise BadInput(f"order({epoch}) must give a list of whole row numbers; got a ragged one.") from None
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or rows.size == 0:
        raise BadInput(
            f"order({epoch}) must give a list of whole row numbers, at least one; got shape {rows.shape}, {rows.dtype}."
        )
    if rows.min() < 0 or rows.max() >= n_rows:
        raise BadInput(f"order({epoch}) must give rows from 0 to {n_rows - 1}; got {rows.min()} to {rows.max()}.")
    return rows.astype(np.int64)


def _in_blocks(n_rows: int, random: np.random.Generator) -> Rows:
    starts = random.permutation(-(-n_rows // BLOCK)) * BLOCK
    return np.concatenate([random.permutation(np.arange(s, min(s + BLOCK, n_rows))) for s in starts])


def cut(rows: Rows, batch_size: int, first: int) -> list[Rows]:
    """The steps of an epoch from step ``first`` on, as blocks (k, B) of batches of one length.

    The full batches come as one block, a last, shorter batch as a block (1, r) of its own.
    """
    left = rows[first * batch_size :]
    full = len(left) // batch_size * batch_size
    blocks = [left[:full].reshape(-1, batch_size), left[full:].reshape(1, -1)]
    return [block for block in blocks if block.size]
