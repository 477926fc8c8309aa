"""Dataset: what it accepts and refuses, the targets that it gives a network, and how it is divided."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backlit.data import Dataset
from backlit.errors import BadInput

X = np.arange(12.0).reshape(4, 3)


def net(n_out, output="linear", loss="quadratic"):
    return SimpleNamespace(sizes=(3, n_out), output=output, loss=loss)


def refused(*words):
    """Expects BadInput in one line that holds every one of ``words``, in this order."""
    return pytest.raises(BadInput, match=r"^(?!.*\n)" + "".join(f".*{word}" for word in words))


def test_arrays_are_seen_not_copied_and_cannot_be_written():
    y = np.array([0.5, 1, 2, 3])
    data = Dataset(X, y)
    assert np.shares_memory(data.x, X)
    assert np.shares_memory(data.y, y)
    assert data.x.dtype == np.float64
    assert len(data) == 4
    with pytest.raises(ValueError, match="read-only"):
        data.x[0, 0] = 1
    X[0, 0] = 0.0  # the caller's own array stays his
    for name in ("x", "y", "classes", "test"):
        with pytest.raises(AttributeError):
            setattr(data, name, None)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "float64"])
def test_every_real_type_is_kept(dtype):
    assert Dataset(X.astype(dtype), [0, 1, 0, 1]).x.dtype == dtype


def test_a_memory_map_stays_one_and_is_not_read(tmp_path):
    np.save(tmp_path / "x.npy", np.full((4, 3), np.nan))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert isinstance(Dataset(x, [1, 2, 3, 4]).x, np.memmap)


NAN = X.copy()
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("x", "y", "weight", "words"),
    [
        (X[0], [1, 2, 3], None, ("x has shape", r"\(3,\)", r"reshape to \(N, 1\)")),
        (X[:0], [], None, ("x has shape", r"\(0, 3\)", "at least one row")),
        (X[:, :0], [1] * 4, None, (r"\(4, 0\)", "one column")),
        (X[None], [1], None, (r"\(1, 4, 3\)",)),
        (X.astype(complex), [1] * 4, None, ("x holds complex128",)),
        (X.astype(str), [1] * 4, None, ("x holds <U",)),
        (X.astype(object), [1] * 4, None, ("x holds object",)),
        ([[1, 2], [3]], [1, 2], None, ("x is a list",)),
        (np.ma.masked_array(X, X > 3), [1] * 4, None, ("masked",)),
        (NAN, [1] * 4, None, (r"x\[2, 1\] is nan", "finite")),
        (X, [1, 2, 3], None, ("x has 4 rows", "y has 3")),
        (X, np.ones((4, 2, 1)), None, (r"y has shape \(4, 2, 1\)",)),
        (X, [1.0, 2, np.inf, 3], None, (r"y\[2\] is inf",)),
        (X, ["a", None, "b", "c"], None, (r"y\[1\] is None",)),
        (X, ["a", float("nan"), "b", "c"], None, (r"y\[1\] is nan",)),
        (X, [["a"], ["b"], ["a"], ["b"]], None, ("y holds <U1",)),
        (X, np.array([1, 2, 3, 4], dtype="M8[s]"), None, ("y holds datetime64",)),
        (X, [1, 2, 3, 4], [1, 1, 1], ("sample_weight has shape", r"wanted \(4,\)")),
        (X, [1, 2, 3, 4], [1, 1, -1, 1], (r"sample_weight\[2\] is -1",)),
        (X, [1, 2, 3, 4], [1, np.nan, 1, 1], (r"sample_weight\[1\] is nan",)),
        (X, [1, 2, 3, 4], [0, 0, 0, 0], ("sample_weight is 0 for all",)),
    ],
)
def test_what_does_not_fit_is_named(x, y, weight, words):
    with refused(*words):
        Dataset(x, y, weight)


def test_a_bad_entry_far_down_is_named_by_its_own_row():
    x = np.zeros((300_000, 3), np.float32)
    x[271_828, 2] = -np.inf
    with refused(r"x\[271828, 2\] is -inf"):
        Dataset(x, np.zeros(300_000))


def test_classes_and_columns():
    assert Dataset(X, ["b", "a", "b", "c"]).classes == ("a", "b", "c")
    assert Dataset(X, np.array(["b", "a", "b", "c"], object)).classes == ("a", "b", "c")
    assert Dataset(X, np.array([3, 1, 3, 1], np.uint8)).classes == (1, 3)
    assert Dataset(X, [True, False, True, True]).classes == (False, True)
    assert Dataset(X, [0.0, 1, 2, 3]).classes is None
    assert Dataset(X, [1, 1, 1, 1], classes=[2, 1, 0]).classes == (0, 1, 2)
    assert Dataset(X, [1, 2, 1, 2], columns=["a", "b", "c"]).columns == ("a", "b", "c")
    for classes in (["a"], [1], [1, 1, 2], "12", 3, [1, "a"], []):
        with refused("classes|wanted one of"):
            Dataset(X, [1, 2, 1, 2], classes=classes)
    for columns in (["a"], "abc", ["a", "a", "b"], [1, 2, 3]):
        with refused("columns"):
            Dataset(X, [1, 2, 1, 2], columns=columns)


def test_of_takes_pairs_and_triples_only():
    data = Dataset(X, [1, 2, 3, 4])
    assert Dataset.of(data) is data
    assert Dataset.of((X, [1, 2, 3, 4])).sample_weight is None
    assert Dataset.of((X, [1, 2, 3, 4], [1, 0, 0, 2])).sample_weight.tolist() == [1, 0, 0, 2]
    for other in (X, (X,), (X, X, X, X), None, {"x": X}, "digits"):
        with refused("data is a"):
            Dataset.of(other)


def test_the_test_part_is_made_once_and_late():
    calls = []
    data = Dataset(X, [1, 2, 3, 4], test=lambda: calls.append(1) or Dataset(X, [1, 2, 3, 4]))
    assert not calls
    assert data.test is data.test
    assert calls == [1]
    assert Dataset(X, [1, 2, 3, 4]).test is None


def test_it_says_what_it_is_and_can_be_pickled():
    data = Dataset(X, ["a", "b", "a", "b"])
    assert repr(data) == "Dataset(4 rows of 3 inputs, float64; 2 classes)"
    assert repr(pickle.loads(pickle.dumps(data))) == repr(data)


@pytest.mark.parametrize(
    ("y", "network", "wanted"),
    [
        ([2, 0, 1, 2], net(3), [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        (["b", "a", "b", "a"], net(2, "softmax", "cross_entropy"), [[0, 1], [1, 0], [0, 1], [1, 0]]),
        ([2.0, 0, 2, 5], net(3), [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ([0, 1, 1, 0], net(1, "sigmoid", "binary_cross_entropy"), [[0], [1], [1], [0]]),
        ([0, 0, 0, 0], net(1, "sigmoid"), [[0]] * 4),
        ([7, 3, 3, 7], net(1, "sigmoid"), [[1], [0], [0], [1]]),
        (["no", "yes", "no", "no"], net(1, "tanh"), [[0], [1], [0], [0]]),
        ([True, False, True, False], net(1, "sigmoid"), [[1], [0], [1], [0]]),
        ([7, 3, 3, 7], net(1), [[7], [3], [3], [7]]),
        ([-1, 1, 1, -1], net(1, "tanh"), [[-1], [1], [1], [-1]]),
        ([0.5, 1.5, 2, 3], net(1), [[0.5], [1.5], [2], [3]]),
        ([0, 3, 1, 2], net(1, "exp", "poisson"), [[0], [3], [1], [2]]),
    ],
)
def test_targets(y, network, wanted):
    targets = Dataset(X, y).targets(network)
    assert targets.dtype.kind in "fiub"
    np.testing.assert_array_equal(targets, wanted)


THIRDS = np.full((4, 3), 1 / 3, np.float32)


@pytest.mark.parametrize(
    ("y", "network", "words"),
    [
        ([0, 1, 2, 1], net(2), ("3 classes", "2 outputs")),
        ([0, 1, 1, 1], net(3), ("2 classes", "3 outputs")),
        ([0.5, 1, 1, 1], net(2), (r"y\[0\] is 0.5", "2 outputs")),
        ([1.0, 1, np.finfo(float).max, 1], net(2), (r"y\[2\]",)),
        ([0, 1, 2, 1], net(1, "sigmoid"), ("3 classes", "one output")),
        (["a", "b", "c", "a"], net(1), ("3 classes", "one output")),
        (np.ones((4, 2)), net(3), (r"\(4, 2\)", r"\(4, 3\)")),
        (np.ones((4, 1)), net(3), (r"\(4, 1\)", r"\(4, 3\)")),
        (np.ones((4, 3)), net(3, "softmax", "cross_entropy"), (r"y\[0\]", "add up to 1")),
        ([[1, 0], [0.5, 0.5], [-1, 2], [0, 1]], net(2, "softmax", "cross_entropy"), (r"y\[2\] is -1, 2",)),
        ([0.5, 0.5, 1.5, 0], net(1, "sigmoid", "binary_cross_entropy"), (r"y\[2\] is 1.5", "0 to 1")),
        ([1, 2, -3, 4], net(1, "exp", "poisson"), (r"y\[2\] is -3", "0 or more")),
    ],
)
def test_targets_that_make_no_sense_are_refused(y, network, words):
    with refused(*words):
        Dataset(X, y).targets(network)


def test_a_matrix_passes_unchanged_and_new_targets_follow_x():
    y = THIRDS.copy()
    assert np.shares_memory(Dataset(X, y).targets(net(3, "softmax", "cross_entropy")), y)
    assert Dataset(X, [0, 1, 0, 1]).targets(net(2)).dtype == np.float64
    assert Dataset(X.astype("f2"), [0, 1, 0, 1]).targets(net(2)).dtype == np.float32


def test_targets_are_kept_for_the_last_kind_of_network():
    data = Dataset(X, [0, 1, 0, 1])
    first = data.targets(net(2))
    assert data.targets(net(2)) is first
    assert data.targets(net(1)).shape == (4, 1)
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 5


def test_take_keeps_what_belongs_to_the_rows():
    data = Dataset(X, ["a", "b", "c", "a"], [1, 2, 3, 0], columns=["p", "q", "r"])
    part = data.take([3, 1])
    np.testing.assert_array_equal(part.x, X[[3, 1]])
    assert part.y.tolist() == ["a", "b"]
    assert part.sample_weight.tolist() == [0, 2]
    assert part.classes == ("a", "b", "c")
    assert part.columns == data.columns
    for rows in ([], [[1]], [0.5], [True], [4], [-1], 1):
        with refused("rows"):
            data.take(rows)
    with refused("sample_weight is 0"):
        data.take([3])


@settings(deadline=None, max_examples=100)
@given(
    counts=st.lists(st.integers(2, 30), min_size=1, max_size=6),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32),
)
def test_split_divides_every_class_alike(counts, share, seed):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    n = len(y)
    data = Dataset(np.arange(float(n)).reshape(-1, 1), y)
    train, rest = data.split(share, seed)
    rows = [part.x[:, 0].astype(int) for part in (train, rest)]
    assert sorted(np.concatenate(rows)) == list(range(n))
    assert all((np.diff(part) > 0).all() for part in rows)
    k = min(max(round(share * n), 1), n - 1)
    assert len(train) == k
    for label, count in enumerate(counts):
        assert abs((train.y == label).sum() - count * k / n) < 1
    again, _ = data.split(share, seed)
    np.testing.assert_array_equal(again.x, train.x)


def test_split_without_classes_and_with_a_lonely_one():
    numbers = Dataset(np.arange(100.0).reshape(-1, 1), np.linspace(0, 1, 100))
    train, rest = numbers.split(0.8, 0)
    assert (len(train), len(rest)) == (80, 20)
    assert not np.array_equal(train.x, numbers.split(0.8, 1)[0].x)
    lonely = Dataset(np.arange(100.0).reshape(-1, 1), [1] * 99 + [2])
    assert len(lonely.split(0.8, 0)[0]) == 80
    sorted_labels = Dataset(np.arange(100.0).reshape(-1, 1), [0] * 50 + [1] * 50)
    plain = {int((sorted_labels.split(0.5, s, stratify=False)[0].y == 0).sum()) for s in range(20)}
    assert len(plain) > 1  # drawn without a look at the labels
    for share, seed, word in ((0, 0, "share"), (1.0, 0, "share"), ("a", 0, "share"), (0.5, -1, "seed")):
        with refused(word):
            numbers.split(share, seed)
    with refused("one row"):
        numbers.take([0]).split(0.5, 0)
