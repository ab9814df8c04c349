"""What a name stands for: rules and remedies ask one model of the text, and its answers are Python's own."""

from __future__ import annotations

import ast

import pytest

from unstuck.remedies._meaning import applied, meant
from unstuck.remedies._names import full_name
from unstuck.signals.source import Source
from unstuck.signals.training import Training
from unstuck.source.text import Page, Place, Sources, parsed
from unstuck.tape.model import Tape


def node(page: Page, code: str, nth: int = -1) -> ast.expr:
    """The expression of that text (the last one, or the nth)."""
    return [n for n in page.all(ast.expr) if page.code(n) == code and not isinstance(n.__dict__.get("ctx"), ast.Store)][
        nth
    ]


def training(text: str) -> Training:
    return Training.read(Tape(script="a.py", folder=".", torch="", stopped="", sources={"a.py": text}))


def names(text: str, code: str, nth: int = -1) -> tuple[str, str]:
    """The full name that rules and that remedies give an expression."""
    found = node(parsed(text), code, nth)
    return training(text).source.full_name(found), full_name(parsed(text), found)


def held(text: str, code: str, nth: int = -1) -> tuple[list[str], list[str]]:
    """What an expression may hold, asked by rules and by remedies."""
    found = node(parsed(text), code, nth)
    by_rules = training(text).origins(found)
    by_remedies = meant(Sources({"a.py": text}, "a.py"), Place("a.py", parsed(text), found))
    return [ast.unparse(n) for n in by_rules], [p.code for p in by_remedies]


def both(*values: str) -> tuple[list[str], list[str]]:
    return list(values), list(values)


def test_a_local_name_hides_an_import():
    text = "import torch.nn.functional as F\n\n\ndef f(x):\n    F = Fancy()\n    return F.relu(x)\n\n\ny = F.relu(1)\n"
    assert names(text, "F.relu", 0) == ("", "")
    assert names(text, "F.relu", 1) == ("torch.nn.functional.relu",) * 2


def test_an_import_in_a_function_is_that_functions():
    text = "def g(x):\n    from numpy import softmax\n    return softmax(x)\n\n\ndef f(x):\n    return softmax(x)\n"
    assert names(text, "softmax", 0) == ("numpy.softmax",) * 2
    assert names(text, "softmax", 1) == ("", "")


def test_global_binds_in_the_module():
    text = "lr = 0.1\n\n\ndef warm():\n    global lr\n    lr = 10\n\n\ndef f():\n    print(lr)\n"
    assert held(text, "lr") == both("0.1", "10")
    assert training(text).source.number(node(parsed(text), "lr")) is None


def test_a_class_attribute_is_not_seen_from_a_method():
    text = "lr = 0.1\n\n\nclass C:\n    lr = 5.0\n\n    def f(self):\n        print(lr)\n        return self.lr\n"
    assert held(text, "lr") == both("0.1")
    assert held(text, "self.lr") == both("5.0")


def test_a_comprehension_keeps_its_names():
    text = "x = 3\ny = [x for x in rows]\nprint(x)\n"
    assert held(text, "x") == both("3")
    assert training(text).source.number(node(parsed(text), "x")) == 3
    assert held(text, "x", 0) == both("x")


def test_a_lambdas_parameter_is_its_own():
    text = "x = 3\nh = lambda x: g(x)\n"
    assert held(text, "x") == both("x")


def test_an_attribute_is_its_classs_own():
    text = (
        "from torch import nn\n\n\nclass A:\n    def __init__(self):\n        self.act = nn.Sigmoid()\n\n\n"
        "class B:\n    def __init__(self):\n        self.act = nn.ReLU()\n\n"
        "    def forward(self, x):\n        return self.act(x)\n\n\nclass C(B):\n    def f(self, x):\n"
        "        return self.act(x, 1)\n"
    )
    for call in ("self.act(x)", "self.act(x, 1)"):
        found = node(parsed(text), call)
        assert isinstance(found, ast.Call)
        assert [ast.unparse(n) for n in training(text).origins(found.func)] == ["nn.ReLU()"]
        place = Place("a.py", parsed(text), found)
        assert applied(Sources({"a.py": text}, "a.py"), place) == "torch.nn.ReLU"


def test_a_function_of_the_persons_hides_an_import():
    text = "from torch.nn.functional import relu\n\n\ndef relu(x):\n    return x\n\n\ny = relu(1)\n"
    assert names(text, "relu") == ("", "")
    later = "def relu(x):\n    return x\n\n\nfrom torch.nn.functional import relu\n\ny = relu(1)\n"
    assert names(later, "relu") == ("torch.nn.functional.relu",) * 2


def test_a_function_is_not_a_method_of_that_name():
    text = (
        "class Timer:\n    def step(self):\n        return 'tick'\n\n\ndef step():\n    return 'loss'\n\n\n"
        "timer = Timer()\na = timer.step()\nb = step()\n"
    )
    assert held(text, "step()") == both("'loss'")
    assert held(text, "timer.step()") == both("'tick'")


def test_a_method_is_looked_up_in_the_class_of_its_owner():
    text = (
        "class A:\n    def build(self):\n        return 'a'\n\n\n"
        "class B:\n    def build(self):\n        return 'b'\n\n\n"
        "b = B()\nmade = b.build()\n\n\ndef f(a: A):\n    return a.build()\n"
    )
    assert held(text, "b.build()") == both("'b'")
    assert held(text, "a.build()") == both("'a'")


def test_equal_names_in_two_functions_are_two_variables():
    text = (
        "import torch\n\n\ndef train():\n    net = Net()\n    optimizer = torch.optim.SGD(net.parameters(), 0.1)\n"
        "    return net(x)\n\n\ndef judge():\n    net = load('teacher.pt')\n    return net(y)\n"
    )
    found = training(text)
    assert found.is_trained(node(parsed(text), "net", 1))
    assert not found.is_trained(node(parsed(text), "net"))
    assert held(text, "net", 1) == both("Net()")
    assert held(text, "net") == both("load('teacher.pt')")


def test_star_imports_and_coroutines():
    pytest.importorskip("torch")
    text = "from torch.nn import *\n\n\nasync def f(x, rate=0.5):\n    layer = Linear(3, 1)\n    return layer(rate)\n"
    assert names(text, "Linear") == ("torch.nn.Linear",) * 2
    assert held(text, "layer") == both("Linear(3, 1)")
    assert held(text, "rate") == both("0.5")


def test_a_parameter_holds_what_its_callers_give():
    text = "def f(rate=0.5):\n    return rate + 1\n\n\nf(0.1)\nf(rate=0.2)\n"
    assert held(text, "rate", 0) == both("0.1", "0.2")
    assert held(text + "f()\n", "rate", 0) == both("0.1", "0.2", "0.5")
    assert held(text + "run(f, 3)\n", "rate", 0) == both("0.1", "0.2")


def test_names_are_followed_into_the_persons_other_files():
    files = {
        "a.py": "from parts.model import build, RATE\n\nnet = build()\nprint(RATE)\n",
        "parts/model.py": "RATE = 0.1\n\n\ndef build():\n    return Net()\n",
    }
    sources = Sources(files, "a.py")
    page = parsed(files["a.py"])
    for code, value in (("net", "Net()"), ("RATE", "0.1")):
        found = node(page, code, -1) if code == "RATE" else page.all(ast.Assign).__next__().targets[0]
        assert [p.code for p in meant(sources, Place("a.py", page, found))] == [value]
        assert [ast.unparse(n) for n in Training(Source.of(sources)).origins(found)] == [value]


def test_names_that_go_in_a_circle_end():
    text = "cfg = load()\ncfg = cfg.sub\ncfg = cfg['x']\na, b = b, a\nx = x.y\nx, h = step(x, h)\nprint(cfg.lr, a, x)\n"
    for code in ("cfg.lr", "a", "x"):
        rules, remedies = held(text, code)
        assert rules == remedies
    assert held(text, "cfg.lr")[0] == ["cfg.lr"]


def test_a_name_that_is_given_itself_again_and_again_is_followed_once():
    text = "x = load()\n" + "x = x.to(device)\n" * 200 + "print(x)\n"
    assert held(text, "x") == both("load()")


def test_parts_of_a_tuple_are_told_apart():
    text = (
        "def build():\n    net = Net()\n    return net, Adam(net.parameters())\n\n\n"
        "model, optimizer = build()\npair = 1, 2\na, b = pair\nprint(model, optimizer, a, b)\n"
    )
    assert held(text, "model") == both("Net()")
    assert held(text, "optimizer") == both("Adam(net.parameters())")
    assert held(text, "b") == both("2")
    assert training(text).is_optimizer(node(parsed(text), "optimizer"))


def test_an_optimizer_is_told_by_what_it_is_and_does():
    text = (
        "import torch\n\noptions = Options()\na = torch.optim.Adam(p)\nb = make(net.parameters())\n\n\n"
        "class Options:\n    def step(self):\n        pass\n\n\nclass Mine(torch.optim.Optimizer):\n    pass\n\n\n"
        "c = Mine(p)\nd = torch.optim.lr_scheduler.StepLR(a, 3)\n\n\ndef f(e, g):\n    e.zero_grad()\n    e.step()\n"
        "    g.step()\n\n\nprint(options, a, b, c, d)\n"
    )
    found = training(text)
    answers = {name: found.is_optimizer(node(parsed(text), name)) for name in ("options", *"abcdeg")}
    assert answers == {"options": False, "a": True, "b": True, "c": True, "d": False, "e": True, "g": False}
