"""The data sets that have a name: five that scikit-learn carries, and MNIST.

scikit-learn is imported inside ``load_named`` only: it takes 0.7 s and 84 MB.
"""

from typing import NamedTuple

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
    from sklearn import datasets  # type: ignore[import-untyped]

    options = {"scaled": False} if name == "diabetes" else {}  # its default is scaled over all rows
    bunch = getattr(datasets, f"load_{name}")(**options)
    y: Array = bunch.target
    if y.dtype.kind in "iu" and name != "digits":
        y = bunch.target_names.astype(str)[y]
    return Dataset(bunch.data, y, columns=[str(column) for column in bunch.feature_names])
