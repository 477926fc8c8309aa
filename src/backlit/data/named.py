"""The data sets that have a name: five that scikit-learn carries, and MNIST.

scikit-learn is imported inside ``load_named`` only, and not for the digits: it takes 0.7 s and 84 MB, which is more
than training on them does.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .arrays import Array
from .dataset import Dataset
from .mnist import load_mnist


class KnownDataset(NamedTuple):
    """One line of the list of named data sets."""

    name: str
    rows: int
    inputs: int
    classes: int | None  # None: one number per row
    about: str


KNOWN = (
    KnownDataset("digits", 1797, 64, 10, "handwritten digits, 8 × 8 pixels of 0 to 16"),
    KnownDataset("iris", 150, 4, 3, "iris flowers: lengths and widths in cm"),
    KnownDataset("wine", 178, 13, 3, "wines of three growers: chemical analysis"),
    KnownDataset("breast_cancer", 569, 30, 2, "cell nuclei of tumours: malignant or benign"),
    KnownDataset("diabetes", 442, 10, None, "patients: progression of diabetes after one year"),
    KnownDataset("mnist", 60000, 784, 10, "handwritten digits, 28 × 28 pixels of 0 to 1; 10000 more to test on"),
)


def known_datasets() -> list[KnownDataset]:
    """The data sets that ``load_dataset`` knows by name. ``rows`` doesn't count those to test on."""
    return list(KNOWN)


def load_named(name: str) -> Dataset:
    """One of the known data sets, its values as they were measured (unscaled)."""
    if name == "mnist":
        return load_mnist()
    if name == "digits" and (file := digits_file()) is not None:
        return read_digits(file)
    from sklearn import datasets  # type: ignore[import-untyped]

    options = {"scaled": False} if name == "diabetes" else {}  # its default is scaled over all rows
    bunch = getattr(datasets, f"load_{name}")(**options)
    y: Array = bunch.target
    if y.dtype.kind in "iu" and name != "digits":
        y = bunch.target_names.astype(str)[y]
    return Dataset(bunch.data, y, columns=[str(column) for column in bunch.feature_names])


def digits_file() -> Path | None:
    """Where the installed scikit-learn keeps the digits; None where this release keeps them elsewhere."""
    package = find_spec("sklearn")  # finds the package without importing it
    folders = package.submodule_search_locations if package else None
    files = [Path(folder, "datasets", "data", "digits.csv.gz") for folder in folders or ()]
    return next((file for file in files if file.is_file()), None)


def read_digits(file: Path) -> Dataset:
    """The digits as ``sklearn.datasets.load_digits`` gives them: in each line 64 pixels and the digit."""
    table = np.loadtxt(file, delimiter=",")
    pixels = [f"pixel_{row}_{column}" for row in range(8) for column in range(8)]
    return Dataset(np.ascontiguousarray(table[:, :-1]), table[:, -1].astype(np.int64), columns=pixels)
