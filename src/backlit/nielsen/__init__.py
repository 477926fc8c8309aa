"""The modules of Michael Nielsen's "Neural Networks and Deep Learning" for its readers: ``network``, ``network2``
and ``mnist_loader``, with the book's names, signatures, shapes and printed lines, on the engines of backlit.

Here an example is a pair of columns, x (n_in, 1) and y (n_out, 1), and weights are (fan_out, fan_in), as in the
book. Other rooms never import from here.
"""
