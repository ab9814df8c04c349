"""Twenty sound training functions of many styles: nothing is to be found in any of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from tests.integrations.training import data


def batches(*tensors: Tensor, size: int = 32, epochs: int = 6) -> Iterator[list[Tensor]]:
    for _ in range(epochs):
        for chosen in torch.randperm(len(tensors[0])).split(size):
            yield [tensor[chosen] for tensor in tensors]


def perceptron_with_adam() -> float:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=3e-3), torch.zeros(())
    for pixels, labels in batches(*data.digits()):
        loss = F.cross_entropy(model(pixels), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def convolutions_with_momentum() -> None:
    model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10))
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), nn.CrossEntropyLoss()
    loader = DataLoader(TensorDataset(*data.pictures()), batch_size=64, shuffle=True)
    for _ in range(6):
        for pixels, labels in loader:
            optimizer.zero_grad()
            criterion(model(pixels), labels).backward()
            optimizer.step()


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 32, batch_first=True)
        self.head = nn.Linear(32, 3)

    def forward(self, series: Tensor) -> Tensor:
        return self.head(self.gru(series)[1][-1])


def gated_units_with_clipping() -> None:
    model = Recurrent()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for series, labels in batches(*data.waves(), epochs=12):
        optimizer.zero_grad()
        F.cross_entropy(model(series), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def bags_of_words() -> None:
    model = nn.Sequential(nn.EmbeddingBag(50, 16), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for words, labels in batches(*data.sentences(), epochs=8):
        optimizer.zero_grad()
        F.cross_entropy(model(words), labels).backward()
        optimizer.step()


def regression_on_patients() -> None:
    rows, progression = data.patients()
    model = nn.Sequential(nn.Linear(10, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for chosen, wanted in batches(rows, progression, epochs=15):
        optimizer.zero_grad()
        F.mse_loss(model(chosen).squeeze(1), wanted).backward()
        optimizer.step()


def autoencoder_of_digits() -> None:
    encoder = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 12))
    decoder = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    pixels, _ = data.digits()
    for (chosen,) in batches(pixels, epochs=8):
        optimizer.zero_grad()
        F.mse_loss(decoder(encoder(chosen)), chosen).backward()
        optimizer.step()


def batch_norm_in_both_modes() -> list[float]:
    rows, benign = data.tumours()
    model = nn.Sequential(nn.BatchNorm1d(30), nn.Linear(30, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    optimizer, accuracies = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(15):
        model.train()
        for chosen, wanted in batches(rows[:400], benign[:400], epochs=1):
            optimizer.zero_grad()
            F.cross_entropy(model(chosen), wanted).backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            accuracies.append((model(rows[400:]).argmax(1) == benign[400:]).float().mean().item())
    return accuracies


def dropout_of_a_third() -> None:
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for pixels, labels in batches(*data.digits(), epochs=8):
        optimizer.zero_grad()
        F.cross_entropy(model(pixels), labels).backward()
        optimizer.step()


def quasi_newton_with_closure() -> None:
    rows, cultivar = data.wines()
    model = nn.Sequential(nn.Linear(13, 8), nn.Tanh(), nn.Linear(8, 3))
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.5, max_iter=5)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(rows), cultivar) + 1e-3 * sum(w.square().sum() for w in model.parameters())
        loss.backward()
        return loss

    for _ in range(25):
        optimizer.step(closure)


def nesterov_with_steps_down() -> None:
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.3)
    for _ in range(8):
        for pixels, labels in batches(*data.digits(), epochs=1):
            optimizer.zero_grad()
            F.cross_entropy(model(pixels), labels).backward()
            optimizer.step()
        schedule.step()


def one_cycle() -> None:
    pixels, labels = data.pictures()
    model = nn.Sequential(nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Flatten(), nn.Linear(432, 10))
    epochs, size = 5, 60
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    steps = epochs * -(-len(pixels) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    for chosen, wanted in batches(pixels, labels, size=size, epochs=epochs):
        optimizer.zero_grad()
        F.cross_entropy(model(chosen), wanted).backward()
        optimizer.step()
        schedule.step()


def four_small_batches_to_a_step() -> None:
    model = nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for number, (pixels, labels) in enumerate(batches(*data.digits(), size=8, epochs=6), 1):
        (F.cross_entropy(model(pixels), labels) / 4).backward()
        if number % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()


def two_moons_full_batch() -> None:
    points, labels = data.moons()
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=1e-2), nn.BCEWithLogitsLoss()
    for _ in range(300):
        optimizer.zero_grad()
        criterion(model(points)[:, 0], labels.float()).backward()
        optimizer.step()


def several_labels_to_a_row() -> None:
    pixels, labels = data.digits()
    traits = torch.stack([labels % 2, (labels > 4).long(), labels % 3 // 2], 1).float()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for chosen, wanted in batches(pixels, traits):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(chosen), wanted).backward()
        optimizer.step()


class Reader(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(50, 32), nn.Parameter(0.02 * torch.randn(12, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.head = nn.Linear(32, 2)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.layer(self.words(words) + self.places).mean(1))


def transformer_with_groups_and_warmup() -> None:
    model = Reader()
    decayed = [w for w in model.parameters() if w.dim() > 1]
    others = [w for w in model.parameters() if w.dim() < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.01}, {"params": others, "weight_decay": 0.0}], lr=3e-3
    )
    warmup = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 20))
    for words, labels in batches(*data.sentences(), epochs=8):
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(words), labels).backward()
        optimizer.step()
        warmup.step()


def new_head_on_a_frozen_body() -> None:
    pixels, labels = data.digits()
    body = nn.Sequential(nn.Linear(64, 96), nn.ReLU())
    first = nn.Linear(96, 10)
    optimizer = torch.optim.Adam([*body.parameters(), *first.parameters()], lr=3e-3)
    for chosen, wanted in batches(pixels[:900], labels[:900], epochs=8):
        optimizer.zero_grad()
        F.cross_entropy(first(body(chosen)), wanted).backward()
        optimizer.step()
    body.requires_grad_(False).eval()
    second = nn.Linear(96, 2)
    tuned = torch.optim.Adam(second.parameters(), lr=1e-2)
    for chosen, wanted in batches(pixels[900:], labels[900:] % 2, epochs=8):
        tuned.zero_grad()
        F.cross_entropy(second(body(chosen)), wanted).backward()
        tuned.step()


class Factors(nn.Module):
    def __init__(self, users: int, things: int, rank: int = 4) -> None:
        super().__init__()
        self.users, self.things = nn.Embedding(users, rank), nn.Embedding(things, rank)
        self.bias = nn.Embedding(things, 1)
        for table in (self.users, self.things):
            nn.init.normal_(table.weight, std=0.3)

    def forward(self, users: Tensor, things: Tensor) -> Tensor:
        return (self.users(users) * self.things(things)).sum(1) + self.bias(things)[:, 0]


def factors_of_a_matrix() -> None:
    left, right = torch.randn(60, 3), torch.randn(40, 3)
    users, things = torch.randint(60, (3000,)), torch.randint(40, (3000,))
    ratings = (left[users] * right[things]).sum(1) / 3**0.5 + 0.1 * torch.randn(3000)
    model = Factors(60, 40)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for user, thing, rating in batches(users, things, ratings, size=100, epochs=12):
        optimizer.zero_grad()
        F.mse_loss(model(user, thing), rating).backward()
        optimizer.step()


def smoothed_labels_and_the_best_copy() -> nn.Module:
    pixels, labels = data.digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer, criterion = torch.optim.Adam(model.parameters(), lr=3e-3), nn.CrossEntropyLoss(label_smoothing=0.1)
    best, highest = copy.deepcopy(model.state_dict()), 0.0
    for _ in range(8):
        for chosen, wanted in batches(pixels[:1400], labels[:1400], epochs=1):
            optimizer.zero_grad()
            criterion(model(chosen), wanted).backward()
            optimizer.step()
        with torch.no_grad():
            accuracy = (model(pixels[1400:]).argmax(1) == labels[1400:]).float().mean().item()
        if accuracy > highest:
            best, highest = copy.deepcopy(model.state_dict()), accuracy
    model.load_state_dict(best)
    return model


class Letters(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.lstm, self.head = nn.Embedding(8, 16), nn.LSTM(16, 48, batch_first=True), nn.Linear(48, 8)

    def forward(self, letters: Tensor) -> Tensor:
        return self.head(self.lstm(self.table(letters))[0])


def next_letter() -> None:
    windows = data.text().unfold(0, 33, 16).contiguous()
    model = Letters()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for (window,) in batches(windows, size=32, epochs=20):
        optimizer.zero_grad()
        logits = model(window[:, :-1])
        F.cross_entropy(logits.reshape(-1, 8), window[:, 1:].reshape(-1)).backward()
        optimizer.step()


def updates_by_hand() -> None:
    pixels, labels = data.digits()
    first = (torch.randn(64, 32) / 8).requires_grad_()
    second = (torch.randn(32, 10) / 32**0.5).requires_grad_()
    for chosen, wanted in batches(pixels, labels, epochs=8):
        loss = F.cross_entropy((chosen @ first).relu() @ second, wanted)
        loss.backward()
        with torch.no_grad():
            for weight in (first, second):
                weight -= 0.3 * weight.grad
                weight.grad = None


SOUND: tuple[Callable[[], object], ...] = (
    perceptron_with_adam,
    convolutions_with_momentum,
    gated_units_with_clipping,
    bags_of_words,
    regression_on_patients,
    autoencoder_of_digits,
    batch_norm_in_both_modes,
    dropout_of_a_third,
    quasi_newton_with_closure,
    nesterov_with_steps_down,
    one_cycle,
    four_small_batches_to_a_step,
    two_moons_full_batch,
    several_labels_to_a_row,
    transformer_with_groups_and_warmup,
    new_head_on_a_frozen_body,
    factors_of_a_matrix,
    smoothed_labels_and_the_best_copy,
    next_letter,
    updates_by_hand,
)
