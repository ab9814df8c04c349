"""Where a number is made: the candidates, best first, and what changing one of them gives."""

import ast

import pytest

from unstuck.source.numbers import arguments, constant, pairs
from unstuck.source.origins import origins
from unstuck.source.text import Argument, Sources, Variable
from unstuck.source.values import Source

RECORDED = 1e-5


def first(text, files=None, arguments=(), environment=(), used="RATE("):
    """The best candidate for what the call that begins with `used` is given."""
    sources = Sources({"train.py": text} | (files or {}), "train.py", arguments=arguments, environment=environment)
    source = Source.of(sources)
    call = next(c for c in source.all(ast.Call) if source.code(c).startswith(used))
    found = origins(sources, source.place(call.args[0]), "lr", lambda v: abs(v - RECORDED) < 1e-12)
    assert found
    return sources, found


def changed(text, files=None, **started):
    """The files after the best candidate got another number."""
    sources, found = first(text, files, **started)
    return sources.spliced(found[0].instead(0.02)).files


@pytest.mark.parametrize(
    ("before", "use"),
    [
        ("lr = 1e-5\n", "lr"),
        ("cfg = {'optim': {'lr': 1e-5}}\n", "cfg['optim']['lr']"),
        ("cfg = {'lr': 1e-5}\n", "cfg.get('lr', 0.1)"),
        ("cfg = dict(lr=1e-5)\n", "cfg['lr']"),
        ("class Config:\n    lr = 1e-5\n", "Config.lr"),
        ("@dataclass\nclass Config:\n    lr: float = 1e-5\ncfg = Config()\n", "cfg.lr"),
        ("@dataclass\nclass Config:\n    lr: float = 1e-5\ncfg = tyro.cli(Config)\n", "cfg.lr"),
        ("cfg = SimpleNamespace(lr=0.5)\ncfg.__dict__.update(lr=1e-5)\n", "cfg.lr"),
        ("p.add_argument('--lr', default=1e-5)\na = p.parse_args()\n", "a.lr"),
        ("p.add_argument('--lr', default=0.5)\np.set_defaults(lr=1e-5)\na, _ = p.parse_known_args()\n", "a.lr"),
        ("@click.option('--rate', default=1e-5)\ndef main(rate):\n    pass\nrate = None\n", "rate"),
        ("def main(lr: float = 1e-5):\n    use(lr)\ntyper.run(main)\n", "options.lr"),
        ("lr = os.environ.get('LR', '1e-5')\n", "float(lr)"),
        ("lr = 2e-5\n", "lr / 2"),
        ("lr = 0.1 ** 5\n", "lr"),
    ],
)
def test_the_number_is_changed_where_the_text_makes_it(before, use):
    new = changed(f"{before}RATE({use})\n")["train.py"]
    assert "0.02" in new
    assert new.endswith(f"RATE({use})\n")


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (("--lr", "1e-5"), "0.02"),
        (("--lr=1e-5",), "--lr=0.02"),
        (("optim.lr=0.00001",), "optim.lr=0.02"),
        (("--batch", "64", "--l", "1e-5"), "0.02"),
    ],
)
def test_an_option_that_was_given_comes_before_its_default(words, new):
    text = "p.add_argument('--lr', default=1e-5)\na = p.parse_args()\nRATE(a.lr)\n"
    _, found = first(text, arguments=words)
    assert found[0].said.endswith("on the command line")
    assert found[0].instead(0.02) == Argument(len(words) - 1, new)


def test_words_of_the_command_line_are_found_by_position():
    _, found = first("RATE(float(sys.argv[2]))\n", arguments=("a", "1e-5"))
    assert found[0].instead(0.02) == Argument(1, "0.02")


def test_a_variable_of_the_environment_is_set_where_it_was_set():
    text = "RATE(float(os.environ.get('LR', '0.1')))\n"
    _, found = first("import os\n" + text, environment=(("LR", "1e-5"),))
    assert found[0].instead(0.02) == Variable("LR", "0.02")


@pytest.mark.parametrize(
    ("file", "text", "new"),
    [
        ("c.json", '{"seed": 1, "optim": {"lr": 1e-5, "b": 1e-5}}', '{"seed": 1, "optim": {"lr": 0.02, "b": 1e-5}}'),
        ("c.yaml", "# lr: 1e-5\noptim:\n  lr: 0.00001  # low\n", "# lr: 1e-5\noptim:\n  lr: 0.02  # low\n"),
        ("c.toml", "[optim]\nlr = 1e-5 # low\n", "[optim]\nlr = 0.02 # low\n"),
        ("c.ini", "[optim]\nlr = 1e-5\n", "[optim]\nlr = 0.02\n"),
        ("c.yml", "optim: {lr: '1e-5', decay: 0}\n", "optim: {lr: '0.02', decay: 0}\n"),
    ],
)
def test_a_settings_file_keeps_everything_but_the_number(file, text, new):
    got = changed("cfg = load(path)\nRATE(float(cfg['optim']['lr']))\n", {file: text})
    assert got[file] == new


def test_yaml_gets_no_number_that_it_takes_for_a_word():
    sources, found = first("RATE(cfg.lr)\n", {"c.yaml": "lr: 0.00001\n"})
    assert sources.spliced(found[0].instead(3e-5)).files["c.yaml"] == "lr: 3.0e-05\n"


def test_a_settings_file_is_no_python():
    assert Sources({"c.json": '{"lr": 0.1}'}, "train.py").page("c.json") is None


def test_another_number_under_the_same_name_is_no_candidate():
    sources = Sources({"train.py": "cfg = {'lr': 0.5}\nRATE(cfg['lr'])\n"}, "train.py")
    source = Source.of(sources)
    call = next(source.all(ast.Call))
    assert not origins(sources, source.place(call.args[0]), "lr", lambda v: v == RECORDED)


def test_numbers_as_people_write_them():
    assert [w.value for w in arguments(["x", "--lr", "-1e-3", "--n=3", "seed=7", "4", "-v", "words"])] == [
        -1e-3,
        3,
        7,
        4,
    ]
    assert constant(ast.parse("-(2 * 1e-3) / 4", mode="eval").body) == -5e-4
    assert constant(ast.parse("2 ** n", mode="eval").body) is None
    assert [p.key for p in pairs("a.toml", "a = 1\n# b = 2\nc = [1]\n'd' = 3\n")] == ["a", "d"]
