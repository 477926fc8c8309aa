"""The reader of IDX files: what is written comes back; what is cut off, damaged or absurd is named."""

import gzip
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import answer_or_refusal, refusal

from backlit.data import load_dataset, load_inputs
from backlit.data.idx import TYPES, read_idx
from backlit.errors import BadInput

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def idx_bytes(array):
    code = next(code for code, name in TYPES.items() if np.dtype(name) == array.dtype.newbyteorder(">"))
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(TYPES[code]).tobytes()


def told(path, **kind):
    message = refusal(read_idx, path, **kind)
    assert path.name in message
    return message


@QUICK
@given(
    name=st.sampled_from(sorted(TYPES.values())),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    packed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_type_and_shape_comes_back(tmp_path, name, shape, packed, seed):
    array = np.random.default_rng(seed).integers(0, 100, shape).astype(np.dtype(name).newbyteorder("="))
    content = idx_bytes(array)
    path = tmp_path / "some.idx"
    path.write_bytes(gzip.compress(content) if packed else content)
    back = read_idx(path, as_images=False)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_images_become_rows_of_float32_from_0_to_1(tmp_path):
    array = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    (tmp_path / "a.idx3").write_bytes(idx_bytes(array))
    x = read_idx(tmp_path / "a.idx3", as_images=True)
    assert x.dtype == np.float32
    assert x.shape == (4, 64)
    np.testing.assert_array_equal(x, array.reshape(4, 64) / np.float32(255))
    (tmp_path / "b.idx3").write_bytes(idx_bytes(array.astype(np.float32)))
    np.testing.assert_array_equal(read_idx(tmp_path / "b.idx3", as_images=True), array.reshape(4, 64))


@pytest.mark.parametrize("packed", [False, True])
def test_truncated_at_every_byte(tmp_path, packed):
    content = idx_bytes(np.arange(60, dtype=np.int16).reshape(3, 4, 5))
    content = gzip.compress(content) if packed else content
    path = tmp_path / "cut.idx"
    for length in range(len(content)):
        path.write_bytes(content[:length])
        told(path, as_images=False)
    path.write_bytes(content)
    assert read_idx(path, as_images=False).shape == (3, 4, 5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"PNG and more", "first bytes are 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\x01a", "00 00 07 01"),
        (b"\0\0\x08\0", "00 00 08 00"),
        (b"\0\0\x08\x01\0\0\0\0", "at least one item"),
        (b"\0\0\x0e\x04" + b"\xff" * 16 + b"some", "more than the file holds"),
        (b"\0\0\x08\xff" + b"\xff" * 1020, "more than the file holds"),
        (b"\0\0\x08\x01\x40\0\0\0ab", "more than the file holds"),
        (b"\0\0\x08\x01\0\0\0\x01ab", "more bytes follow"),
    ],
)
def test_bad_headers_are_told(tmp_path, content, word, packed):
    path = tmp_path / "bad.idx"
    path.write_bytes(gzip.compress(content) if packed else content)
    assert word in told(path, as_images=True)


def test_a_damaged_gzip_file_is_told(tmp_path):
    content = bytearray(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8))))
    content[-6] ^= 1  # the checksum at its end
    path = tmp_path / "damaged.idx.gz"
    path.write_bytes(content)
    assert "damaged" in told(path, as_images=True) or "CRC" in told(path, as_images=True)


@QUICK
@given(head=st.sampled_from([b"", b"\0\0\x08\x03", b"\x1f\x8b\x08", b"\0\0\x0e\x01\0\0\0\x01"]), rest=st.binary())
def test_random_bytes_give_an_array_or_bad_input(tmp_path, head, rest):
    path = tmp_path / "random.idx"
    path.write_bytes(head + rest)
    array, message = answer_or_refusal(read_idx, path, as_images=True)
    if array is None:
        assert "random.idx" in message
    else:
        assert array.nbytes <= 4 * (len(rest) + 4)


def test_memory_is_that_of_the_result(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (40_000, 28, 28), np.uint8)
    path = tmp_path / "images.idx3.gz"
    path.write_bytes(gzip.compress(idx_bytes(images), 1))
    del images
    tracemalloc.start()
    try:
        x = read_idx(path, as_images=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - x.nbytes < 15e6


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("pattern", ["{}-images-idx3-ubyte", "{}-images.idx3-ubyte"])
def test_folder_and_single_file(tmp_path, pattern, ending):
    rng = np.random.default_rng(0)
    for part, n in (("train", 6), ("t10k", 3)):
        for what, array in (
            ("images-idx3", rng.integers(0, 256, (n, 2, 2), np.uint8)),
            ("labels-idx1", (np.arange(n) % 3).astype(np.uint8)),
        ):
            name = pattern.format(part).replace("images", what[:6]).replace("idx3", what[7:]) + ending
            content = idx_bytes(array)
            (tmp_path / name).write_bytes(gzip.compress(content) if ending else content)
    data = load_dataset(tmp_path)
    assert data.x.shape == (6, 4)
    assert data.classes == (0, 1, 2)
    assert data.test.x.shape == (3, 4)
    assert data.test.classes == (0, 1, 2)
    images = tmp_path / (pattern.format("train") + ending)
    single = load_dataset(images)
    np.testing.assert_array_equal(single.x, data.x)
    np.testing.assert_array_equal(load_inputs(images), data.x)
    assert single.test is None
    for labels in tmp_path.glob("train*labels*"):
        with pytest.raises(BadInput, match="images"):
            load_dataset(labels)
        labels.unlink()
    with pytest.raises(BadInput, match="labels beside it"):
        load_dataset(images)
    with pytest.raises(BadInput, match="holds no data set"):
        load_dataset(tmp_path)


def test_counts_that_differ_are_told(tmp_path):
    (tmp_path / "images.idx3").write_bytes(idx_bytes(np.ones((3, 2, 2), np.uint8)))
    (tmp_path / "labels.idx1").write_bytes(idx_bytes(np.ones(4, np.uint8)))
    with pytest.raises(BadInput, match=r"images.idx3: x has 3 rows and y has 4"):
        load_dataset(tmp_path / "images.idx3")
