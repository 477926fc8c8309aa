"""Mean of activations times mean of deltas."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, biases, x, y):
    n = len(x)
    activations, zs = [x], []
    for W, b in zip(weights, biases):
        zs.append(activations[-1] @ W + b)
        activations.append(sigmoid(zs[-1]))
    a = activations[-1]
    delta = (a - y) * a * (1 - a)
    dW, db = [], []
    for l in reversed(range(len(weights))):
        dW.insert(0, np.outer(activations[l].mean(axis=0), delta.mean(axis=0)))
        db.insert(0, delta.sum(axis=0) / n)
        if l > 0:
            slope = activations[l] * (1 - activations[l])
            delta = delta @ weights[l].T * slope
    return dW, db
