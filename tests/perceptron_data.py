"""Small data, scaled, that the tests of the estimators share."""

from __future__ import annotations

import numpy as np
from sklearn import datasets
from sklearn.preprocessing import StandardScaler


def scaled(name):
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(x), y


IRIS = scaled("iris")
X_NUMBERS, NUMBERS = scaled("diabetes")
NUMBERS = (NUMBERS - NUMBERS.mean()) / NUMBERS.std()
THREE = np.stack([NUMBERS, NUMBERS**2, -NUMBERS], axis=1)
X_LABELS, LABELS = datasets.make_multilabel_classification(n_samples=80, random_state=0)
X_LABELS = StandardScaler().fit_transform(X_LABELS)
WEIGHTS = np.random.default_rng(0).uniform(0.1, 2, len(IRIS[0]))
