"""Weight decay is in the gradient: that of another loss."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, biases, x, y):
    n = len(x)
    activations, zs = [x], []
    for W, b in zip(weights, biases, strict=True):
        zs.append(activations[-1] @ W + b)
        activations.append(sigmoid(zs[-1]))
    a = activations[-1]
    delta = (a - y) * a * (1 - a)
    dW, db = [], []
    for k in reversed(range(len(weights))):
        dW.insert(0, activations[k].T @ delta / n + 0.01 * weights[k])
        db.insert(0, delta.sum(axis=0) / n)
        if k > 0:
            slope = activations[k] * (1 - activations[k])
            delta = delta @ weights[k].T * slope
    return dW, db
