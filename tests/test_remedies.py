"""Every remedy's edit, on scripts of several styles: the text is as expected, and it runs and trains."""

import pytest
import torch

from tests.scripts import BY_HAND, CLASSES, HEAD, LAYERS, TRAINER, edited, run, site
from unstuck.remedies import catalogue
from unstuck.remedies.add_activation import AddActivation
from unstuck.remedies.batchnorm_inputs import BatchnormInputs
from unstuck.remedies.drop_activation import DropActivation
from unstuck.remedies.insert_nonlinearity import InsertNonlinearity
from unstuck.remedies.loss_on_logits import LossOnLogits
from unstuck.remedies.redraw_weights import RedrawWeights
from unstuck.remedies.set_rate import SetRate
from unstuck.remedies.standardise_inputs import StandardiseInputs
from unstuck.remedies.standardise_targets import StandardiseTargets

ENTRANCES = [(CLASSES, "self.fc1(x)"), (LAYERS, "model(x)"), (BY_HAND, "x @ W1"), (TRAINER, "self.model(x)")]


def test_the_catalogue_names_each_remedy_after_its_file():
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


@pytest.mark.parametrize(("text", "call"), [ENTRANCES[0], ENTRANCES[1], ENTRANCES[3]])
def test_a_batch_norm_in_front(text, call):
    new = edited(BatchnormInputs(0, 2, sites=(site(text, call),)), text)
    assert "nn.BatchNorm1d(2, affine=False, momentum=None)" in new
    run(new)


def test_standardised_targets_leave_evaluation_in_its_units():
    remedy = StandardiseTargets(400.0, 40.0, site(TRAINER, "self.model(x)"), site(TRAINER, "self.loss_fn(pred, y)"))
    new = edited(remedy, TRAINER)
    assert "self.loss_fn((pred - TARGET_MEAN) / TARGET_STD, (y - TARGET_MEAN) / TARGET_STD)" in new
    assert run(new)[0]["score"] > 0.9 > run(TRAINER)[0]["score"]


def test_standardised_targets_in_a_loss_by_hand():
    remedy = StandardiseTargets(1000.0, 170.0, site(BY_HAND, "h @ W2"), site(BY_HAND, "predict(x) - y"))
    new = edited(remedy, BY_HAND)
    assert run(new)[0]["score"] > 0.9 > run(BY_HAND)[0]["score"]


def test_the_loss_on_logits_and_its_thresholds():
    new = edited(LossOnLogits(site(CLASSES, "self.sigmoid(self.fc2(x))")), CLASSES)
    assert "return self.fc2(x).squeeze(1)" in new
    assert "nn.BCEWithLogitsLoss()" in new
    assert "torch.sigmoid(out).round()" in new
    assert "(torch.sigmoid(p) > 0.5)" in new
    assert "(p == y)" in new
    assert run(new)[0]["score"] == pytest.approx(run(CLASSES)[0]["score"], abs=0.01)


def test_a_dropped_softmax():
    new = edited(DropActivation(site(LAYERS, "model(x)"), "softmax"), LAYERS)
    assert "Softmax" not in new
    assert "model(x).argmax(1)" in new
    assert run(new)[0]["score"] > 0.9


def test_the_loss_that_takes_raw_outputs():
    text = CLASSES.replace("self.sigmoid(self.fc2(x))", "self.fc2(x)")
    new = edited(AddActivation(site(text, "criterion(out, y)"), "binary_cross_entropy"), text)
    assert "torch.sigmoid(out).round()" in new
    assert "(torch.sigmoid(p) > 0.5)" in new
    assert run(new)[0]["score"] > 0.9


def test_a_relu_between_layers_of_a_list():
    new = edited(InsertNonlinearity((site(TRAINER, "self.model(x)"),)), TRAINER)
    assert "layers = [nn.Linear(2, width), nn.ReLU()]" in new
    assert "    layers.append(nn.ReLU())\n" in new
    run(new)


def test_a_relu_between_layers_of_a_loop():
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
def test_a_new_rate_stands_where_the_old_one_did(text, expected):
    old = {CLASSES: 0.05, LAYERS: 0.5, BY_HAND: 0.1, TRAINER: 0.01}[text]
    new = edited(SetRate(0.02 / old, 0.02), text)
    assert expected in new
    assert sum(a != b for a, b in zip(text.splitlines(), new.splitlines(), strict=True)) == 1


def test_redrawn_weights():
    new = edited(RedrawWeights(("net.fc1.weight", "net.fc1.bias")), CLASSES)
    assert "nn.init.xavier_uniform_(net.fc1.weight)\nnn.init.zeros_(net.fc1.bias)\noptimizer =" in new
    assert run(new)[0]["score"] > 0.9
    new = edited(RedrawWeights(("model.0.weight",)), LAYERS)
    assert "nn.init.xavier_uniform_(model[0].weight)\nopt =" in new
    run(edited(RedrawWeights(("W1", "b1")), BY_HAND))
