"""Whether the first line holds names: years are names, and a row is no header, whatever the command."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from refusals import refusal

from backlit.data import Preparation, load_dataset, load_inputs, load_prepared
from backlit.data.header import is_header

PANEL = "country,2019,2020,gdp\n" + "".join(f"{'ABC'[k % 3]},{k},{k * 2 % 7},{10 + k * 1.5}\n" for k in range(30))
BARE = "".join(f"{('male', 'female')[k % 2]},{1 + k % 3},{('yes', 'no')[k % 5 > 1]}\n" for k in range(30))


def written(folder, text, name="t.csv"):
    (folder / name).write_text(text)
    return folder / name


def test_a_table_without_a_header_stays_one_where_its_first_row_holds_something_new(tmp_path):
    rows = [f"{k % 5},{('red', 'blue')[k % 2]},{k % 2}" for k in range(60)]
    trained = load_dataset(written(tmp_path, "\n".join(rows)))
    assert trained.columns == ("column 1", "column 2")
    later = written(tmp_path, "\n".join(["x,violet,1", *rows]).replace("x", "4"), "later.csv")
    preparation = Preparation.learn(trained)
    assert len(load_inputs(later, preparation)) == 61
    headed = written(tmp_path, "\n".join(["size,colour,t", *rows]), "headed.csv")
    assert "has no column 'column 1'" in refusal(load_inputs, headed, preparation)


@pytest.mark.parametrize(
    ("first", "rows", "decimal", "header"),
    [
        ("country,2019,gdp", ["A,1,10", "B,2,11"], ".", True),
        ("country,2019,gdp", ["A,1,10", "B,2,?", "C,4,"], ".", True),
        ("country,2019,gdp", ["A,1,10"] * 99 + ["A,1,abc"], ".", True),  # a slip of the pen
        ("name,0.1,0.5", ["1,1,10", "2,2,11"], ".", True),  # doses
        ("country,2019,region", [f"{k},1,{'north' if k % 2 else 'south'}" for k in range(9)], ".", True),
        ("2019,2020,2021", ["1,2,3", "4,5,6"], ".", False),  # nothing tells: told by names that are known
        ("0,1,2", ["1.5,2,3", "4,5,6"], ".", True),  # a frame without names
        (",0,1,2", ["0,1.5,2,3", "1,4,5,6"], ".", True),
        ("male,1,yes", ["female,1,no", "male,2,no"], ".", False),
        ("5.1,3.5,setosa", ["4.9,3,setosa", "6,2,virginica"], ".", False),
        ("5.1,3.5,rare", ["4.9,3,setosa", "6,2,virginica"] * 9, ".", False),
        ("5,3,rare", ["4,3,setosa", "6,2,virginica"], ".", False),
        ("5,3,x", ["4,3,y"], ".", False),
        ("?,3,7", ["4,3,1", "5,2,1"], ".", False),  # nothing is there in the first row
        ("abc,3,3", ["4,3,1", "5,2,1"], ".", False),  # names differ
        ("male,1,,yes", ["female,1,1,no", "male,2,,no"], ".", False),
        ("a;1,5;x", ["b;2,5;x", "a;2;x"], ",", False),
        ("a;2019;x", ["b;2,5;1,5", "c;2;7"], ",", True),
    ],
)
def test_the_next_rows_tell(first, rows, decimal, header):
    delimiter = ";" if decimal == "," else ","
    assert is_header(first.split(delimiter), [row.split(delimiter) for row in rows], decimal, ()) is header


def test_names_that_are_known_tell():
    rows = [["1", "2"], ["3", "4"]]
    assert is_header(["2019", "2020"], rows, ".", ["2020"])
    assert not is_header(["2019", "2020"], rows, ".", ["2021"])
    assert not is_header(["2019", "2020"], rows, ".", ["2020", "2021"])


def test_years_are_names(tmp_path):
    path = written(tmp_path, PANEL)
    for data in (load_dataset(path), load_dataset(path, "gdp"), load_dataset(path, drop=["2019"])):
        assert data.target == "gdp"
        assert len(data) == 30
        assert data.classes is None
    assert "the first line is taken for names, though it holds numbers" in data.note
    assert load_dataset(path, "2020").columns == ("country", "2019", "gdp")
    assert "did you mean gdp" in refusal(load_dataset, path, "gpd")
    years = written(tmp_path, "2019,2020\n1,2\n3,4\n5,7\n")
    assert load_dataset(years, "2020").y.tolist() == [2, 4, 7]
    assert load_dataset(years).target == "column 2"


def test_a_row_is_no_header(tmp_path):
    data = load_dataset(written(tmp_path, BARE))
    assert len(data) == 30
    assert data.columns == ("column 1", "column 2")
    assert data.classes == ("no", "yes")
    assert "no header" in data.note


def test_a_model_knows_its_columns(tmp_path):
    """One row of years says nothing by itself."""
    preparation = Preparation.learn(load_dataset(written(tmp_path, PANEL)))
    new = written(tmp_path, "2020,2019,country\n1,2,A\n", "new.csv")
    assert load_inputs(new, preparation)[0, 1:].tolist() == [2, 1]
    rows = written(tmp_path, "gdp,2020,2019,country\n7,1,2,A\n", "new.csv")
    assert load_prepared(rows, None, preparation, {}).y.tolist() == [7]


def test_the_commands_agree(tmp_path):
    def backlit(*words):
        done = subprocess.run(
            [sys.executable, "-m", "backlit", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done

    written(tmp_path, PANEL)
    written(tmp_path, PANEL.replace("country,", ",", 1), "unnamed.csv")
    written(tmp_path, BARE, "bare.csv")
    backlit("train", "t.csv", "--target", "gdp", "--save", "m", "--epochs", "1")
    assert backlit("predict", "m", "t.csv").stdout.startswith("gdp\n")
    assert backlit("predict", "m", "t.csv", "--with-inputs").stdout.startswith("country,2019,2020,gdp,predicted gdp\n")
    assert json.loads(backlit("evaluate", "m", "t.csv", "--json").stdout)["rows"] == 30
    done = backlit("import", "t.csv", "t.csv", "--to", "folder", "--target", "gdp")
    assert "target 'gdp' (numbers)" in done.stdout
    done = backlit("import", "bare.csv", "--to", "bare")
    assert done.stderr == "bare.csv: no header: the first line holds numbers\n"
    assert "target 'column 3' (2 classes)" in done.stdout
    backlit("train", "unnamed.csv", "--save", "m", "--epochs", "1")
    kept = backlit("predict", "m", "unnamed.csv", "--with-inputs").stdout.splitlines()
    assert kept[0] == ",2019,2020,gdp,predicted gdp"
    assert [line.split(",")[0] for line in kept[1:4]] == ["A", "B", "C"]
