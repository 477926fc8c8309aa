"""Estimators: MLPClassifier and MLPRegressor under scikit-learn's contract, trained by backlit's loop and engines.

Nothing is inherited from scikit-learn's own perceptrons: only its base classes and public tools are used. No formula
of training may live here.
"""

from .classifier import MLPClassifier as MLPClassifier
from .regressor import MLPRegressor as MLPRegressor
