"""Training by perturbing every weight: no chain rule, only "what if this number were a little larger?".

Prints what one update does to the worked network: 13 parameters, so 14 forward passes for a single update.
"""

import numpy as np


def loss(inputs, outputs, weights):
    """Mean squared error of a network with a sigmoid hidden layer; weights = [W1, b1, W2, b2]."""
    W1, b1, W2, b2 = weights
    hidden = 1 / (1 + np.exp(-(inputs @ W1 + b1)))
    return np.mean((hidden @ W2 + b2 - outputs) ** 2)


def update_weights(inputs, outputs, weights, lr):
    """One update: every gradient is measured at the same weights, then all weights move at once."""
    before = loss(inputs, outputs, weights)
    gradients = [np.zeros_like(w) for w in weights]
    for w, gradient in zip(weights, gradients, strict=True):
        for index in np.ndindex(w.shape):
            kept = w[index]
            w[index] = kept + 0.0001
            gradient[index] = (loss(inputs, outputs, weights) - before) / 0.0001
            w[index] = kept
    return [w - lr * gradient for w, gradient in zip(weights, gradients, strict=True)]


if __name__ == "__main__":
    weights = [
        np.array([[-0.0053, -0.5820, -0.2723], [0.3793, -0.5204, 0.1896]]),
        np.array([-0.0140, 0.5607, -0.0628]),
        np.array([[0.1528], [-0.1745], [-0.1135]]),
        np.array([-0.5516]),
    ]
    inputs, outputs = np.array([[1.0, 1.0]]), np.array([[0.0]])
    print(f"loss before: {loss(inputs, outputs, weights):.6f}")
    for _ in range(100):
        weights = update_weights(inputs, outputs, weights, lr=0.01)
    print(f"loss after 100 updates: {loss(inputs, outputs, weights):.6f}")
