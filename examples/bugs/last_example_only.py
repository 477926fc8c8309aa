"""Each example overwrites the one before."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, biases, x, y):
    activations, zs = [x], []
    for W, b in zip(weights, biases, strict=True):
        zs.append(activations[-1] @ W + b)
        activations.append(sigmoid(zs[-1]))
    a = activations[-1]
    delta = (a - y) * a * (1 - a)
    dW, db = [], []
    for k in reversed(range(len(weights))):
        dW.insert(0, np.outer(activations[k][-1], delta[-1]))
        db.insert(0, delta[-1])
        if k > 0:
            slope = activations[k] * (1 - activations[k])
            delta = delta @ weights[k].T * slope
    return dW, db
