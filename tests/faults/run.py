"""The run that is killed: python run.py FOLDER RESULT. It keeps itself in FOLDER every 50 ms, goes on with what is
there, and writes to RESULT what must be the same to the bit: the State and every curve.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
from pathlib import Path

import numpy as np

import backlit as bl

EPOCHS = 50


def data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    x = random.standard_normal((6000, 100)).astype(np.float32)
    return x, (x @ random.standard_normal((100, 5))).argmax(1)


def main(folder: str, result: str) -> None:
    x, y = data()
    net = bl.Network([100, 60, 5], output="softmax", loss="cross_entropy")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the shell has it ignored
    print("begun", flush=True)
    state, history = bl.fit(
        net,
        bl.Adam(bl.OneCycle(0.01, EPOCHS * 172)),
        (x[500:], y[500:]),
        epochs=EPOCHS,
        validation=(x[:500], y[:500]),
        early_stopping=EPOCHS,
        checkpoints=bl.Checkpoints(folder, every="50ms", resume=True),
        progress=False,
    )
    if history.interrupted:
        sys.exit(130)
    vectors = [state.parameters, *(state.slots[name] for name in sorted(state.slots))]
    bits = hashlib.sha256(b"".join(vector.tobytes() for vector in vectors)).hexdigest()
    Path(result).write_text(json.dumps({"bits": bits, "step": state.step, "history": vars(history)}), "utf-8")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:  # before the training began
        sys.exit(130)
