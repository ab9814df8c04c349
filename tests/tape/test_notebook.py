"""The cells of a notebook as one Python text, and back."""

from __future__ import annotations

import ast
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unstuck.tape.notebook import notebook, read

MAGIC = "%matplotlib inline\nimport os\nif True:\n    !ls\nfiles = !ls\nx = 3 % 2\nos?"
LINES = st.sampled_from(
    ["x = 1", "", "    !ls", "%time x = 2", "for i in range(3):", "    y = i % 2  # why?", "print?"]
)
TEXTS = st.lists(LINES, min_size=1, max_size=6).map("\n".join)


def document(*cells: tuple[str, str]) -> str:
    made = [{"cell_type": kind, "metadata": {}, "source": text.splitlines(keepends=True)} for kind, text in cells]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=2) + "\n"


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_cells_come_back_as_they_were(texts):
    book = notebook("x.ipynb", enumerate(texts, 1))
    assert book.split(book.text) == dict(enumerate(texts, 1))


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_every_line_keeps_its_place(texts):
    book = notebook("x.ipynb", enumerate(texts, 1))
    whole = book.text.split("\n")
    for cell in book.cells:
        for number, line in enumerate(cell.text.split("\n")):
            assert line.strip() in whole[cell.first - 1 + number]
            assert book.cell(cell.first + number) == (cell.number, number + 1)


def test_lines_that_are_not_python_become_python():
    ast.parse(notebook("x.ipynb", [(1, MAGIC), (2, "%%bash\nls -l"), (3, "%%time\nx = 1")]).text)


def test_an_edit_keeps_the_magics():
    book = notebook("x.ipynb", [(1, MAGIC)])
    assert book.split(book.text.replace("x = 3", "x = 5"))[1] == MAGIC.replace("x = 3", "x = 5")


def test_an_edit_that_loses_a_cell_is_refused():
    book = notebook("x.ipynb", [(1, "a = 1"), (2, "b = 2")])
    with pytest.raises(ValueError, match="cells apart"):
        book.split(book.text.replace("# %% cell 2\n", ""))


def test_only_the_edited_cell_of_the_file_changes():
    content = document(("markdown", "# title"), ("code", "a = 1\n"), ("code", ""), ("code", "b = 2\n"))
    book = read("x.ipynb", content)
    assert [cell.number for cell in book.cells] == [1, 2]  # the blank one is not run
    after = book.edited(book.text.replace("b = 2", "b = 3"))
    assert after == content.replace("b = 2", "b = 3")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"cells": 3}', '{"cells": [{"cell_type": "code"}]}'])
def test_what_is_no_notebook_is_refused(content):
    with pytest.raises(ValueError, match=r"x\.ipynb is not a notebook"):
        read("x.ipynb", content)
