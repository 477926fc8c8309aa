"""scikit-learn's own tests of its perceptrons, run on backlit's: the installed module with the two names replaced.

    python tests/sklearn_suite.py

It is a pytest plugin as well as a program: loaded as a plugin it puts backlit's classes into sklearn.neural_network
before the tests are collected, and deselects those that cannot apply. Exit code 0: all the others passed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TESTS = "sklearn.neural_network.tests.test_mlp"

# A test that cannot apply -> the reason: each reads private names of scikit-learn's implementation.
PRIVATE = {
    "test_gradient": "calls _loss_grad_lbfgs; gradients are held to differences in test_chain.py",
    "test_learning_rate_warmstart": "_optimizer.learning_rate; test_estimators_beyond.py looks at optimizer_.rate",
    "test_adaptive_learning_rate": "_optimizer.learning_rate; test_estimators_beyond.py looks at optimizer_.rate",
}


def pytest_configure(config: pytest.Config) -> None:
    import sklearn.neural_network

    import backlit

    sklearn.neural_network.MLPClassifier = backlit.MLPClassifier
    sklearn.neural_network.MLPRegressor = backlit.MLPRegressor


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.name.split("[")[0] in PRIVATE]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for name, reason in PRIVATE.items():
        terminalreporter.write_line(f"not applicable: {name}: {reason}")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    options = ["-p", "sklearn_suite", "-p", "no:cacheprovider", "-c", "/dev/null", "-q", "--pyargs", TESTS]
    sys.exit(pytest.main(options + sys.argv[1:]))
