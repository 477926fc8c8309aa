"""NumPy's files, and which reader a name or path leads to."""

import io
import os
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import answer_or_refusal, refusal
from sklearn.datasets import load_digits

from backlit.data import known_datasets, load_dataset, load_inputs, named
from backlit.errors import BadInput

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
X = np.arange(12.0).reshape(4, 3)


def told(path, load=load_dataset):
    message = refusal(load, path)
    assert path.name in message
    return message


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("names", [("x", "y"), ("X", "Y"), ("x_train", "y_train")])
def test_npz_comes_back(tmp_path, save, names):
    path = tmp_path / "data.npz"
    save(path, **dict(zip(names, (X, ["b", "a", "b", "a"]), strict=True)))
    data = load_dataset(path)
    np.testing.assert_array_equal(data.x, X)
    assert data.classes == ("a", "b")
    assert data.test is None
    np.testing.assert_array_equal(load_inputs(path), X)


def test_npz_with_weights_and_a_test_part(tmp_path):
    path = tmp_path / "data.npz"
    parts = {"x": X, "y": [0, 1, 2, 1], "sample_weight": [1, 2, 0, 1], "x_test": X[:2], "y_test": [1, 2]}
    np.savez(path, **parts)
    data = load_dataset(path)
    assert data.sample_weight.tolist() == [1, 2, 0, 1]
    assert data.test.classes == (0, 1, 2)
    assert len(data.test) == 2
    np.savez(path, **(parts | {"y_test": [0, 7]}))
    assert load_dataset(path).test.classes == (0, 1, 2, 7)  # numbers, or a label that the network refuses
    np.savez(path, **(parts | {"x_test": X[:1]}))
    with pytest.raises(BadInput, match=r"data.npz: test part: x has 1 rows"):
        _ = load_dataset(path).test
    del parts["y_test"]
    np.savez(path, **parts)
    assert "y_test is missing" in told(path)


def test_npz_that_does_not_fit_is_told(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=X, z=X)
    assert "y is missing, it holds x, z" in told(path)
    np.savez(path, x=np.array([X, None], object), y=[1, 2])
    assert "Python objects" in told(path)
    bad = X.copy()
    bad[1, 2] = np.inf
    np.savez(path, x=bad, y=[1, 2, 3, 4])
    assert "x[1, 2] is inf" in told(path)
    assert "x[1, 2] is inf" in told(path, load_inputs)


def claiming(shape, descr="<f8", compressed=True, body=b""):
    """An .npz whose x claims ``shape``; y is honest."""
    stream = io.BytesIO()
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"shape": shape, "fortran_order": False, "descr": descr})
    y = io.BytesIO()
    np.save(y, np.arange(4))
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("x.npy", head.getvalue() + body)
        archive.writestr("y.npy", y.getvalue())
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(10**12, 3), (4, 10**15), (-4, -3), (2**63, 2)])
def test_absurd_shapes_are_refused_before_memory_is_taken(tmp_path, shape):
    path = tmp_path / "absurd.npz"
    path.write_bytes(claiming(shape, body=b"\0" * 96))
    assert "x says shape" in told(path)


def test_an_archive_that_lies_about_its_size_is_refused(tmp_path):
    content = bytearray(claiming((4, 3), compressed=False, body=X.tobytes()))
    for at in (content.find(b"PK\x01\x02") + 24,):  # the size in the list of contents
        content[at : at + 4] = (2**31).to_bytes(4, "little")
    path = tmp_path / "lies.npz"
    path.write_bytes(content)
    assert "more bytes than the file holds" in told(path)


def test_npz_cut_off_or_random(tmp_path):
    whole = claiming((4, 3), body=X.tobytes())
    path = tmp_path / "cut.npz"
    path.write_bytes(whole)
    assert len(load_dataset(path)) == 4
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        told(path)


@QUICK
@given(at=st.integers(0, 600), to=st.binary(min_size=1, max_size=4), compressed=st.booleans())
def test_changed_bytes_give_a_dataset_or_bad_input(tmp_path, at, to, compressed):
    content = bytearray(claiming((4, 3), compressed=compressed, body=X.tobytes()))
    at %= len(content)
    content[at : at + len(to)] = to
    path = tmp_path / "changed.npz"
    path.write_bytes(content)
    data, message = answer_or_refusal(load_dataset, path)
    assert (data is None) != (message is None)


def test_npy_pairs_and_folders_stay_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    np.save(tmp_path / "y.npy", np.array([0, 1, 2, 1]))
    for path in (tmp_path, tmp_path / "x.npy"):
        data = load_dataset(path)
        assert isinstance(data.x, np.memmap)
        assert data.x.dtype == np.float32
        assert data.y.tolist() == [0, 1, 2, 1]
        np.testing.assert_array_equal(load_inputs(path), X)
    np.save(tmp_path / "x_test.npy", X[:2])
    np.save(tmp_path / "y_test.npy", np.array([1, 0]))
    assert len(load_dataset(tmp_path).test) == 2
    whole = (tmp_path / "x.npy").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "x.npy").write_bytes(whole[:length])
        told(tmp_path / "x.npy")
    (tmp_path / "y.npy").unlink()
    assert "pair of files" in told(tmp_path / "x.npy")
    np.save(tmp_path / "x.npy", np.array([None]), allow_pickle=True)
    np.save(tmp_path / "y.npy", np.array([1]))
    assert "object" in told(tmp_path / "x.npy").lower()


def test_known_names():
    for known in known_datasets():
        if known.name == "mnist":
            continue
        data = load_dataset(known.name)
        assert data.x.shape == (known.rows, known.inputs)
        assert len(data.columns) == known.inputs
        assert (None if data.classes is None else len(data.classes)) == known.classes
    assert load_dataset("iris").classes == ("setosa", "versicolor", "virginica")
    assert load_dataset("digits").classes == tuple(range(10))
    assert load_dataset("diabetes").x.max() > 100  # as measured, not scaled
    assert load_inputs("iris").shape == (150, 4)


def test_digits_are_those_of_scikit_learn(monkeypatch):
    """Read from its file, or by its loader where a release keeps that file elsewhere: to the bit the same."""
    theirs = load_digits()
    read = load_dataset("digits")
    monkeypatch.setattr(named, "digits_file", lambda: None)
    for data in (read, load_dataset("digits")):
        assert data.x.dtype == theirs.data.dtype
        assert np.array_equal(data.x, theirs.data)
        assert data.y.dtype == theirs.target.dtype
        assert np.array_equal(data.y, theirs.target)
        assert list(data.columns) == theirs.feature_names


def test_what_cannot_be_loaded_is_told(tmp_path):
    for name, word in (
        ("digit", "did you mean digits"),
        ("no/such.csv", "no such file or folder"),
        ("a\0b", "By name there are digits"),
    ):
        assert word in refusal(load_dataset, name)
    (tmp_path / "picture.png").write_bytes(b"PNG")
    assert "of no kind" in told(tmp_path / "picture.png")
    assert "holds no data set" in told(tmp_path)
    with pytest.raises(BadInput, match="target is 'a'"):
        load_dataset("iris", target="a")
    with pytest.raises(BadInput, match="data is a int"):
        load_dataset(3)
    (tmp_path / "folder.csv").mkdir()
    assert "holds no data set" in told(tmp_path / "folder.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    assert "something else" in told(tmp_path / "pipe.csv")
