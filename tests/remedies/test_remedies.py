"""The edit of each remedy, on scripts in several styles: the text is as expected, runs and trains."""

import pytest
import torch

from tests.scripts import BY_HAND, CLASSES, HEAD, LAYERS, TRAINER, edited, run, site
from unstuck.diagnosis.model import Site
from unstuck.remedies import catalogue
from unstuck.remedies.add_activation import AddActivation
from unstuck.remedies.batchnorm_inputs import BatchnormInputs
from unstuck.remedies.clean_inputs import CleanInputs
from unstuck.remedies.clear_gradients import ClearGradients
from unstuck.remedies.clip_gradients import ClipGradients
from unstuck.remedies.drop_activation import DropActivation
from unstuck.remedies.drop_last import DropLast
from unstuck.remedies.drop_output_activation import DropOutputActivation
from unstuck.remedies.fit_loss import FitLoss
from unstuck.remedies.fix_softmax_dim import FixSoftmaxDim
from unstuck.remedies.flip_sign import FlipSign
from unstuck.remedies.hold_parameters import HoldParameters
from unstuck.remedies.insert_nonlinearity import InsertNonlinearity
from unstuck.remedies.keep_graph import KeepGraph
from unstuck.remedies.loss_on_logits import LossOnLogits
from unstuck.remedies.mask_padding import MaskPadding
from unstuck.remedies.redraw_weights import RedrawWeights
from unstuck.remedies.register_modules import RegisterModules
from unstuck.remedies.relabel import Relabel
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.remedies.set_batch import SetBatch
from unstuck.remedies.set_dropout import SetDropout
from unstuck.remedies.set_momentum import SetMomentum
from unstuck.remedies.set_rate import SetRate
from unstuck.remedies.set_weight_decay import SetWeightDecay
from unstuck.remedies.soften import Soften
from unstuck.remedies.squeeze_prediction import SqueezePrediction
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.remedies.standardise_targets import StandardiseTargets
from unstuck.remedies.steady_rate import SteadyRate
from unstuck.remedies.treatment import CannotEdit
from unstuck.remedies.unfreeze import Unfreeze
from unstuck.remedies.weight_classes import WeightClasses
from unstuck.remedies.widen import Widen
from unstuck.source.text import Sources
from unstuck.tape.program import Call, Outside, Program, Value, Weight

ENTRANCES = [(CLASSES, "self.fc1(x)"), (LAYERS, "model(x)"), (BY_HAND, "x @ W1"), (TRAINER, "self.model(x)")]


def test_catalogue_names_each_remedy_after_its_file():
    assert all(kind.__module__.startswith("unstuck.remedies.") for kind in catalogue().values())


@pytest.mark.parametrize(("text", "call"), ENTRANCES)
@pytest.mark.parametrize("values", [((0.5,), (2.0,)), ((0.5, -0.5), (2.0, 3.0))])
def test_standardised_inputs_reach_training_and_evaluation(text, call, values):
    remedy = StandardiseInputs(0, *values, sites=(site(text, call),))
    new = edited(remedy, text)
    assert new.count("INPUT_MEAN") == 2
    scope, _ = run(new)
    assert torch.isfinite(torch.tensor(scope["score"]))
    assert len(set(text.splitlines()) - set(new.splitlines())) <= 1


@pytest.mark.parametrize(("text", "call"), ENTRANCES)
@pytest.mark.parametrize("values", [((0.5,), (2.0,)), ((0.5, -0.5), (2.0, 3.0))])
def test_missing_values_become_the_mean(text, call, values):
    new = edited(StandardiseInputs(0, *values, sites=(site(text, call),), missing=-999.0, clip=10.0), text)
    assert new.count("torch.where(x == -999.0") == 1
    assert new.count(".clamp(-10, 10)") == 1
    scope, _ = run(new)
    assert torch.isfinite(torch.tensor(scope["score"]))


@pytest.mark.parametrize(("text", "call"), [ENTRANCES[0], ENTRANCES[1], ENTRANCES[3]])
def test_batch_norm_before_the_network(text, call):
    new = edited(BatchnormInputs(0, 2, sites=(site(text, call),)), text)
    assert "nn.BatchNorm1d(2, affine=False, momentum=None)" in new
    run(new)


def test_standardised_targets_keep_the_units_of_the_evaluation():
    remedy = StandardiseTargets(400.0, 40.0, site(TRAINER, "self.model(x)"), site(TRAINER, "self.loss_fn(pred, y)"))
    new = edited(remedy, TRAINER)
    assert "self.loss_fn((pred - TARGET_MEAN) / TARGET_STD, (y - TARGET_MEAN) / TARGET_STD)" in new
    assert run(new)[0]["score"] > 0.9 > run(TRAINER)[0]["score"]


def test_standardised_targets_in_a_loss_by_hand():
    remedy = StandardiseTargets(1000.0, 170.0, site(BY_HAND, "h @ W2"), site(BY_HAND, "predict(x) - y"))
    new = edited(remedy, BY_HAND)
    assert run(new)[0]["score"] > 0.9 > run(BY_HAND)[0]["score"]


def test_loss_on_logits_and_its_thresholds():
    new = edited(LossOnLogits(site(CLASSES, "self.sigmoid(self.fc2(x))")), CLASSES)
    assert "return self.fc2(x).squeeze(1)" in new
    assert "nn.BCEWithLogitsLoss()" in new
    assert "torch.sigmoid(out).round()" in new
    assert "(torch.sigmoid(p) > 0.5)" in new
    assert "(p == y)" in new
    assert run(new)[0]["score"] == pytest.approx(run(CLASSES)[0]["score"], abs=0.01)


def test_softmax_is_removed():
    new = edited(DropActivation(site(LAYERS, "model(x)"), "softmax"), LAYERS)
    assert "Softmax" not in new
    assert "model(x).argmax(1)" in new
    assert run(new)[0]["score"] > 0.9


def test_loss_that_takes_raw_outputs():
    text = CLASSES.replace("self.sigmoid(self.fc2(x))", "self.fc2(x)")
    new = edited(AddActivation(site(text, "criterion(out, y)"), "binary_cross_entropy"), text)
    assert "torch.sigmoid(out).round()" in new
    assert "(torch.sigmoid(p) > 0.5)" in new
    assert run(new)[0]["score"] > 0.9


def test_relu_between_layers_of_a_list():
    new = edited(InsertNonlinearity((site(TRAINER, "self.model(x)"),)), TRAINER)
    assert "layers = [nn.Linear(2, width), nn.ReLU()]" in new
    assert "    layers.append(nn.ReLU())\n" in new
    run(new)


def test_relu_between_layers_of_a_loop():
    text = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 1)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


out = Net()(x)
"""
    )
    new = edited(InsertNonlinearity((site(text, "layer(x)"),)), text)
    assert "x = layer(x) if layer is self.layers[-1] else torch.relu(layer(x))" in new
    run(new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CLASSES, "LR = 0.02\n"),
        (LAYERS, "lr=0.02, momentum=0.9"),
        (BY_HAND, "lr = 0.02\n"),
        (TRAINER, "lr=0.02):"),
    ],
)
def test_new_rate_replaces_the_old_one(text, expected):
    old = {CLASSES: 0.05, LAYERS: 0.5, BY_HAND: 0.1, TRAINER: 0.01}[text]
    new = edited(SetRate(0.02 / old, 0.02), text)
    assert expected in new
    assert sum(a != b for a, b in zip(text.splitlines(), new.splitlines(), strict=True)) == 1


TABLE = CLASSES.replace(
    "torch.optim.Adam(net.parameters(), lr=LR)", 'getattr(torch.optim, "Adam")(net.parameters(), LR)'
)


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        CLASSES.replace("LR = 0.05", "options = dict(lr=0.05)").replace("lr=LR)", "**options)"),
        CLASSES.replace(
            "optimizer = torch.optim.Adam(",
            "def build(params, lr):\n    return getattr(torch.optim, 'Adam')(params, lr)\noptimizer = build(",
        ),
    ],
)
def test_options_of_an_optimizer_constructed_out_of_sight(text):
    new = edited(SetRate(0.4, 0.02), text)
    assert "LR = 0.02\n" in new or "dict(lr=0.02)" in new
    assert run(new)[0]["optimizer"].param_groups[0]["lr"] == 0.02
    assert '    group["weight_decay"] = 0.001\n' in edited(SetWeightDecay(1e-3), text)


def test_redrawn_weights():
    new = edited(RedrawWeights(("net.fc1.weight", "net.fc1.bias")), CLASSES)
    assert "nn.init.xavier_uniform_(net.fc1.weight)\nnn.init.zeros_(net.fc1.bias)\noptimizer =" in new
    assert run(new)[0]["score"] > 0.9
    new = edited(RedrawWeights(("model.0.weight",)), LAYERS)
    assert "nn.init.xavier_uniform_(model[0].weight)\nopt =" in new
    run(edited(RedrawWeights(("W1", "b1")), BY_HAND))
    new = edited(RedrawWeights(("net.fc1.weight", "net.fc1.bias"), relu=True), CLASSES)
    assert "nn.init.xavier_uniform_(net.fc1.weight, gain=2**0.5)\nnn.init.zeros_(net.fc1.bias)\n" in new
    assert run(new)[0]["score"] > 0.9


def test_gradients_are_cleared_in_each_style():
    assert "    self.optim.zero_grad()\n            loss.backward()" in edited(ClearGradients(), TRAINER)
    new = edited(ClearGradients(), LAYERS.replace("    opt.zero_grad()\n", ""))
    assert "    opt.zero_grad()\n    loss.backward()" in new
    forgetful = BY_HAND.replace("            p.grad = None\n", "")
    assert edited(ClearGradients(), forgetful) == BY_HAND


def test_accumulated_gradients_are_cleared_after_the_step():
    text = TRAINER.replace("            self.optim.step()", "            if _ % 2:\n                self.optim.step()")
    assert "                self.optim.step()\n                self.optim.zero_grad()\n" in edited(
        ClearGradients(), text
    )


def test_clipped_gradients():
    assert "nn.utils.clip_grad_norm_(net.parameters(), 1.0)\n    optimizer.step()" in edited(ClipGradients(), CLASSES)
    assert "nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)" in edited(ClipGradients(), TRAINER)
    new = edited(ClipGradients(0.5), BY_HAND)
    assert "        nn.utils.clip_grad_norm_((W1, b1, W2, b2), 0.5)\n        for p in" in new
    for text in (CLASSES, TRAINER, BY_HAND):
        run(edited(ClipGradients(), text))


def test_optimizer_is_rebuilt_for_the_new_model():
    text = CLASSES.replace("for epoch in", "net = Net(16)\nfor epoch in")
    new = edited(HoldParameters(("net.fc1.weight", "net.fc1.bias")), text)
    assert "net = Net(16)\noptimizer = torch.optim.Adam(net.parameters(), lr=LR)\n" in new
    assert run(new)[0]["score"] > 0.9


def test_optimizer_is_rebuilt_for_a_layer_that_replaces_another():
    head = "net.fc2 = nn.Linear(net.fc2.in_features, net.fc2.out_features)"
    text = CLASSES.replace("for epoch in", f"{head}\nfor epoch in")
    new = edited(HoldParameters(("net.fc2.weight", "net.fc2.bias")), text)
    assert "net.fc2.out_features)\noptimizer = torch.optim.Adam(net.parameters(), lr=LR)\n" in new
    assert run(new)[0]["score"] > 0.9


@pytest.mark.parametrize("part", ["list(n.parameters())[-2:]", "n.fc2.parameters()"])
def test_optimizers_of_a_list_of_models_get_the_whole_models(part: str):
    text = CLASSES.replace(
        "optimizer = torch.optim.Adam(net.parameters(), lr=LR)",
        f"nets = [net]\noptimizers = [torch.optim.Adam({part}, lr=LR) for n in nets]\noptimizer = optimizers[0]",
    )
    new = edited(HoldParameters(("nets[0].fc1.weight", "nets[0].fc1.bias")), text)
    assert "optimizers = [torch.optim.Adam(n.parameters(), lr=LR) for n in nets]" in new
    assert run(new)[0]["score"] > 0.9


def test_optimizer_gets_the_whole_model():
    text = CLASSES.replace("Adam(net.parameters()", "Adam(net.fc2.parameters()")
    assert edited(HoldParameters(("net.fc1.weight",)), text) == CLASSES
    text = CLASSES.replace("Adam(net.parameters()", "Adam(trainable(net)")
    assert edited(HoldParameters(("net.fc1.weight",)), text) == CLASSES
    text = CLASSES.replace("Adam(net.parameters()", "Adam(other.parameters()")
    assert "Adam(list(other.parameters()) + list(net.parameters()), lr=LR)" in edited(
        HoldParameters(("net.fc1.weight",)), text
    )


TOWER = (
    HEAD
    + """
y = (x[:, :1] * x[:, 1:] > 0).float()


class Tower(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.first = nn.Linear(2, 16)
        self.blocks = []
        for _ in range(depth):
            self.blocks.append(nn.Linear(16, 16))
        self.heads = [nn.Linear(16, 1)]
        self.sizes = [2, 16]

    def forward(self, x):
        x = self.first(x)
        for block in self.blocks:
            x = torch.tanh(block(x))
        return self.heads[0](x)


tower = Tower(2)
count = len(list(tower.parameters()))
"""
)


def test_layers_of_a_list_are_registered():
    new = edited(RegisterModules(), TOWER)
    assert "self.blocks = nn.ModuleList()\n" in new
    assert "self.heads = nn.ModuleList([nn.Linear(16, 1)])" in new
    assert "self.sizes = [2, 16]" in new
    assert (run(TOWER)[0]["count"], run(new)[0]["count"]) == (2, 8)


def test_frozen_weights_are_unfrozen():
    text = CLASSES.replace("for epoch in", "for p in net.fc1.parameters():\n    p.requires_grad = False\nfor epoch in")
    assert edited(Unfreeze(("net.fc1.weight",)), text) == CLASSES
    text = CLASSES.replace(
        "for epoch in", "for p in net.parameters():\n    p.requires_grad = p.dim() == 1\nfor epoch in"
    )
    assert "    p.requires_grad = True\n" in edited(Unfreeze(("net.fc1.weight",)), text)
    assert "freeze=False)" in edited(Unfreeze(("e",)), "from torch import nn\ne = nn.Embedding.from_pretrained(v)\n")


def test_detach_is_removed():
    text = CLASSES.replace("self.fc2(x)", "self.fc2(x.detach())")
    assert edited(KeepGraph(site(text, "x.detach()")), text) == CLASSES
    text = CLASSES.replace("criterion(out, y)", "criterion(out.detach().requires_grad_(), y)")
    assert edited(KeepGraph(site(text, "criterion(out.detach().requires_grad_(), y)")), text) == CLASSES
    text = CLASSES.replace("    out = net(x)\n", "    with torch.no_grad():\n        # forward\n        out = net(x)\n")
    new = edited(KeepGraph(site(text, "net(x)")), text)
    assert "\n    out = net(x)\n" in new
    run(new)


@pytest.mark.parametrize(
    "cut",
    [
        "torch.tensor(loss.item(), requires_grad=True)",
        "torch.tensor(float(loss), requires_grad=True)",
        "torch.autograd.Variable(loss.data, requires_grad=True)",
        "loss.detach().requires_grad_()",
    ],
)
def test_detach_of_a_finished_loss_is_removed(cut):
    text = CLASSES.replace("    loss.backward", f"    loss = {cut}\n    loss.backward")
    assert edited(KeepGraph(site(text, "criterion(out, y)")), text) == CLASSES


@pytest.mark.parametrize(
    "some", ["list(net.parameters())[-2:]", "[p for n, p in net.named_parameters() if 'fc2' in n]"]
)
def test_optimizer_of_selected_parameters(some):
    text = CLASSES.replace("net.parameters()", some, 1)
    assert text != CLASSES
    assert edited(HoldParameters(("net.fc1.weight",)), text) == CLASSES


def test_detach_outside_of_forward_is_removed():
    text = CLASSES.replace("    out = net(x)\n", "    with torch.no_grad():\n        out = net(x)\n")
    text = text.replace("criterion(out, y)", "criterion(out.data, y)")
    text = text.replace(
        "    loss.backward", "    loss = torch.tensor(loss.item(), requires_grad=True)\n    loss.backward"
    )
    assert edited(KeepGraph(site(text, "self.fc2(x)")), text) == CLASSES


def test_prediction_is_squeezed():
    text = TRAINER.replace("keepdim=True", "keepdim=False").replace("self.model(x), y)", "self.model(x)[:, 0], y)")
    new = edited(SqueezePrediction(site(text, "self.loss_fn(pred, y)")), text)
    assert "self.loss_fn(pred.squeeze(-1), y)" in new
    by_hand = BY_HAND.replace("x[:, :1] * 300 + 1000", "x[:, 0] * 300 + 1000")
    assert "((predict(x).squeeze(-1) - y) ** 2).mean()\n    loss" in edited(
        SqueezePrediction(site(by_hand, "predict(x) - y")), by_hand
    )


def test_weight_decay_and_dropout_and_momentum():
    text = CLASSES.replace("lr=LR)", "lr=LR, weight_decay=0.3)")
    assert edited(SetWeightDecay(1e-4), text) == text.replace("0.3", "0.0001")
    assert "lr=LR, weight_decay=0)" in edited(SetWeightDecay(0.0), CLASSES)
    text = HEAD + "P = 0.9\na = nn.Dropout(P)\nb = nn.Dropout(p=P)\nc = nn.Dropout(0.3)\nd = F.dropout(x, 0.8)\n"
    assert edited(SetDropout(0.1), text) == text.replace("0.9", "0.1").replace("0.8", "0.1")
    text = HEAD + "a = nn.BatchNorm1d(2, momentum=0.0003)\nb = nn.BatchNorm1d(2)\n"
    assert edited(SetMomentum(), text) == text.replace("0.0003", "0.1")


def test_hidden_activations_are_replaced_but_not_the_output():
    text = CLASSES.replace("torch.relu(self.fc1(x))", "self.sigmoid(self.fc1(x))")
    new = edited(ReplaceActivation("sigmoid", (site(text, "self.sigmoid(self.fc1(x))"),)), text)
    assert new == CLASSES
    text = LAYERS.replace("nn.ReLU()", "nn.Tanh()")
    assert edited(ReplaceActivation("tanh", (site(text, "model(x)"),)), text) == LAYERS
    text = CLASSES.replace("torch.relu(self.fc1(x))", "self.act(self.fc1(x))")
    text = text.replace("        self.sigmoid =", "        self.act = torch.tanh\n        self.sigmoid =")
    assert "self.act = torch.relu\n" in edited(ReplaceActivation("tanh", (site(text, "self.act(self.fc1(x))"),)), text)
    text = BY_HAND.replace("torch.tanh(x @ W1 + b1)", "(x @ W1 + b1).tanh()")
    assert "(x @ W1 + b1).relu()" in edited(ReplaceActivation("tanh", (site(text, "(x @ W1 + b1).tanh()"),)), text)


@pytest.mark.parametrize(
    ("call", "fixed"),
    [
        ("F.softmax(h, dim=0)", "F.softmax(h, dim=1)"),
        ("torch.log_softmax(h, 0)", "torch.log_softmax(h, 1)"),
        ("h.softmax(0)", "h.softmax(1)"),
        ("F.softmax(h)", "F.softmax(h, dim=1)"),
    ],
)
def test_softmax_over_the_classes(call, fixed):
    text = HEAD + f"def net(h):\n    return {call}\n"
    assert edited(FixSoftmaxDim(site(text, call)), text) == text.replace(call, fixed)
    text = LAYERS.replace("dim=1", "dim=0")
    assert edited(FixSoftmaxDim(site(text, "model(x)")), text) == LAYERS


def test_class_weights():
    text = CLASSES.replace("nn.BCELoss()", "nn.BCEWithLogitsLoss()")
    remedy = WeightClasses((9.0,), site(text, "criterion(out, y)"), "binary_cross_entropy_with_logits")
    assert "nn.BCEWithLogitsLoss(pos_weight=torch.tensor([9.0]))" in edited(remedy, text)
    remedy = WeightClasses((1.0, 9.0), site(LAYERS, "F.cross_entropy(model(x), y)"), "cross_entropy")
    new = edited(remedy, LAYERS)
    assert "F.cross_entropy(model(x), y, weight=torch.tensor([1.0, 9.0]))" in new
    run(new)


def test_output_activation_is_removed():
    text = TRAINER.replace("nn.Linear(width, 1)]", "nn.Linear(width, 1), nn.ReLU()]")
    assert edited(DropOutputActivation(site(text, "self.model(x)"), "relu"), text) == TRAINER
    text = TOWER.replace(
        "for block in self.blocks:\n            x = torch.tanh(block(x))",
        "for block in self.blocks:\n            x = F.relu(block(x))",
    )
    new = edited(DropOutputActivation(site(text, "F.relu(block(x))"), "relu"), text)
    assert "x = block(x) if block is self.blocks[-1] else F.relu(block(x))" in new
    far = "import torch.nn as nn\n\ndef mlp(last):\n    return nn.Sequential(*[nn.Linear(3, 1), *last])\n\n"
    far += "net = mlp([{}])\ny = net(x)\n"
    remedy = DropOutputActivation(site(far.format("nn.Sigmoid()"), "net(x)"), "sigmoid")
    assert edited(remedy, far.format("nn.Sigmoid()")) == far.format("nn.Identity()")
    with pytest.raises(CannotEdit):
        edited(remedy, far.format("nn.Sigmoid(), nn.Sigmoid()"))


@pytest.mark.parametrize(
    ("code", "form", "masked"),
    [
        ("torch.softmax(a, dim=1)", "column", "torch.softmax(a.masked_fill(~real.unsqueeze(-1), -1e9), dim=1)"),
        ("softmax(a + 1, 1)", "weights", "softmax((a + 1).masked_fill(~real, -1e9), 1)"),
        ("a.softmax(1)", "weights", "a.masked_fill(~real, -1e9).softmax(1)"),
    ],
)
def test_softmax_excludes_padding(code, form, masked):
    text = "import torch\nfrom torch.nn.functional import softmax\n"
    text += f"def f(emb, w, a):\n    e = emb(w)\n    return {code} @ e\n"
    new = edited(MaskPadding(site(text, "emb(w)"), site(text, code), form, 0), text)
    assert new == text.replace("    e =", "    real = w != 0\n    e =").replace(code, masked)


def test_scheduler_steps_are_removed():
    text = CLASSES.replace(
        "for epoch in", "sched = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)\nfor epoch in"
    )
    with_steps = text.replace("    optimizer.step()\n", "    optimizer.step()\n    sched.step()\n")
    assert edited(SteadyRate(), with_steps) == text


def test_nan_inputs_are_replaced():
    for text, call in ENTRANCES:
        new = edited(CleanInputs(0, (site(text, call),)), text)
        assert "torch.nan_to_num(" in new
        run(new)


def test_loss_for_the_task():
    new = edited(FitLoss(site(LAYERS, "F.cross_entropy(model(x), y)"), "mse_loss", as_float=True), LAYERS)
    assert "F.mse_loss(model(x), y.float())" in new
    new = edited(FitLoss(site(CLASSES, "criterion(out, y)"), "mse_loss"), CLASSES)
    assert "criterion = nn.MSELoss()\n" in new


def test_named_factor_becomes_one():
    text = CLASSES.replace("self.fc1(x)", "STEEP * self.fc1(x)").replace("LR = 0.05\n", "LR = 0.05\nSTEEP = 3000.0\n")
    assert edited(Soften(site(text, "STEEP * self.fc1(x)")), text) == text.replace("3000.0", "1.0")


def test_factor_in_place_is_removed():
    text = CLASSES.replace("self.fc1(x)", "30 * self.fc1(x)")
    assert edited(Soften(site(text, "30 * self.fc1(x)")), text) == CLASSES
    text = CLASSES.replace("self.fc1(x)", "self.fc1(x) / 0.01")
    assert edited(Soften(site(text, "self.fc1(x) / 0.01")), text) == CLASSES


def test_maximised_loss_is_minimised():
    text = CLASSES.replace("criterion(out, y)", "-criterion(out, y)")
    assert edited(FlipSign(site(text, "-criterion(out, y)")), text) == CLASSES
    text = CLASSES.replace("criterion(out, y)", "criterion(out, y) * -1.0")
    assert edited(FlipSign(site(text, "criterion(out, y) * -1.0")), text) == CLASSES
    text = CLASSES.replace("lr=LR)", "lr=LR, maximize=True)")
    assert edited(FlipSign(), text) == text.replace("True)", "False)")


LABELS = (
    HEAD
    + """
import numpy as np
from torch.utils.data import DataLoader, Dataset, TensorDataset

codes = np.array([1 + (i % 3) for i in range(200)])
train, test = codes[:150], codes[150:]


class Rows(Dataset):
    def __init__(self, xs, labels):
        self.xs, self.labels = xs, torch.tensor(labels)

    def __len__(self):
        return len(self.xs)

    def __getitem__(self, i):
        return self.xs[i], self.labels[i].long()


loader = DataLoader(MAKE, batch_size=50)
model = nn.Linear(2, 3)
for xb, yb in loader:
    loss = F.cross_entropy(model(xb), yb)
    loss.backward()
"""
)


@pytest.mark.parametrize("make", ["Rows(x[:150], train)", "TensorDataset(x[:150], torch.from_numpy(train).long())"])
def test_labels_are_shifted_to_zero(make):
    text = LABELS.replace("MAKE", make)
    new = edited(Relabel(1, site(text, "F.cross_entropy(model(xb), yb)")), text)
    assert "codes = np.array([1 + (i % 3) for i in range(200)]) - 1\n" in new
    run(new)


def test_hidden_layers_are_widened():
    new = edited(Widen(64), CLASSES)
    assert new == CLASSES.replace("hidden=16", "hidden=64")
    new = edited(Widen(64), LAYERS)
    assert new == LAYERS.replace("16", "64")
    new = edited(Widen(32), TRAINER)
    assert new == TRAINER.replace("build(16)", "build(32)")


def test_weights_are_named_as_in_the_script():
    new = edited(RedrawWeights(("self.model.0.weight", "self.model.0.bias")), TRAINER)
    assert "nn.init.xavier_uniform_(self.model[0].weight)\n        nn.init.zeros_(self.model[0].bias)\n" in new
    run(new)
    text = TRAINER.replace("self.model.parameters()", "self.head.parameters()").replace(
        "        self.loss_fn", "        self.head = build(2)\n        self.loss_fn"
    )
    new = edited(HoldParameters(("self.model.0.weight",)), text)
    assert "Adam(list(self.head.parameters()) + list(self.model.parameters()), lr)" in new
    run(new)
    new = edited(
        HoldParameters(("net.fc1.weight",)),
        CLASSES.replace("net = Net()", "thing = Net()")
        .replace("(net.", "(other.")
        .replace("net(x)", "thing(x)")
        .replace("e(net)", "e(thing)"),
    )
    assert "list(other.parameters()) + list(thing.parameters())" in new


MODEL = """import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, x):
        return self.body(x)[:, 0]
"""

MAIN = """import torch
from torch.nn import BCELoss
from net import Net


def train(model, loader, loss_fn, optimizer):
    for xb, yb in loader:
        optimizer.zero_grad()
        pred = model(xb)
        loss = loss_fn(pred, yb)
        loss.backward()
        optimizer.step()


def accuracy(model, xb, yb):
    scores = []
    for i in range(2):
        scores.append(model(xb))
    labels = torch.cat(scores).numpy() > 0.5
    return labels


if __name__ == "__main__":
    net = Net()
    train(net, [], BCELoss(), torch.optim.SGD(net.parameters(), lr=0.1))
    accuracy(net, None, None)
"""


def test_project_of_two_files():
    sources = Sources({"net.py": MODEL, "train.py": MAIN}, "train.py")
    head = site(MODEL, "self.body(x)", file="net.py")
    new = LossOnLogits(head).edit(sources).files
    assert "nn.Linear(16, 1))\n" in new["net.py"]
    assert "torch.nn.BCEWithLogitsLoss()" in new["train.py"]
    assert "torch.sigmoid(torch.cat(scores)).numpy() > 0.5" in new["train.py"]
    new = StandardiseInputs(0, (1.0, 2.0), (1.0, 1.0), sites=(head,)).edit(sources).files
    assert new["train.py"] == MAIN
    assert "import torch\n\nINPUT_MEAN = torch.tensor([1.0, 2.0])" in new["net.py"]
    assert "self.body((x - INPUT_MEAN) / INPUT_STD)" in new["net.py"]
    assert "optim.SGD(net.parameters(), lr=0.2)" in SetRate(2.0, 0.2).edit(sources).files["train.py"]


def test_remedies_compose_in_either_order():
    first = StandardiseInputs(0, (0.5, 0.1), (2.0, 3.0), sites=(site(CLASSES, "self.fc1(x)"),))
    second = LossOnLogits(site(CLASSES, "self.sigmoid(self.fc2(x))"))
    third = InsertNonlinearity((site(CLASSES, "self.fc1(x)"),))
    sources = Sources({"train.py": CLASSES}, "train.py")
    one = third.edit(second.edit(first.edit(sources)))
    other = first.edit(second.edit(third.edit(sources)))
    assert one.files == other.files
    assert "torch.relu(torch.relu(self.fc1((x - INPUT_MEAN) / INPUT_STD)))" in one.files["train.py"]
    run(one.files["train.py"])


def test_consecutive_linear_calls():
    def call(function, out, *args):
        return Call(function, args, outs=(out,), sites=(Site("train.py", out + 1, 0, out + 1, 9),))

    x, weight = Outside(0), [Weight(f"W{i}") for i in range(4)]
    first = (call("torch.matmul", 0, x, weight[0]), call("torch.Tensor.add", 1, Value(0), weight[1]))
    straight_on = Program(
        (*first, call("torch.nn.functional.dropout", 2, Value(1)), call("torch.matmul", 3, Value(2), weight[2])), 3, 1
    )
    assert [s.line for s in InsertNonlinearity.of(straight_on).sites] == [2]
    bent = Program((*first, call("torch.relu", 2, Value(1)), call("torch.matmul", 3, Value(2), weight[2])), 3, 1)
    assert not InsertNonlinearity.of(bent).sites
    attention = Program((*first, call("torch.matmul", 2, Value(1), Value(1))), 2, 1)
    assert not InsertNonlinearity.of(attention).sites


@pytest.mark.parametrize(
    "build",
    [
        "nn.Sequential(OrderedDict([('a', nn.Linear(2, 4)), ('b', nn.ReLU()), ('c', nn.Linear(4, 2))]))",
        "nn.Sequential(*[nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 2)])",
        "nn.Sequential(*(nn.Linear(a, b) for a, b in [(2, 4), (4, 2)]))",
        "nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), nn.Linear(4, 2)).to(device)",
        "nn.Linear(2, 2)",
        "nn.DataParallel(nn.Sequential(nn.Linear(2, 2)))",
    ],
)
def test_ways_to_build_a_model(build):
    text = HEAD + f"from collections import OrderedDict\ndevice = 'cpu'\nmodel = {build}\n"
    text += "y = torch.zeros(200).long()\nF.cross_entropy(model(x), y).backward()\nprint(model(x[:5]).argmax(1))\n"
    new = edited(StandardiseInputs(0, (1.0, 2.0), (3.0, 4.0), sites=(site(text, "model(x)"),)), text)
    assert "INPUT_MEAN" in new
    run(new)


@pytest.mark.parametrize(
    ("loop", "call", "last"),
    [
        ("for i in range(len(self.layers)):", "self.layers[i](x)", "i == len(self.layers) - 1"),
        ("for i, layer in enumerate(self.layers):", "layer(x)", "i == len(self.layers) - 1"),
    ],
)
def test_activation_in_the_last_iteration_of_a_loop(loop, call, last):
    text = "import torch\n\n\nclass Net:\n    def forward(self, x):\n"
    text += f"        {loop}\n            x = torch.relu({call})\n        return x\n"
    new = edited(DropOutputActivation(site(text, f"torch.relu({call})"), "relu"), text)
    assert f"x = {call} if {last} else torch.relu({call})" in new


def test_function_called_by_training_only():
    text = LAYERS.replace("F.cross_entropy(model(x), y)", "batch_loss(x, y)").replace(
        "opt = ", "\n\ndef batch_loss(xb, yb):\n    return F.cross_entropy(model(xb), yb)\n\n\nopt = "
    )
    new = edited(StandardiseInputs(0, (1.0,), (2.0,), sites=(site(text, "model(xb)"),)), text)
    assert "    Standardise(INPUT_MEAN, INPUT_STD),\n    nn.Linear(2, 16)" in new
    run(new)


NORMED = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, y = torch.randn(33, 2), torch.randint(0, 2, (33,))
net = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
ROWS = 1
sizes = []
{head}
        sizes.append(len(xb))
        loss = nn.functional.cross_entropy(net(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
LOADED = NORMED.format(
    head="loader = DataLoader(TensorDataset(x, y), ROWS, shuffle=True)\nfor _ in range(2):\n    for xb, yb in loader:"
)
SPLIT = NORMED.format(
    head="for _ in range(2):\n    for k, idx in enumerate(torch.randperm(33).split(ROWS)):\n"
    "        xb, yb = x[idx], y[idx]"
)
SLICED = NORMED.format(
    head="for _ in range(2):\n    for i in range(0, 33, ROWS):\n        xb, yb = x[i : i + ROWS], y[i : i + ROWS]"
)


@pytest.mark.parametrize("text", [LOADED, SPLIT, SLICED])
def test_batches_of_one_row_are_enlarged(text):
    text += "\nfor other in range(0, 3, 1):\n    sizes += []\n"
    new = edited(SetBatch(11), text)
    assert "ROWS = 11\n" in new
    assert "range(0, 3, 1)" in new
    assert run(new)[0]["sizes"] == [11, 11, 11] * 2


@pytest.mark.parametrize("text", [LOADED, SPLIT, SLICED])
def test_last_batch_of_one_row_is_dropped(text):
    text = text.replace("ROWS = 1", "ROWS = 16")
    with pytest.raises(ValueError, match="more than 1 value"):
        run(text)
    assert run(edited(DropLast(), text))[0]["sizes"] == [16, 16] * 2
