"""Tables as text: what is written comes back, the target is understood, and every bad cell is named."""

import csv
import math
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import answer_or_refusal, refusal

import backlit as bl
from backlit.data import Dataset, Preparation, cells, csv_text, import_tables, load_dataset, load_inputs, load_prepared
from backlit.errors import BadInput

QUICK = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12).filter(
    lambda s: s == s.strip() and s and not s[0].isdigit() and cells.as_number(s) is None and s[0] != "\ufeff"
)


def table(tmp_path, text, name="data.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def told(path, **how):
    message = refusal(load_dataset, path, **how)
    assert path.name in message
    return message


@QUICK
@given(
    names=st.lists(NAME, min_size=2, max_size=5, unique=True),
    labels=st.lists(NAME, min_size=2, max_size=4, unique=True),
    delimiter=st.sampled_from(",;\t"),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    content=st.data(),
)
def test_what_csv_writes_comes_back(tmp_path, names, labels, delimiter, newline, bom, content):
    rows = content.draw(
        st.lists(st.lists(FINITE, min_size=len(names) - 1, max_size=len(names) - 1), min_size=2, max_size=6)
    )
    y = [labels[i % len(labels)] for i in range(len(rows))]
    if len(set(y)) < 2:
        return
    path = tmp_path / "back.csv"
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL)
        writer.writerow(names)
        writer.writerows([*row, label] for row, label in zip(rows, y, strict=True))
    data = load_dataset(path, target=names[-1])
    np.testing.assert_array_equal(data.x, np.array(rows))
    assert data.y.tolist() == y
    assert data.columns == tuple(names[:-1])
    assert data.target == names[-1]


@QUICK
@given(st.binary(max_size=200) | st.text("0123456789,;\t\n\r\"'abc.e+-", max_size=200).map(str.encode))
def test_random_bytes_give_a_dataset_or_bad_input(tmp_path, content):
    for head in b"", b"a,b\n":
        path = table(tmp_path, head + content, "random.csv")
        data, message = answer_or_refusal(load_dataset, path)
        assert isinstance(data, Dataset) if message is None else "random.csv" in message


def test_truncated_at_every_byte(tmp_path):
    whole = 'a,b,kind\n1.5,"2.5","big ""one"""\n-3,4e2,"small\nthing"\n5,6,größe\n'.encode()
    full = load_dataset(table(tmp_path, whole))
    for length in range(len(whole)):
        part, _ = answer_or_refusal(load_dataset, table(tmp_path, whole[:length]))
        if part is not None:
            np.testing.assert_array_equal(part.x, full.x[: len(part)])


@pytest.mark.parametrize(
    ("column", "classes", "dtype"),
    [
        (["0", "1", "0", "1"], (0, 1), "int64"),
        (["3", "1", "+3", "01"], (1, 3), "int64"),
        (["-1", "1", "-1", "1"], (-1, 1), "int64"),
        (["1", "2", "3", "2"], None, "float64"),
        (["3.0", "1.0", "3.0", "1.0"], None, "float64"),
        (["1e3", "2.5", "1e3", "2.5"], None, "float64"),
        (["b", "a", "b", "a"], ("a", "b"), "<U1"),
        (["1", "2", "x", "1"], ("1", "2", "x"), "<U1"),
        (["1_0", "2", "2", "2"], ("1_0", "2"), "<U3"),
        (["True", "False"] * 2, ("False", "True"), "<U5"),
        ([str(10**20 + i % 2 * 10**6) for i in range(4)], None, "float64"),
    ],
)
def test_the_target_is_understood(tmp_path, column, classes, dtype):
    data = load_dataset(table(tmp_path, "x,t\n" + "".join(f"{i},{cell}\n" for i, cell in enumerate(column))))
    assert data.classes == classes
    assert data.y.dtype == dtype
    assert "'t'" in data.note
    assert ("classes" in data.note) == (classes is not None)


def test_a_header_with_line_breaks_and_lines_before_it(tmp_path):
    path = table(tmp_path, '\n  \n"length\nin; cm";"big, ""kind"""\n1;x\n2;y\n')
    data = load_dataset(path)
    assert data.columns == ("length\nin; cm",)
    assert data.target == 'big, "kind"'
    assert "line 5" in told(table(tmp_path, '\n\n"a\nb",c\n1\n'))
    assert "quotes" in told(table(tmp_path, '"a,b\n' + "1,2\n" * 50_000))


def test_many_whole_numbers_are_numbers(tmp_path):
    rows = "".join(f"{i},{i % 21}\n" for i in range(100))
    assert load_dataset(table(tmp_path, "x,t\n" + rows)).classes is None
    rows = "".join(f"{i},{i % 20}\n" for i in range(100))
    assert load_dataset(table(tmp_path, "x,t\n" + rows)).classes == tuple(range(20))


def test_too_many_texts_are_no_classes(tmp_path):
    rows = "".join(f"{i},name {i}\n" for i in range(1500))
    assert "line 1002" in told(table(tmp_path, "x,t\n" + rows))
    rows = "".join(f"{i},{i / 7}\n" for i in range(1500))
    assert "line 1502" in told(table(tmp_path, "x,t\n" + rows + "1500,odd\n"))


def test_which_column_is_the_target(tmp_path):
    text = "Label,a,b\n0,1,2\n1,3,4\n0,5,6\n1,7,8\n"
    data = load_dataset(table(tmp_path, text))
    assert data.target == "Label"
    assert data.x[:, 0].tolist() == [1, 3, 5, 7]
    data = load_dataset(table(tmp_path, text), target="a")
    assert data.columns == ("Label", "b")
    assert data.y.tolist() == [1, 3, 5, 7]
    data = load_dataset(table(tmp_path, text.replace("Label", "c")))
    assert data.target == "b"
    assert "last column" in data.note
    message = told(table(tmp_path, text), target="lable")
    assert "did you mean" in message
    assert "Label, a, b" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["empty"]),
        ("\n\n", ["empty"]),
        ("a,b\n", ["no rows"]),
        ("a,b\n\n\n", ["no rows"]),
        ("a,a\n1,2\n", ["line 1", "'a'"]),
        ("a,,c\n1,2,3\n", ["column 2 has no name"]),
        ("a\n1\n2\n", ["one column (a)"]),
        ("a,b\n1,2\n\n3\n", ["line 4", "1 cell:", "wanted 2"]),
        ("a,b\n1,2\n1,2,3\n", ["line 3", "3 cells"]),
        ("a,b\n1,2\nred,3\n", ["line 3", "column 'a'", "'red'"]),
        ("a,b\n1,2\n1e999,3\n", ["line 3", "column 'a'", "too large"]),
        ("a,b\n1,2\n1_000,3\n", ["line 3", "column 'a'", "1_000"]),
        ("a,b\n1,2\n3,\n", ["line 3", "target 'b'"]),
        ("a,b\n1,x\n3,NaN\n", ["line 3", "target 'b'"]),
        ("a,b\n1,2.5\n3,-inf\n", ["line 3", "target 'b'"]),
        ('a,b\n"1,5",2\n', ["line 2", "column 'a'", "'1,5'", "with a point"]),
        ('a,b\n"1,000",2\n', ["line 2", "'1,000'", "without signs between thousands: 1000"]),
        ('a,b\n"-1,234,567.25",2\n', ["without signs between thousands: -1234567.25"]),
        ('a,b\n"0,125",2\n', ["with a point"]),
        ("a;b\n1.000,50;2\n2.000,75;3\n", ["line 2", "without signs between thousands: 1000.50"]),
        ("a;b\n1.000.000,5;2\n1,5;3\n", ["line 2", "without signs between thousands: 1000000,5"]),
        ("a;b\n1,5;2\n2.5;3\n", ["line 2", "column 'a'", "'1,5'", "with a point"]),
        ("a;b\n" + "1,5;2\n" * 1000 + "2.5;3\n", ["line 1002", "'2.5'", "decimal commas", "alike"]),
        ("a;b\n1,5;2\n1.234,5;3\n", ["line 3", "'1.234,5'", "between thousands"]),
        ("a,b\n1,5,2,5\n", ["line 2", "4 cells", "semicolons"]),
        ("a,b\n1,2.5\n3,7\n4,NA\n", ["line 4", "target 'b'", "'NA'"]),
        ("a,b\n1,x\n2,x\n", ["'x' in every row"]),
        ("a,b\n1,0\n2,0\n", ["0 in every row"]),
        ('a,b\n"1,2\n3,4\n', ["line", "quotes"]),
        ('a,b\n"1"2,3\n', ["line 2", "quotes"]),
        ('a,b\n"1\n2",3\n1,2', ["line 3", "column 'a'", r"'1\n2'"]),
        (b"a,b\n1,\xff\n", ["line 2", "UTF-8", "0xff"]),
        (b"gr\xfcn,b\n1,2\n", ["line 1", "UTF-8", "0xfc"]),
        (b"a,b\n" + b"1,2\n" * 5000 + b"3,\xe4\n", ["line 5002", "0xe4"]),
        (b"\xff\xfea\0,\0b\0", ["is text in UTF-16", "UTF-8"]),
        ("a,b\n1,2\n3,4\n".encode("utf-16-le"), ["is text in UTF-16"]),
        ("a,b\n1,2\n3,4\n".encode("utf-16-be"), ["is text in UTF-16"]),
        (b"\x1f\x8b\x08\0rest", ["packed by gzip", "unpack"]),
        (b"PK\x03\x04rest", ["workbook", "as CSV"]),
        (b"PAR1restPAR1", ["Parquet", ".parquet"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(60), ["old workbook", "as CSV"]),
        ("a,b\n1,2\n".encode("utf-32"), ["no text in UTF-8"]),
        (bytes(100), ["no text in UTF-8"]),
        ("a,b\n1," + "x" * 101 + "\n", ["line 2", "100 characters"]),
        ("a,b\n1,x\0\n", ["line 2", "class name"]),
        ("a,b\n" + "1" * 200_000 + ",3\n", ["line 2"]),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    message = told(table(tmp_path, text))
    for word in words:
        assert word in message
    assert len(message) < 400


def test_a_line_without_end_is_not_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "LONGEST_LINE", 1000)
    assert "line 2: is longer" in told(table(tmp_path, "a,b\n" + "1," * 5000))


@pytest.mark.parametrize("name", ["data.tsv", "data.txt", "DATA.CSV"])
def test_other_endings(tmp_path, name):
    assert load_dataset(table(tmp_path, "a\tb\n1\t2\n3\t4\n", name)).columns == ("a",)


def test_inputs_are_picked_by_name_for_prediction(tmp_path):
    train = load_dataset(table(tmp_path, "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n"))
    preparation = Preparation.learn(train)
    for text in ("b,a\n2,1\n4,3\n", "name,kind,b,a\nann,?,2,1\nbob,,4,3\n"):
        x = load_inputs(table(tmp_path, text, "new.csv"), preparation)
        np.testing.assert_array_equal(x, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(load_inputs(table(tmp_path, "p,q\n1,2\n", "new.csv")), [[1, 2]])
    with pytest.raises(BadInput, match=r"new.csv: has no column 'b'.*came a, c"):
        load_inputs(table(tmp_path, "a,c\n1,2\n", "new.csv"), preparation)
    with pytest.raises(BadInput, match=r"new.csv line 2, column 'b'"):
        load_inputs(table(tmp_path, "a,b\n1,red\n", "new.csv"), preparation)
    with pytest.raises(BadInput, match=r"new.csv: has a header but no rows"):
        load_inputs(table(tmp_path, "a,b\n", "new.csv"), preparation)


def test_among_texts_na_may_be_a_class(tmp_path):
    assert load_dataset(table(tmp_path, "a,b\n1,NA\n2,DE\n")).classes == ("DE", "NA")


def test_columns_are_taken_or_dropped_by_name(tmp_path):
    path = table(tmp_path, "a,b,c,t\n1,2,red,x\n3,4,7,y\n5,6,8,x\n")
    assert load_dataset(path, drop=["c"]).columns == ("a", "b")
    assert "dropped: c" in load_dataset(path, drop=["c"]).note
    assert load_dataset(path, "t", columns=["b", "a"]).x.tolist() == [[2, 1], [4, 3], [6, 5]]
    assert load_dataset(path, drop=["t", "c"]).target == "b"
    assert "'d' to drop" in told(path, drop=["d"])
    assert "keeps t after dropping" in told(path, drop=["a", "b", "c"])
    assert "no column 'z'" in told(path, columns=["z"])
    assert "digits is none" in refusal(load_dataset, "digits", drop=["d"])


def test_a_large_table_takes_seconds(tmp_path):
    rng = np.random.default_rng(0)
    lines = [",".join(f"{v:.6f}" for v in row) for row in rng.normal(size=(1000, 20))]
    path = table(tmp_path, ",".join(f"c{i}" for i in range(20)) + "\n" + "\n".join(lines * 50))
    start = time.perf_counter()
    data = load_dataset(path)
    assert data.x.shape == (50_000, 19)
    assert math.isclose(data.x[1000, 3], data.x[0, 3])
    assert time.perf_counter() - start < 10  # about 0.5 s where nothing else runs


def test_the_note_counts_what_is_missing(tmp_path):
    lines = ["a,b,town,y", "1,,Bern,1", ",2,,2", ",3,Chur,3", "4,5,Bern,4", "5,6,Chur,5"]
    note = load_dataset(table(tmp_path, "\n".join(lines) + "\n")).note
    assert "missing: a in 2 rows, b in 1 row (the column's mean stands there)" in note
    assert "missing: town in 1 row (a category of its own)" in note
    assert "missing" not in load_dataset(table(tmp_path, "a,y\n1,2\n3,4\n")).note


def test_a_raw_table_of_any_width_is_to_be_prepared(tmp_path):
    raw = load_dataset(table(tmp_path, "town,y\nBern,1\nChur,2\nBern,3\nChur,4\n"))
    with pytest.raises(BadInput, match="prepare it first"):
        bl.fit(bl.Network([2, 1]), bl.SGD(0.1), raw, epochs=1, progress=False)


def test_white_space_around_a_class_makes_no_other_class(tmp_path):
    """In quotes too, at reading and in rows that a trained model is asked about."""
    data = load_dataset(table(tmp_path, 'a,b\n1,yes\n2, yes\n3,"no\t"\n4,no\xa0\n'))
    assert data.classes == ("no", "yes")
    assert data.y.tolist() == ["yes", "yes", "no", "no"]
    preparation = Preparation.learn(data)
    other = load_prepared(table(tmp_path, "a,b\n1, no\n2,yes \n", "other.csv"), None, preparation, {})
    assert other.y.tolist() == ["no", "yes"]
    older = replace(preparation, classes=(" yes", "yes"))  # a model of before tells them apart, and still does
    kept = load_prepared(table(tmp_path, "a,b\n1, yes\n2,yes \n", "other.csv"), None, older, {})
    assert kept.y.tolist() == [" yes", "yes"]


def test_a_target_that_names_its_rows_is_refused(tmp_path):
    """Also what is no name in every row: more classes than half the rows. Of few rows it is only said."""
    def rows(n):
        return "x,id\n" + "".join(f"{i},name {i}\n" for i in range(n))

    message = told(table(tmp_path, rows(300) + "300,name 0\n"))
    assert "target 'id' has 300 classes in 301 rows" in message
    assert "another column" in message
    assert len(load_dataset(table(tmp_path, rows(300) + rows(300)[5:])).classes) == 300
    assert "20 classes (texts) in 20 rows, too few" in load_dataset(table(tmp_path, rows(20))).note


def test_columns_that_hold_nothing_are_left_out(tmp_path):
    """What they hold at prediction would have no scale."""
    rows = "".join(f"{k},,{k % 7}.5\n" for k in range(30))
    data = load_dataset(table(tmp_path, "a,nothing,y\n" + rows))
    assert data.columns == ("a",)
    assert "left out, because they hold nothing: nothing" in data.note
    message = told(table(tmp_path, "nothing,y\nNA,1.5\n,2.5\n"))
    assert "every column (nothing) is empty or has a text of its own" in message


@pytest.mark.parametrize("numbers", ["1.5", "-3e20", "123456789012345678901"])
def test_a_target_of_one_number_is_refused(tmp_path, numbers):
    assert "in every row: wanted at least two" in told(table(tmp_path, f"a,y\n1,{numbers}\n2,{numbers}\n3,{numbers}\n"))
    far = "a,y\n" + "".join(f"{k},{10**20 + k}\n" for k in range(9))  # the same float
    assert "'y' is 1e+20 in every row" in told(table(tmp_path, far))


@pytest.mark.parametrize("write", ["{}%", "${}.50", "{} kg", "-{} °C", "1 {:03}"])
def test_numbers_with_signs_are_told_how_to_be_written(tmp_path, write):
    rows = "".join(f"{write.format(k)},{k},{k % 2}\n" for k in range(40))
    data = load_dataset(table(tmp_path, "p,a,y\n" + rows))
    assert data.columns == ("a",)
    assert "write numbers without %, units and the like: p" in data.note
    for name in ("name {}", "{}A", "A{}"):  # 0A, 1B, 2C: no unit
        names = "".join(f"{name.format(k).replace('A', 'ABC'[k % 3])},{k},{k % 2}\n" for k in range(40))
        assert "write numbers" not in load_dataset(table(tmp_path, "p,a,y\n" + names)).note


def test_lines_of_white_space_are_empty(tmp_path):
    text = "a,y\n1,0\n  \n2,1\n\t\n3,0\n4,1\n \n"
    assert load_dataset(table(tmp_path, text)).x.tolist() == [[1], [2], [3], [4]]
    assert "line 3: has 1 cell: wanted 2" in told(table(tmp_path, "a,y\n1,0\n2\n"))


def test_a_column_that_counts_the_rows_is_told(tmp_path):
    """Of rows sorted by class it tells the class: a perfect score, and of no use."""
    rows = "".join(f"{k + 1},{k % 7},{'ab'[k // 20]}\n" for k in range(40))
    assert "Id counts the rows: drop it" in load_dataset(table(tmp_path, "Id,a,y\n" + rows)).note
    assert "counts" not in load_dataset(table(tmp_path, "Id,a,y\n" + rows.replace("33,", "34,"))).note
    constant = "".join(f"1e17,{k % 7},{'ab'[k // 20]}\n" for k in range(40))
    assert "counts" not in load_dataset(table(tmp_path, "Id,a,y\n" + constant)).note


def test_what_nearly_fits_is_named(tmp_path):
    path = table(tmp_path, "Age,Ticket no,Y\n1,2,3\n2,A/5 0,4\n3,4,5\n")
    assert "target 'y' is none of its columns (did you mean Y?)" in told(path, target="y")
    assert "came 'A/5 0'; correct it, leave it empty, or drop the column: --drop 'Ticket no'" in told(path)
    for name in ("t.csv.gz", "T.CSV.ZIP", "t.tsv.xz"):
        assert "unpack it first" in told(table(tmp_path, "a,b\n1,2\n", name))
    (tmp_path / "folder").mkdir()
    table(tmp_path / "folder", "[]", "import.json")
    assert "run the same backlit import again" in told(tmp_path / "folder")


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "SEP=;\r"])
def test_the_line_that_excel_wants_is_no_header(tmp_path, line):
    path = table(tmp_path, line + "\na;t\n1,5;x\n2,5;y\n")
    data = load_dataset(path)
    assert (data.columns, data.target, data.x.tolist()) == (("a",), "t", [[1.5], [2.5]])
    assert load_dataset(table(tmp_path, line + "\n1,5;x\n2,5;y\n")).x.tolist() == [[1.5], [2.5]]
    assert "line 4" in told(table(tmp_path, line + "\na;t\n1;x\n2\n"))


@pytest.mark.parametrize(
    ("numbers", "slip"),
    [
        ([str(100_000 + 137 * k) for k in range(399)], "sold"),
        ([str(100_000 + 137 * (k % 50)) for k in range(399)], "12O"),
        ([f"{k % 5}.5" for k in range(399)], "x"),
        ([str(k / 7) for k in range(1500)], "odd"),
    ],
)
def test_a_text_among_the_numbers_of_the_target_is_named(tmp_path, numbers, slip):
    """In the words for an input column; not as so many classes, nor as a name of every row."""
    for line in (4, len(numbers)):
        cells = [*numbers[: line - 2], slip, *numbers[line - 2 :]]
        path = table(tmp_path, "a,price\n" + "".join(f"{k % 9},{cell}\n" for k, cell in enumerate(cells)))
        for target in ("price", None):
            said = f"line {line}, target 'price': wanted a number, as in most of its rows, came '{slip}'; correct it"
            assert said in told(path, target=target)
        message = refusal(import_tables, [path], tmp_path / "new", "price", 0.2, lambda *_: None)
        assert "target 'price': wanted numbers" in message
        assert f"came '{slip}' in row {line - 1:,} of all" in message


def test_a_text_among_few_whole_numbers_is_a_class(tmp_path):
    for kinds in ("12x", "123456789x", ["1", "1.5x", "2x"]):
        path = table(tmp_path, "a,t\n" + "".join(f"{k},{kinds[k % len(kinds)]}\n" for k in range(60)))
        assert load_dataset(path).classes == tuple(kinds)


def test_commas_in_the_numbers_of_the_target_are_told(tmp_path):
    """In every row, or in some; a few such texts may be classes, as sets of numbers are."""
    every = table(tmp_path, "a,t\n" + "".join(f'{k},"{1000 + k:,}"\n' for k in range(30)))
    some = table(tmp_path, "a,t\n" + "".join(f'{k},{k}\n{k},"{1000 + k:,}"\n' for k in range(30)), "some.csv")
    many = table(tmp_path, "a,t\n" + "".join(f'{k},"{k},5"\n' for k in range(1100)), "many.csv")
    for path, words in ((every, "line 2, target 't'"), (some, "line 3, target 't'"), (many, "line 2, target 't'")):
        message, how = told(path), "with a point: 1.5" if path == many else "between thousands: 1000"
        assert words in message
        assert how in message
        if path != many:
            assert how in refusal(import_tables, [path], tmp_path / "new", None, 0.2, lambda *_: None)
    sets = table(tmp_path, "a,t\n" + "".join(f'{k},"{k % 3},2"\n' for k in range(30)))
    assert load_dataset(sets).classes == ("0,2", "1,2", "2,2")


def test_a_column_may_be_called_as_other_files_begin(tmp_path):
    (tmp_path / "t.csv").write_text("PAR1,PAR2,y\n1,2,x\n3,4,y\n")
    assert load_dataset(tmp_path / "t.csv").columns == ("PAR1", "PAR2")
