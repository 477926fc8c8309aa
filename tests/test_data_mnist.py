"""MNIST by name: where it is looked for, and its download, tried against a server on this machine."""

import gzip
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal

from backlit.data import known_datasets, load_dataset, mnist


def idx(array):
    sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes())


FILES = {
    "train-images-idx3-ubyte.gz": idx(np.arange(4 * 9, dtype=np.uint8).reshape(4, 3, 3)),
    "train-labels-idx1-ubyte.gz": idx(np.array([0, 1, 0, 1], np.uint8)),
    "t10k-images-idx3-ubyte.gz": idx(np.ones((2, 3, 3), np.uint8)),
    "t10k-labels-idx1-ubyte.gz": idx(np.array([1, 0], np.uint8)),
}


def write_files(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        (folder / name).write_bytes(content)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache directory, and no BACKLIT_DATA."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache"))
    monkeypatch.delenv("BACKLIT_DATA", raising=False)
    return tmp_path / "cache" / "mnist"


@pytest.fixture
def mirror(monkeypatch):
    """A server that hands out FILES; ``mirror[name]`` may be changed, or be a function of the handler."""
    served = dict(FILES)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = served.get(self.path.lstrip("/"))
            if callable(content):
                content(self)
            elif content is None:
                self.send_error(404)
            else:
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    checksums = {name: hashlib.md5(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(mnist, "MIRROR", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setattr(mnist, "CHECKSUMS", checksums)
    monkeypatch.setattr(mnist, "TIMEOUT", 0.5)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def failure():
    message = refusal(load_dataset, "mnist")
    assert message.startswith("mnist: not found in")
    return message


def test_it_is_downloaded_once(cache, mirror, capfd):
    data = load_dataset("mnist")
    assert data.x.shape == (4, 9)
    assert len(data.test) == 2
    captured = capfd.readouterr()
    assert captured.err.count("downloading http") == 4
    assert captured.out == ""
    assert sorted(os.listdir(cache)) == sorted(FILES)
    mirror.clear()
    assert len(load_dataset("mnist")) == 4
    assert capfd.readouterr().err == ""


def cut(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "500")
    handler.end_headers()
    handler.wfile.write(b"\x1f\x8b some")


def silent(handler):
    threading.Event().wait(1)


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    for _ in range(40):
        handler.wfile.write(bytes(100))


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (FILES["t10k-labels-idx1-ubyte.gz"], "has MD5"),
        (None, "HTTP Error 404"),
        (cut, "cut off after 7 of 500 bytes"),
        (silent, "timed out"),
        (endless, "is larger than 3000 bytes"),
    ],
)
def test_a_failed_download_leaves_nothing_and_is_told(cache, mirror, monkeypatch, answer, word):
    monkeypatch.setattr(mnist, "LARGEST", 3000)
    mirror["train-labels-idx1-ubyte.gz"] = answer
    assert word in failure()
    assert os.listdir(cache) == ["train-images-idx3-ubyte.gz"]
    mirror.update(FILES)
    assert len(load_dataset("mnist")) == 4  # goes on where it stopped


def test_no_network_is_one_clear_sentence(cache, monkeypatch, tmp_path):
    monkeypatch.setattr(mnist, "MIRROR", "http://127.0.0.1:9/")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path / "nothing"))
    message = failure()
    assert str(tmp_path / "nothing" / "mnist") in message
    assert str(cache) in message
    assert "http://127.0.0.1:9/" in message
    assert "t10k-labels-idx1-ubyte.gz" in message


def test_a_cache_that_cannot_be_written_is_told(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in its place")
    assert "exists" in failure()


@pytest.mark.parametrize("below", ["mnist", "."])
def test_backlit_data_comes_first(cache, tmp_path, monkeypatch, below):
    write_files(tmp_path / "mine" / below)
    monkeypatch.setenv("BACKLIT_DATA", str(tmp_path / "mine"))
    assert len(load_dataset("mnist")) == 4
    assert not cache.exists()


def test_the_real_one(monkeypatch):
    here = os.environ.get("BACKLIT_DATA") or str(Path(__file__).parents[2] / "shared" / "data")
    found = any(mnist.find_idx_folder(Path(here) / below) for below in ("mnist", "."))
    if not found:
        needed = "mnist" in os.environ.get("BACKLIT_REQUIRE", "")
        reason = "MNIST's four files are neither in $BACKLIT_DATA nor in ../shared/data"
        (pytest.fail if needed else pytest.skip)(reason)
    monkeypatch.setenv("BACKLIT_DATA", here)
    data = load_dataset("mnist")
    known = next(known for known in known_datasets() if known.name == "mnist")
    assert data.x.shape == (known.rows, known.inputs)
    assert data.test.x.shape == (10_000, 784)
    assert data.classes == tuple(range(10))
    assert data.x.dtype == np.float32
    assert float(data.x.min()) == 0
    assert float(data.x.max()) == 1
    assert np.bincount(data.test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
