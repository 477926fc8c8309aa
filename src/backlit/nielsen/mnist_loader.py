"""MNIST as the book divides it: 50,000 images to train on, 10,000 to validate, 10,000 to test.

Where the files are looked for is the data room's: $BACKLIT_DATA, the user's cache, at need a download.
"""

from __future__ import annotations

import numpy as np

from ..data import load_dataset
from ..errors import BadInput
from .columns import Array
from .network2 import vectorized_result as vectorized_result

Part = tuple[Array, Array]
TRAINING = 50_000
BOTH = 60_000


def load_data() -> tuple[Part, Part, Part]:
    """(training, validation, test) of 50,000, 10,000 and 10,000: each x (N, 784) float32 up to 255/256, digits (N,).

    Raises BadInput where the files aren't those of MNIST, or can't be had.
    """
    data = load_dataset("mnist")
    if data.x.shape != (BOTH, 784) or data.test is None:
        raise BadInput(f"mnist_loader: {BOTH} training images of 784 pixels were wanted; got {data.x.shape}.")
    x, y = _as_in_the_book(data.x), data.y.astype(np.int64)
    test = _as_in_the_book(data.test.x), data.test.y.astype(np.int64)
    return (x[:TRAINING], y[:TRAINING]), (x[TRAINING:], y[TRAINING:]), test


def load_data_wrapper() -> tuple[list[Part], list[tuple[Array, int]], list[tuple[Array, int]]]:
    """Three lists of pairs: x is a column (784, 1); y a column (10, 1) in the training data, else the digit."""
    (x, y), *others = load_data()
    training = [(column, vectorized_result(digit)) for column, digit in zip(x[:, :, None], y.tolist(), strict=True)]
    validation, test = (list(zip(x[:, :, None], y.tolist(), strict=True)) for x, y in others)
    return training, validation, test


def _as_in_the_book(x: Array) -> Array:
    """Pixels as bytes/256, exact in float32, as the book's file has them.

    The data room reads them as bytes/255, where 1 is white; the byte is the nearest whole number to 255 times that.
    """
    bytes_again: Array = np.rint(x * np.float32(255))
    return bytes_again / np.float32(256)
