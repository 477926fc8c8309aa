"""CSV through pyarrow and through the csv module: the same arrays, the same words, whatever the file holds."""

from __future__ import annotations

import csv
import io
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import answer_or_refusal
from requires import requires

from backlit.data import Preparation, load_dataset, load_inputs, tables
from backlit.data.csv_text import opened_csv

try:
    import pyarrow
    import pyarrow.csv
except ImportError:
    requires("pyarrow", False)

QUICK = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = (
    "1", "2", "-3.5", "1e5", " 3 ", "+7", "nan", "NaN", "inf", "-inf", "", "NA", "?", " n/a ", "nan(1)", "1e999",
    "1_000", "red", "blue", "True", "false", "1,5", "-0,25", "1.234,5", "9007199254740993", "1" * 30, "a,b", "x;y",
    'say "hi"', 'a"b', "two\nlines", "cr\rhere", "٣", "\u00a07", "grün", "2024-05-01", "\0", "x" * 300, "0x10", ".5",
    "5.", "1e", "|",
)  # fmt: skip
NAMES = ("a", "<script>", "b c", "größe", 'q"q', "line\nbreak", "d,e", "'", "=1+1")


def outcome(action, *args, **options):
    """What comes of it, in a form that can be compared to the bit."""
    found, message = answer_or_refusal(action, *args, **options)
    if message is not None:
        return message
    if isinstance(found, np.ndarray):
        return found.shape, found.tobytes()
    y = found.y.tolist()
    return found.x.shape, found.x.tobytes(), y, found.columns, found.categories, found.classes, found.note


def both(monkeypatch, action, *args, **options):
    """(by pyarrow, by the csv module, whether pyarrow's reader went through to the end)."""
    read = []

    def watched(*given):
        yield from tables_arrow(*given)
        read.append(True)

    tables_arrow = tables.arrow_csv
    with monkeypatch.context() as patch:
        patch.setattr(tables, "WORTH_ARROW", 0)
        patch.setattr(tables, "SAMPLE", 1)  # else the csv module meets what is odd before pyarrow is asked
        patch.setattr(tables, "arrow_csv", watched)
        fast = outcome(action, *args, **options)
        patch.setattr(tables, "find_spec", lambda name: None)
        return fast, outcome(action, *args, **options), bool(read)


@st.composite
def files(draw):
    """Bytes of a table, nearly always well-formed, written by the csv module or glued together by hand."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True))
    kinds = [draw(st.lists(st.sampled_from(CELLS), min_size=1, max_size=3)) for _ in names[1:]]
    kinds.append(draw(st.sampled_from([["0", "1"], ["yes", "no"], ["1.5", "2", "3.25"], list(CELLS[:5])])))
    rows = [[draw(st.sampled_from(kind)) for kind in kinds] for _ in range(draw(st.integers(1, 12)))]
    if draw(st.integers(0, 9)) == 0:
        rows[-1] = rows[-1][:-1] if draw(st.booleans()) else [*rows[-1], "9"]
    delimiter, newline = draw(st.sampled_from(",;\t|")), draw(st.sampled_from(["\n", "\r\n", "\r"]))
    lines = [names, *rows] if draw(st.integers(0, 4)) else rows
    if draw(st.integers(0, 4)):
        text = io.StringIO()
        quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
        csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows(lines)
        content = text.getvalue()
    else:
        content = newline.join(delimiter.join(cells) for cells in lines)
    blank = draw(st.sampled_from(["", "", newline, newline * 2]))
    content = content.replace(newline, newline + blank, 1) if draw(st.booleans()) else blank + content
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content.encode()


@QUICK
@given(content=files())
def test_the_same_table(tmp_path, monkeypatch, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    fast, slow, _ = both(monkeypatch, load_dataset, path)
    assert fast == slow


@QUICK
@given(content=files(), known=st.data())
def test_the_same_inputs_for_a_trained_model(tmp_path, monkeypatch, content, known):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    data, _ = answer_or_refusal(load_dataset, path)
    if data is None:
        return
    preparation = Preparation.learn(data.take([0]), scale=False)
    fast, slow, _ = both(monkeypatch, load_inputs, path, preparation)
    assert fast == slow
    counts = []
    for worth in (0, 1 << 40):
        monkeypatch.setattr(tables, "WORTH_ARROW", worth)
        counts.append({})
        answer_or_refusal(load_inputs, path, preparation, counts[-1])
    assert counts[0] == counts[1]


@QUICK
@given(st.text("0123456789,;\t|\n\r\"'ab.e+- ", max_size=120).map(str.encode) | st.binary(max_size=80))
def test_the_same_for_any_bytes(tmp_path, monkeypatch, content):
    path = tmp_path / "t.csv"
    for head in (b"", b"a,b\n", b'a;b\n1;2\n"3";4\n'):
        path.write_bytes(head + content)
        fast, slow, _ = both(monkeypatch, load_dataset, path)
        assert fast == slow


PLAIN = {
    "numbers": "a,b,t\n1,2,x\n3,4.5,y\n-1,1e3,x\n",
    "missing": "a,b,t\n1,,x\nNA,4.5,y\n?,1e3,x\n",
    "categories": "a,b,t\n1,red,x\n2,,y\n3,blue,x\n",
    "quoted": 'a,b,t\n1,"red, or ""so""",x\n2,"two\nlines",y\n3,blue,x\n',
    "decimal commas": "a;b;t\n1,5;2;x\n,5;3;y\n",
    "tabs": "a\tb\tt\n1\t2\tx\n3\t4\ty\n",
    "no header": "1|2|x\n3|4|y\n",
    "years as names": "country,2019,2020,gdp\nA,1,2,10\nB,3,4,11\nA,5,6,12.5\n",
    "a row with 1 in the second place": "male,1,yes\nfemale,1,no\nmale,3,yes\n",
    "a line for Excel": "sep=;\na;b;t\n1;2;x\n3;4;y\n",
    "numbers, and a text far down": "a,b,t\n" + "1,2,x\n3,4,y\n" * 999 + "red,5,x\n" + "blue,5,x\n" * 2000,
    "unnamed row numbers": ",a,b,t\n0,1,2,x\n1,3,4,y\n",
    "mark": "\ufeffa,b,t\n1,2,x\n3,4,y\n",
    "a quote in a name": 'size 3",b,t\n' + "1,2,x\n3,4,y\n" * 999,
    "two lines in a name": 'a 3","b\nc",t\n1,2,x\n3,4,y\n',
    "an empty line in a name": 'a,"b\r\rc",t\r1,2,x\r3,4,y\r',
    "blank lines": "\n\na,b,t\n\n1,2,x\n\n3,4,y\n\n",
}


@pytest.mark.parametrize("text", PLAIN.values(), ids=PLAIN)
def test_plain_files_are_read_by_pyarrow(tmp_path, monkeypatch, text):
    (tmp_path / "t.csv").write_bytes(text.encode())
    fast, slow, by_pyarrow = both(monkeypatch, load_dataset, tmp_path / "t.csv")
    assert fast == slow
    assert by_pyarrow


def test_an_excel_line_before_rows_without_a_header_is_no_row(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text('"sep=;"\n' + "red;1\nblue;2\n" * 99)
    fast, slow, by_pyarrow = both(monkeypatch, load_dataset, tmp_path / "t.csv", "column 1")
    assert fast == slow and by_pyarrow
    assert fast[0] == (198, 1)


def test_line_ends_within_quotes_are_left_to_the_csv_module(tmp_path, monkeypatch):
    """pyarrow would lose the second half of one where a block of its reading ends between the two."""
    text = b"city,n,t\n" + b"".join(b'"New\r\nYork",%d,%d\n' % (k % 10, k % 2) for k in range(60))
    for block in range(200, 240):
        monkeypatch.setattr("backlit.data.arrow_csv.BLOCK", block)
        (tmp_path / "t.csv").write_bytes(text)
        fast, slow, _ = both(monkeypatch, load_dataset, tmp_path / "t.csv")
        assert fast == slow
        assert fast[4] == (("New\r\nYork",), None)


@pytest.mark.parametrize("name", ["größe \u2028.csv", os.fsdecode(b"gr\xfcn.csv")])
def test_a_file_of_any_name(tmp_path, monkeypatch, name):
    (tmp_path / name).write_text("a,b,t\n" + "1,2,x\n3,4,y\n" * 9)
    fast, slow, by_pyarrow = both(monkeypatch, load_dataset, tmp_path / name)
    assert fast == slow and by_pyarrow


def test_python_may_end_while_pyarrow_lets_go_of_a_file(tmp_path, monkeypatch):
    """Its threads let go last, now and then: a file of Python's can't be let go of then, and the process is aborted."""
    (tmp_path / "t.csv").write_text("a,b,t\n" + "1,2,x\n3,4,y\n" * 40_000)
    with opened_csv(tmp_path / "t.csv") as table:
        layout = table.layout
    opened, open_csv = [], pyarrow.csv.open_csv
    monkeypatch.setattr(pyarrow.csv, "open_csv", lambda file, *given: opened.append(file) or open_csv(file, *given))
    assert len(list(tables.arrow_csv(tmp_path / "t.csv", layout, [0, 1, 2], {0, 1}))) == 1
    assert isinstance(opened[0], pyarrow.NativeFile) and not isinstance(opened[0], pyarrow.PythonFile)


@pytest.mark.parametrize("row", ["\ufeffred,0,0", "\ufeff4,0,0"])
def test_a_mark_behind_the_header_belongs_to_its_cell(tmp_path, monkeypatch, row):
    (tmp_path / "t.csv").write_text(f"c,n,t\n{row}\n" + "red,1,1\nblue,2,0\n" * 50, "utf-8")
    fast, slow, _ = both(monkeypatch, load_dataset, tmp_path / "t.csv")
    assert fast == slow


def test_a_decimal_comma_with_nothing_behind_it(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a;b;t\n7,;1,5;x\n+7,;2;y\n7,e2;3;x\n")
    fast, slow, _ = both(monkeypatch, load_dataset, tmp_path / "t.csv")
    assert fast == slow
    assert np.frombuffer(fast[1]).reshape(3, 2)[:, 0].tolist() == [7, 7, 700]


DIVIDED = {
    "units in the names": ("price, EUR;area, qm;rooms\n0,5;0,0;0\n1,5;1,1;1\n2,5;2;0\n", "t.csv", ";"),
    "units, and text": ("Name, First;note, any;t\nDoe, J;so, so;0\nRoe, R;but, well;1\n", "t.csv", ";"),
    "one unit, tabs": ("price, EUR\trooms\n0,5\t0\n1,5\t1\n", "t.csv", "\t"),
    "names, tabs": ("Name, First\tt\nDoe, J\t0\nRoe, R\t1\n", "t.tsv", "\t"),
    "one unit, the last": ("Name;Stadt;Preis, EUR\nBrot;Bonn;2,50\nMilch;Ulm;1,20\n", "t.csv", ";"),
    "one unit, the first": ("Umsatz, EUR;Stadt;Land\n2,50;Bonn;DE\n1,20;Ulm;DE\n", "t.csv", ";"),
    "commas in texts": ("id;name;city, zip\n1;Ann;Bonn, 53111\n2;Bob;Ulm, 89073\n", "t.csv", ";"),
    "a unit without a space": ("Datum;Stadt;Umsatz,EUR\n2024-01-01;B;2,50\n2024-01-02;C;3,50\n", "t.csv", ";"),
    "a unit, bars": ("Name|Stadt|Preis, EUR\nBrot|Bonn|2.50\nMilch|Ulm|1.20\n", "t.csv", "|"),
    "a unit, tabs": ("Name\tStadt\tPreis, EUR\nBrot\tBonn\t2.50\nMilch\tUlm\t1.20\n", "t.txt", "\t"),
    "a name with a semicolon": ("id,name;alias,v\n1,x;y,2\n2,z;w,3\n", "t.csv", ","),
    "spaces behind commas": ("a, b, c\n1, 2, 3\n4, 5, 6\n", "t.csv", ","),
    "a break in quotes across the last line looked at": (
        "note, remarks;t\n" + "good, but dear;0\nbad;1\n" * 9 + 'fine;0\n"first line\nsecond, more";1\n', "t.csv", ";",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "name", "delimiter"), DIVIDED.values(), ids=DIVIDED)
def test_what_divides_the_cells(tmp_path, text, name, delimiter):
    (tmp_path / name).write_text(text)
    with opened_csv(tmp_path / name) as table:
        assert table.layout.delimiter == delimiter


def test_a_name_that_is_known_tells_what_divides_the_cells(tmp_path):
    (tmp_path / "t.csv").write_text("a, b;c, d\nx, y;u, v\nx, z;w, v\n" * 3)
    for known, delimiter in (("c, d", ";"), ("b;c", ",")):
        with opened_csv(tmp_path / "t.csv", [known]) as table:
            assert table.layout.delimiter == delimiter


ODD = {
    "text after a closing quote": 'a,b,t\n1,blue,x\n1,"red"der,x\n2,red,y\n',
    "two quotes and text": 'a,b,t\n1,blue,x\n1,""red,x\n2,red,y\n',
    "ragged": "a,b,t\n1,2,x\n3,y\n",
    "no end of quotes": 'a,b,t\n1,2,x\n3,"4,y\n',
    "longer than a cell may be": "a,b,t\n1,blue,x\n1," + "z" * 140_000 + ",x\n2,red,y\n",
    "latin-1": "a,b,t\n1,blue,x\n1,gr\udcfcn,x\n2,red,y\n",
    "no number": "a,b,t\n1,2,x\nnan(1),3,y\n2,3,x\n",
    "infinity": "a,b,t\n1,2,x\n1e999,3,y\n2,3,x\n",
    "1.5 among decimal commas": "a;b;t\n1,5;2;x\n" + "3;4;y\n" * 1000 + "1.5;3;x\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_files_are_refused_in_the_words_of_the_other_reader(tmp_path, monkeypatch, text):
    (tmp_path / "t.csv").write_bytes(text.encode(errors="surrogateescape"))
    fast, slow, by_pyarrow = both(monkeypatch, load_dataset, tmp_path / "t.csv")
    assert fast == slow
    assert isinstance(fast, str)
    assert "line " in fast
    assert not by_pyarrow


def test_what_was_taken_is_said(tmp_path):
    for text, words in (
        ("a;t\n1,5;x\n2,5;y\n", ["cells are divided by semicolons", "decimal comma"]),
        ("a\tt\n1\tx\n2\ty\n", ["divided by tabs"]),
        ("a|t\n1|x\n2|y\n", ["divided by bars"]),
        ("name;size, cm;t\nann;1,5;x\nbob;2,25;y\n", ["divided by semicolons", "decimal comma"]),
    ):
        (tmp_path / "t.csv").write_text(text)
        note = load_dataset(tmp_path / "t.csv").note
        assert all(word in note for word in words), note
    assert load_dataset(tmp_path / "t.csv").x[:, 1].tolist() == [1.5, 2.25]
    (tmp_path / "t.csv").write_text("a,t\n1,x\n2,y\n")
    assert "divided" not in load_dataset(tmp_path / "t.csv").note
