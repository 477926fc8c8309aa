"""A step in a terminal and in a notebook: the numbers of the Trace, folded, and nothing but text."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

import backlit as bl
from backlit.explanations.tables import RichTables, tables
from backlit.explanations.wording import parameter_at


def shown(trace: bl.Trace, width: int = 80) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(trace)
    console.file.close()
    return console.export_text()


def small(rows: int = 4, **options) -> bl.Trace:
    net = bl.Network([2, 3, 1], hidden="sigmoid", loss="squared_error", **options)
    random = np.random.default_rng(0)
    x, y = random.standard_normal((rows, 2)), random.standard_normal((rows, 1))
    return bl.step(net, bl.SGD(0.5), bl.initial_state(net, dtype="float64"), x, y)


def large() -> bl.Trace:
    net = bl.Network([784, 30, 10], hidden="sigmoid", output="softmax", loss="cross_entropy")
    random = np.random.default_rng(0)
    x, y = random.random((50, 784)), np.eye(10)[random.integers(0, 10, 50)]
    return bl.step(net, bl.Adam(), bl.initial_state(net, seed=1), x, y)


def test_the_sum_grows_and_the_update_is_made_once():
    trace = small()
    rows = tables(trace)[-1].rows
    heads, by_name = tables(trace)[-1].heads, {row.name: row.cells for row in rows}
    assert heads[0] == "b⁽²⁾₁", "the largest gradient comes first"
    assert tables(trace)[-1].places[0] == "2:b:0", "as it is typed"
    sums = [row.cells[0] for row in rows if row.name == "sum so far"]
    assert sums == [f"{trace.running_sum(i)[1].b[0]:.4g}" for i in (1, 2, 3, 4)]
    added = [row.cells[0] for row in rows if row.name.endswith("adds")]
    assert added == [f"{g:.4g}" for g in trace.example_gradients[1].b[:, 0]]
    assert by_name["÷ 4, once"][0] == f"{trace.gradient[1].b[0]:.4g}"
    assert by_name["× -0.5 = update"][0] == f"{trace.update[1].b[0]:.4g}"
    assert by_name["before"][0] == "0"
    assert by_name["after"][0] == f"{trace.after.layers[1].b[0]:.4g}"


def test_every_number_of_the_layers_is_there():
    trace = small()
    text = shown(trace)
    for layer in trace.layers:
        for array in layer:
            for value in array.flat:
                assert f"{value:.4g}" in text


def test_a_sum_is_not_divided():
    names = [row.name for row in tables(small(reduction="sum"))[-1].rows]
    assert "not divided: sum" in names


@pytest.mark.parametrize("width", [80, 120, 200])
def test_long_layers_are_folded_to_the_width_of_a_terminal(width):
    text = shown(large(), width)
    assert max(map(len, text.splitlines())) <= width
    assert len(text.splitlines()) < 110
    assert "…" not in text.replace("… 46 more", ""), "nothing is cut off"
    wide = {80: 5, 120: 8, 200: 15}[width]
    assert f"the {wide} of 30 units with the largest deltas" in " ".join(text.split())
    assert f"the {wide} of 23860 with the largest gradients" in " ".join(text.split())


def test_what_to_type_stands_above_every_column_and_beside_every_example():
    """The places are those of the arrays: what stands there is the number of that place."""
    trace = large()
    inputs, _, output, _, total = tables(trace)
    for table, array in ((inputs, trace.x), (output, trace.layers[1].z)):
        for column, place in enumerate(table.places):
            assert table.rows[0].cells[column] == f"{array[0, int(place.strip('[]'))]:.4g}"
    names = [f"example {n} [{n - 1}]" for n in (1, 2, 3)]
    assert [row.name for row in inputs.rows] == [*names, "… 46 more", "example 50 [49]"]
    layer, source, unit = total.places[0].split(":")
    found = trace.gradient[int(layer) - 1]
    value = found.b[int(unit)] if source == "b" else found.W[int(source), int(unit)]
    assert f"{value:.4g}" == next(row.cells[0] for row in total.rows if row.name.startswith("÷"))


def test_names_are_shown_and_stay_text():
    columns = ["[red]width[/red]", "a\x1b[31mb", "a very long name that goes on and on and on"]
    random = np.random.default_rng(0)
    data = bl.Dataset(random.random((8, 3)), ["[bold]no", "yes"] * 4, columns=columns)
    net = bl.Network([3, 2, 2], "tanh", "softmax", "cross_entropy")
    (watched,) = [w for p in bl.train(net, bl.SGD(0.1), data, batch_size=2, epochs=1, watch=[0]) for w in p.watched]
    console = Console(width=80, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(RichTables(watched))
    console.file.close()
    text = console.export_text()
    assert "\x1b" not in text and "\\x1b" in text
    assert "[red]width" in text and "[bold]no" in text and "…" in text
    assert max(map(len, text.splitlines())) <= 80


def test_folding_keeps_the_largest():
    trace = large()
    best = int(np.abs(trace.gradient.flat).argmax())
    cell = next(row.cells[0] for row in tables(trace)[-1].rows if row.name.startswith("÷"))
    assert cell == f"{trace.gradient.flat[best]:.4g}"


def test_places_of_parameters():
    net = bl.Network([2, 3, 1])
    assert [parameter_at(net, p) for p in (0, 4, 6, 8, 9, 12)] == [
        (1, 0, 0), (1, 1, 1), (1, None, 0), (1, None, 2), (2, 0, 0), (2, None, 0)
    ]  # fmt: skip


def test_repr_is_one_line():
    assert repr(large()).startswith("Trace(sizes=[784, 30, 10], step 0, batch of 50, loss ")


def test_html_is_well_formed_and_holds_the_same_cells():
    trace = small()
    page = trace._repr_html_()
    texts, open_tags = [], []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

        def handle_data(self, data):
            texts.append(data)

    Reader().feed(page)
    assert not open_tags
    for table in tables(trace):
        for row in table.rows:
            assert f"{row.name}  {row.symbol}".rstrip() in texts
            assert all(cell in texts for cell in row.cells)
