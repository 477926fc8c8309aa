"""Each example overwrites the one before."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def backprop(weights, biases, x, y):
    activations, zs = [x], []
    for W, b in zip(weights, biases):
        zs.append(activations[-1] @ W + b)
        activations.append(sigmoid(zs[-1]))
    a = activations[-1]
    delta = (a - y) * a * (1 - a)
    dW, db = [], []
    for l in reversed(range(len(weights))):
        dW.insert(0, np.outer(activations[l][-1], delta[-1]))
        db.insert(0, delta[-1])
        if l > 0:
            slope = activations[l] * (1 - activations[l])
            delta = delta @ weights[l].T * slope
    return dW, db
