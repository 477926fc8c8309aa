"""The sentences of a diagnosis: of each bug what it is, where to look, and what the line should be."""

from __future__ import annotations

from ..network import Network

PARTS = {
    "sign": "the sign is turned round",
    "n": "times the batch size (a sum where the mean belongs)",
    "1/n": "divided by the batch size once more than it should be",
    "n/(n-1)": "divided by the batch size less one, where the batch size belongs",
    "2": "times 2 (the ½ of the loss, or the 2 of the square)",
    "1/2": "times ½ (the ½ of the loss, or the 2 of the square)",
    "outputs": "times the number of outputs",
    "1/outputs": "divided by the number of outputs",
    "Σs/N": "divided by the number of examples, where the sum of the sample weights belongs",
}

SLOPES = {
    "linear": "1",
    "sigmoid": "a * (1 - a)",
    "softmax": "a * (1 - a) on the diagonal, -a * a_of_the_other beside it",
    "tanh": "1 - a**2",
    "relu": "1 if z > 0 else 0",
    "leaky_relu": "1 if z > 0 else 0.01",
    "gelu": "Phi(z) + z * phi(z)",
    "softplus": "sigmoid(z)",
    "exp": "a",
}

# name -> (what it is, where to look, what the line should be); {layer} is "layer 2", "every layer", …
BUGS = {
    "sign": (
        "the gradient has the wrong sign",
        "look at the error (y − a for a − y), or at an update that adds: two wrong signs cancel.",
        "delta = (a - y) * slope(z); W -= rate * dW",
    ),
    "sum_not_mean": (
        "the example gradients are added up but not divided by the batch size",
        "look at the end of the sum over the batch.",
        "dW = a_below.T @ delta / n",
    ),
    "mean_twice": (
        "the gradient is divided by the batch size once too often",
        "look for a mean in the loss together with a division in the gradient or the update.",
        "dW = a_below.T @ delta / n",
    ),
    "scale": (
        "the whole gradient is a constant times the right one",
        "look for a constant in the derivative of the loss.",
        "delta = {output_delta}",
    ),
    "layer_scale": (
        "the gradient of {layer} has a constant factor that the others have not",
        "look at the lines of {layer}, one after another.",
        "dW = a_below.T @ delta / n",
    ),
    "missing_derivative": (
        "the delta of {layer} is not multiplied by the derivative of its activation",
        "look at the line that makes this delta.",
        "delta = {into} * slope(z)",
    ),
    "derivative_of_activation": (
        "the derivative of {layer}'s activation is taken at a, where z belongs",
        "look at what the derivative function is given: if it is written for z, as sigmoid(z) * (1 - sigmoid(z)), give "
        "it z.",
        "delta = {into} * slope(z)",
    ),
    "double_derivative": (
        "the delta of {layer} is multiplied by the derivative of its activation twice",
        "look at the line that makes this delta, and at the derivative of the loss: one of them has it already.",
        "delta = {into} * slope(z)",
    ),
    "wrong_derivative": (
        "the delta of {layer} is multiplied by another slope than that of its activation",
        "look at the function of the derivative, and whether it belongs to the activation of the forward pass.",
        "delta = {into} * slope(z)  # {slope}",
    ),
    "extra_output_derivative": (
        "the output delta is multiplied by the derivative of the output's activation, which cancels with this loss",
        "look at the first line of the backward pass.",
        "delta = a - y",
    ),
    "stale_gradient": (
        "the gradient of the step before is still in it: the sums were not set back to zero",
        "look for where the gradients are set to zero: it must be done before every batch (zero_grad).",
        "dW = zeros_like(W)  # at the beginning of every step",
    ),
    "updated_before_backward": (
        "weights are changed before the delta below has been taken through them",
        "look at the order: all the deltas first, then all the updates.",
        "delta_below = delta @ W.T * slope(z)  # with the W of the forward pass",
    ),
    "averaged_activations": (
        "activations and deltas are averaged over the batch, and then multiplied",
        "look for a mean over the batch before the product. The mean of products is not the product of means.",
        "dW = a_below.T @ delta / n",
    ),
    "last_example_only": (
        "it is the gradient of the last example, not of the batch",
        "look at the loop over the examples: = where += belongs.",
        "dW += outer(a_below, delta)",
    ),
    "first_example_only": (
        "it is the gradient of the first example, not of the batch",
        "look for a return or break inside the loop over the examples, or for an index 0.",
        "for x, y in batch: dW += outer(a_below, delta)",
    ),
    "example_left_out": (
        "one example of the batch is not in the sum",
        "look at the range of the loop or slice over the examples: it is one too short.",
        "for i in range(n): dW += outer(a_below[i], delta[i])",
    ),
    "targets_out_of_step": (
        "each output is held against the target of another example",
        "look at how x and y are cut into batches and shuffled: row i of both must be of one example.",
        "x, y = data_x[rows], data_y[rows]",
    ),
    "bias_not_summed": (
        "the bias gradient of {layer} is not the sum over the rows",
        "look at the line that makes db.",
        "db = delta.sum(axis=0) / n",
    ),
    "bias_missing": (
        "the biases of {layer} get no gradient",
        "look at the line that makes db, and whether it is there.",
        "db = delta.sum(axis=0) / n",
    ),
    "transposed_weights": (
        "a square weight matrix of {layer} is used the wrong way round",
        "look at every .T; in a layer with as many units as inputs no shape gives it away.",
        "delta_below = delta @ W.T * slope(z); dW = a_below.T @ delta / n",
    ),
    "broadcast_targets": (
        "targets of shape (N,) are held against outputs of shape (N, 1), so that every output meets every target",
        "look at the shapes where a − y is taken: it must be (N, 1), and is (N, N).",
        "y = y.reshape(-1, 1)",
    ),
    "l2_included": (
        "the gradient of an L2 penalty on the weights is in it, and this network's loss has none",
        "it is right for a loss with ½ of that number times the sum of all w²: to check it, leave the penalty out. In "
        "backlit it belongs to the optimizer, as bl.SGD(rate, l2=...).",
        "dW = a_below.T @ delta / n  # the penalty afterwards",
    ),
    "double_softmax": (
        "the output goes through its activation twice: once in the network and once in the loss",
        "look at what the loss function applies by itself.",
        "delta = a - y  # with a that went through it once",
    ),
}


def place(net: Network, layer: int | None, hidden_only: bool = False) -> str:
    """ "layer 2 (the output)", "every layer"."""
    if layer is None:
        return "every hidden layer" if hidden_only else "every layer"
    return f"layer {layer} (the output)" if layer == len(net.sizes) - 1 else f"layer {layer}"


def bug_text(net: Network, name: str, layer: int | None, detail: str = "", hidden_only: bool = False) -> str:
    """What it is, where to look, one line of what it should be."""
    what, where, line = BUGS[name]
    last = len(net.sizes) - 1
    output_delta = (
        "a - y" if net.loss in ("binary_cross_entropy", "cross_entropy", "poisson") else "dloss_da * slope(z)"
    )
    into = "dloss_da" if layer == last else "(delta_above @ W_above.T)"
    # Every layer at once: the first whose slope is one to be mistaken.
    curved = [name for name in net.activations if name != "linear"] or ["linear"]
    slope = SLOPES[curved[0] if layer is None else net.activations[layer - 1]]
    names = {"layer": place(net, layer, hidden_only), "output_delta": output_delta, "into": into, "slope": slope}
    told = f" ({detail})" if detail else ""
    return f"{what.format(**names)}{told}. {_capital(where.format(**names))} It should be: `{line.format(**names)}`."


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def factor_text(parts: tuple[str, ...], value: float) -> str:
    """What a constant means: "times the batch size (summed, not averaged)"."""
    return " and ".join(dict.fromkeys(PARTS[part] for part in parts)) if parts else f"times {value:.6g}"
