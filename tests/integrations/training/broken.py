"""Twenty training functions with one fault each. The first line of a docstring names the fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tests.integrations.training import data


def mlp(inputs: int, outputs: int, width: int = 64) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, outputs))


def batches(*tensors: Tensor, size: int = 32, epochs: int = 6) -> Iterator[list[Tensor]]:
    for _ in range(epochs):
        for chosen in torch.randperm(len(tensors[0])).split(size):
            yield [tensor[chosen] for tensor in tensors]


def gradients_never_cleared() -> None:
    model = mlp(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for pixels, labels in batches(*data.digits()):
        loss = F.cross_entropy(model(pixels), labels)
        loss.backward()
        optimizer.step()


def optimizer_of_another_model() -> None:
    optimizer = torch.optim.Adam(mlp(64, 10).parameters(), lr=1e-3)
    model = mlp(64, 10)
    for pixels, labels in batches(*data.digits()):
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        optimizer.step()


def softmax_over_the_batch() -> None:
    model = nn.Sequential(*mlp(13, 3), nn.LogSoftmax(dim=0))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for rows, labels in batches(*data.wines(), size=16, epochs=15):
        optimizer.zero_grad()
        F.nll_loss(model(rows), labels).backward()
        optimizer.step()


class Frozen(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 4), nn.ReLU())
        self.head = nn.Linear(4, 10)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.body(pictures).detach())


def body_cut_off_by_detach() -> None:
    model = Frozen()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for pixels, labels in batches(*data.pictures()):
        loss = F.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def softmax_twice() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(dim=1))
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(*data.digits()), batch_size=32, shuffle=True)
    for _ in range(6):
        for pixels, labels in loader:
            optimizer.zero_grad()
            criterion(model(pixels), labels).backward()
            optimizer.step()


def rate_a_thousand_times_too_high() -> None:
    model = mlp(64, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=2.0)
    for pixels, labels in batches(*data.digits()):
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        optimizer.step()


def rate_far_too_low() -> None:
    model = nn.LSTM(1, 24, batch_first=True)
    head = nn.Linear(24, 3)
    optimizer = torch.optim.Adam([*model.parameters(), *head.parameters()], lr=1e-6)
    for series, labels in batches(*data.waves(), epochs=12):
        optimizer.zero_grad()
        states, _ = model(series)
        F.cross_entropy(head(states[:, -1]), labels).backward()
        optimizer.step()


def hidden_layers_frozen() -> None:
    model = nn.Sequential(nn.Linear(2, 6), nn.Tanh(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    for layer in model[:3]:
        layer.requires_grad_(False)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for points, labels in batches(*data.moons(), epochs=20):
        optimizer.zero_grad()
        F.cross_entropy(model(points), labels).backward()
        optimizer.step()


def labels_shifted_by_one_row() -> None:
    pixels, labels = data.digits()
    labels = torch.cat([labels[1:], labels[:1]])
    model = mlp(64, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for chosen, wanted in batches(pixels, labels):
        optimizer.zero_grad()
        F.cross_entropy(model(chosen), wanted).backward()
        optimizer.step()


def no_step() -> None:
    model = mlp(10, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for rows, progression in batches(*data.patients(), epochs=10):
        optimizer.zero_grad()
        F.mse_loss(model(rows).squeeze(1), progression).backward()


def logarithm_of_zero() -> None:
    pixels, labels = data.digits()
    model = mlp(64, 10)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for chosen, wanted in batches(pixels.log(), labels):
        optimizer.zero_grad()
        F.cross_entropy(model(chosen), wanted).backward()
        optimizer.step()


def pixels_up_to_255() -> None:
    pixels, labels = data.pictures()
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for chosen, wanted in batches(pixels * 255, labels):
        loss = F.cross_entropy(model(chosen), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def normalisation_layers_in_eval_mode() -> None:
    rows, benign = data.tumours()
    model = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.eval()
    for chosen, wanted in batches(rows, benign, epochs=12):
        optimizer.zero_grad()
        F.cross_entropy(model(chosen), wanted).backward()
        optimizer.step()


def best_state_by_reference() -> nn.Module:
    rows, progression = data.patients()
    train, held = slice(0, 60), slice(60, None)
    model = mlp(10, 1, 256)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    best, lowest = model.state_dict(), float("inf")
    for _ in range(60):
        model.train()
        for chosen, wanted in batches(rows[train], progression[train], size=20, epochs=1):
            optimizer.zero_grad()
            F.mse_loss(model(chosen).squeeze(1), wanted).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            error = F.mse_loss(model(rows[held]).squeeze(1), progression[held]).item()
        if error < lowest:
            best, lowest = model.state_dict(), error
    model.load_state_dict(best)
    return model


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    def __init__(self) -> None:
        self.pixels, self.labels = data.digits()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        pixels = self.pixels[place]
        pixels -= 0.5
        pixels /= 0.5
        return pixels, self.labels[place]


def normalised_again_at_every_visit() -> None:
    model = mlp(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loader = DataLoader(Pictures(), batch_size=64, shuffle=True)
    for _ in range(12):
        for pixels, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(pixels), labels).backward()
            optimizer.step()


def loss_is_maximised() -> None:
    model = mlp(2, 1, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    points, labels = data.moons()
    for chosen, wanted in batches(points, labels.float(), epochs=10):
        log_likelihood = -F.binary_cross_entropy_with_logits(model(chosen).squeeze(1), wanted)
        optimizer.zero_grad()
        log_likelihood.backward()
        optimizer.step()


def a_column_against_a_row() -> None:
    rows, progression = data.patients()
    model = mlp(10, 1)
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=3e-3), nn.MSELoss()
    for chosen, wanted in batches(rows, progression, epochs=15):
        optimizer.zero_grad()
        criterion(model(chosen), wanted).backward()
        optimizer.step()


class Listed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(64, 8), nn.Linear(8, 8), nn.Linear(8, 4)]
        self.head = nn.Linear(4, 10)

    def forward(self, rows: Tensor) -> Tensor:
        for layer in self.layers:
            rows = layer(rows).relu()
        return self.head(rows)


def layers_in_a_plain_list() -> None:
    model = Listed()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for pixels, labels in batches(*data.digits()):
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        optimizer.step()


def all_weights_start_at_zero() -> None:
    model = nn.Sequential(nn.Embedding(50, 16), nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 2))
    for weight in model.parameters():
        nn.init.zeros_(weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for words, labels in batches(*data.sentences(), epochs=8):
        optimizer.zero_grad()
        F.cross_entropy(model(words), labels).backward()
        optimizer.step()


def one_class_after_the_other() -> None:
    pixels, labels = data.digits()
    order = labels.argsort()
    loader = DataLoader(TensorDataset(pixels[order], labels[order]), batch_size=32)
    model = mlp(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(6):
        for chosen, wanted in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(chosen), wanted).backward()
            optimizer.step()


BROKEN: dict[Callable[[], object], set[str]] = {
    gradients_never_cleared: {"no-zero-grad"},
    optimizer_of_another_model: {"optimizer-params"},
    softmax_over_the_batch: {"softmax-dim"},
    body_cut_off_by_detach: {"graph-detached"},
    softmax_twice: {"double-activation"},
    rate_a_thousand_times_too_high: {"lr-too-high"},
    rate_far_too_low: {"lr-too-low"},
    hidden_layers_frozen: {"frozen-params"},
    labels_shifted_by_one_row: {"label-misaligned"},
    no_step: {"no-step"},
    logarithm_of_zero: {"input-nonfinite"},
    pixels_up_to_255: {"input-scale"},
    normalisation_layers_in_eval_mode: {"batchnorm-misuse", "mode-error"},
    best_state_by_reference: {"state-dict-alias"},
    normalised_again_at_every_visit: {"data-mutated"},
    loss_is_maximised: {"loss-sign"},
    a_column_against_a_row: {"target-shape"},
    layers_in_a_plain_list: {"unregistered-params"},
    all_weights_start_at_zero: {"bad-init"},
    one_class_after_the_other: {"not-shuffled"},
}
"""Each function and the faults of which one is to be named."""
