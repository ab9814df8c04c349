"""Places and splices: what is not spliced stays byte for byte, and recorded sites are found after other edits."""

import ast

import pytest

from tests.scripts import site
from unstuck.diagnosis.model import Site
from unstuck.remedies._entrance import alike
from unstuck.remedies._meaning import applied, meant
from unstuck.remedies._moves import added_argument, arguments_of, dropped, set_argument, the_call, unwrapped
from unstuck.remedies._names import at_top, needed, spelled
from unstuck.remedies.treatment import CannotEdit
from unstuck.source.text import Place, Sources


def whole(text: str) -> Sources:
    return Sources({"a.py": text}, "a.py")


def place(text: str, code: str, nth: int = 0) -> Place:
    return the_call(whole(text), site(text, code, nth, "a.py"))


def spliced(text: str, *splices) -> str:
    return whole(text).spliced(*splices).files["a.py"]


def test_columns_are_bytes_as_the_interpreter_counts_them():
    text = "größe = 'é'; y = f(größe)\n"
    call = site(text, "f(größe)", file="a.py")
    assert call.column > text.index("f(")
    assert the_call(whole(text), call).code == "f(größe)"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("tab", ["\t", "    "])
def test_indentation_and_line_endings_are_the_files_own(newline, tab):
    text = newline.join(["for b in batches:", f"{tab}loss.backward()  # go", f"{tab}step()", ""])
    here = place(text, "loss.backward()")
    new = spliced(text, here.preceded("clear()"), here.followed("clip()"))
    lines = ["for b in batches:", f"{tab}clear()", f"{tab}loss.backward()  # go", f"{tab}clip()", f"{tab}step()", ""]
    assert new == newline.join(lines)


def test_statements_on_one_line_stay_there():
    text = "for b in bs:\n    clear(); back(); step()\nif x: step()\n"
    new = spliced(text, place(text, "step()").preceded("clip()"), place(text, "step()", 1).followed("log()"))
    assert new == "for b in bs:\n    clear(); back(); clip(); step()\nif x: step(); log()\n"
    new = spliced(text, place(text, "clear()").followed("more()"), place(text, "back()").removed())
    assert new == "for b in bs:\n    clear(); more(); step()\nif x: step()\n"


def test_a_file_without_a_last_newline():
    text = "import os\nrun()"
    assert spliced(text, place(text, "run()").followed("stop()")) == "import os\nrun()\nstop()\n"


def test_a_removed_statement_leaves_a_block_whole():
    text = "for x in y:\n    f(x)\ng()\n"
    assert spliced(text, place(text, "f(x)").removed()) == "for x in y:\n    pass\ng()\n"
    assert spliced(text, place(text, "g()").removed()) == "for x in y:\n    f(x)\n"


def test_a_site_is_found_after_other_edits():
    text = "import torch\nh = relu(self.fc1(x) + 1)\n"
    first, second = site(text, "self.fc1(x)", file="a.py"), site(text, "relu(self.fc1(x) + 1)", file="a.py")
    sources = whole(text)
    inner = the_call(sources, first)
    sources = sources.spliced(
        *at_top(inner, "", "M = 1.0"), *inner.of(arguments_of(inner).args[0]).wrapped("(", " - M)")
    )
    sources = sources.spliced(*the_call(sources, first).wrapped("drop(", ")"))
    assert the_call(sources, first).code == "self.fc1((x - M))"
    assert the_call(sources, second).code == "relu(drop(self.fc1((x - M))) + 1)"


def test_a_site_without_columns_means_a_call_on_its_line():
    sources = whole("a()\nb(c(1))\n")
    assert the_call(sources, Site("a.py", 2)).code == "c(1)"
    with pytest.raises(CannotEdit):
        the_call(sources, Site("a.py", 9, 4, 9, 8))
    with pytest.raises(CannotEdit):
        the_call(sources, Site("other.py", 2))


def test_files_that_are_not_python_are_passed_over():
    sources = Sources({"a.py": "x = 1\n", "old.py": "print 'hello'\n"}, "a.py")
    assert [p.file for p in sources.pages()] == ["a.py"]


@pytest.mark.parametrize(
    ("imports", "relu", "module"),
    [
        ("import torch", "torch.nn.functional.relu", "torch.nn.ReLU"),
        ("import torch\nimport torch.nn as nn", "nn.functional.relu", "nn.ReLU"),
        ("import torch\nfrom torch import nn\nimport torch.nn.functional as F", "F.relu", "nn.ReLU"),
        ("import torch as t\nfrom torch.nn import ReLU", "t.nn.functional.relu", "ReLU"),
    ],
)
def test_the_files_own_words(imports, relu, module):
    page = next(whole(imports + "\n").pages()).page
    assert (spelled(page, "torch.nn.functional.relu"), spelled(page, "torch.nn.ReLU")) == (relu, module)


def test_a_missing_import_is_added_once():
    text = '"""About."""\n\nfrom torch.nn import Linear\n\nf = Linear(1, 2)\n'
    top = next(whole(text).pages())
    new = spliced(text, *needed(top, "torch.relu"), *needed(top, "torch.tanh"))
    assert new == text.replace("Linear\n\n", "Linear\nimport torch\n\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LR = 0.5\no = SGD(p, lr=LR)\n", "LR = 0.1\no = SGD(p, lr=LR)\n"),
        ("LR = 0.5\nprint(LR)\no = SGD(p, lr=LR)\n", "LR = 0.5\nprint(LR)\no = SGD(p, lr=0.1)\n"),
        ("o = SGD(p, 0.5, 0.9)\n", "o = SGD(p, 0.1, 0.9)\n"),
        (
            "o = SGD(\n    p,\n    momentum=0.9,  # fast\n)\n",
            "o = SGD(\n    p,\n    momentum=0.9, lr=0.1,  # fast\n)\n",
        ),
        ("def make(p, lr=0.5):\n    o = SGD(p, lr=lr)\n", "def make(p, lr=0.1):\n    o = SGD(p, lr=lr)\n"),
        ("c = dict(lr=0.5)\no = SGD(p, lr=c['lr'])\n", "c = dict(lr=0.5)\no = SGD(p, lr=0.1)\n"),
    ],
)
def test_an_argument_changes_at_its_constant_or_in_the_call(text, expected):
    call = next(c for c in ast.walk(ast.parse(text)) if isinstance(c, ast.Call) and ast.unparse(c.func) == "SGD")
    here = the_call(
        whole(text), Site("a.py", call.lineno, call.col_offset, call.end_lineno or 0, call.end_col_offset or 0)
    )
    assert spliced(text, set_argument(whole(text), here, 1, "lr", "0.1")) == expected


def test_unknown_arguments_are_not_guessed():
    text = "o = SGD(p, **options)\n"
    with pytest.raises(CannotEdit):
        set_argument(whole(text), place(text, "SGD(p, **options)"), 1, "lr", "0.1")


def test_elements_go_with_their_commas():
    text = "m = S(\n    a(),\n    b(),  # last\n)\nn = [a(), b()]\nk = S(c())\n"
    assert spliced(text, dropped(place(text, "a()"))) == text.replace("    a(),\n", "", 1)
    assert spliced(text, dropped(place(text, "b()"))) == text.replace("    b(),  # last\n", "")
    assert "n = [a()]\n" in spliced(text, dropped(place(text, "b()", 1)))
    assert "n = [b()]\n" in spliced(text, dropped(place(text, "a()", 1)))
    assert spliced("f((a))\n", added_argument(place("f((a))\n", "f((a))"), "b=1")) == "f((a), b=1)\n"
    assert spliced("f()\n", added_argument(place("f()\n", "f()"), "b=1")) == "f(b=1)\n"


@pytest.mark.parametrize(
    ("call", "left"),
    [("F.softmax(a + b, dim=1)", "a + b"), ("self.soft(x)", "x"), ("h.softmax(1)", "h"), ("nn.Softmax(1)(h)", "h")],
)
def test_a_call_gives_way_to_its_subject(call, left):
    text = f"import torch.nn.functional as F\nfrom torch import nn\ny = {call}\nz = ({call}) * 2\n"
    assert f"y = {left}\n" in spliced(text, unwrapped(place(text, call)))


def test_what_a_call_applies():
    text = (
        "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self, act=nn.Tanh()):\n"
        "        self.act, self.f = act, torch.sigmoid\n\n"
        "    def forward(self, x):\n        return self.f(self.act(x))\n\n\n"
        "def build():\n    return Net().to('cpu')\n\n\nnet = build()\nnet(x)\n"
    )
    sources = whole(text)
    assert applied(sources, place(text, "self.act(x)")) == "torch.nn.Tanh"
    assert applied(sources, place(text, "self.f(self.act(x))")) == "torch.sigmoid"
    call = place(text, "net(x)")
    assert [v.code for v in meant(sources, call.of(arguments_of(call).func))] == ["Net()"]


def test_calls_of_the_same_weights_are_found_by_what_is_called():
    text = (
        "class A:\n    def __init__(self):\n        self.fc = f()\n\n"
        "    def one(self, x):\n        return self.fc(x)\n\n"
        "    def two(self, z):\n        return self.fc(z)\n\n\nclass B(Base):\n    def one(self, x):\n"
        "        return self.fc(x)\n\n\ndef train(model):\n    model(a)\n\n\ndef judge(net):\n    net(b)\n\n\n"
        "def other(model):\n    model(c)\n\n\nwhole = build()\ntrain(whole)\njudge(whole)\nother(load())\n"
    )
    assert [p.code for p in alike(whole(text), place(text, "self.fc(x)"), 0)] == ["self.fc(x)", "self.fc(z)"]
    assert [p.code for p in alike(whole(text), place(text, "model(a)"), 0)] == ["model(a)", "net(b)"]
