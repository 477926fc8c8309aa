"""Searches of scikit-learn over the estimators on a real Dask cluster: workers in processes of their own."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from requires import requires

import backlit as bl

try:
    from dask.distributed import Client, LocalCluster
except ImportError:
    requires("dask", False, 'pip install "dask[distributed]"')

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # of Dask's own


@pytest.fixture(scope="module")
def client():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kind = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
        with LocalCluster(**kind) as cluster, Client(cluster) as client:
            yield client


@pytest.mark.parametrize("search", ["grid", "random"])
def test_a_search_over_worker_processes_finds_what_one_process_finds(client, search):
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pids = set(client.run(os.getpid).values())
    assert len(pids) == 2 and os.getpid() not in pids
    x, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), bl.MLPClassifier(max_iter=30, random_state=0))
    choices = {"mlpclassifier__hidden_layer_sizes": [(5,), (20,)], "mlpclassifier__learning_rate_init": [0.001, 0.03]}

    def run():
        if search == "grid":
            return GridSearchCV(model, choices, cv=3).fit(x, y)
        return RandomizedSearchCV(model, choices, n_iter=3, cv=3, random_state=1).fit(x, y)

    here = run()
    with joblib.parallel_backend("dask"):
        there = run()
    assert there.best_params_ == here.best_params_
    assert np.array_equal(there.cv_results_["mean_test_score"], here.cv_results_["mean_test_score"])
