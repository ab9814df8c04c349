"""Ten kinds of pictures, one hidden layer without biases - and after a few steps every output is zero.

The same program trains when the pixels are divided by 255. `unstuck run examples/cifar.py PATH` says what is wrong
here; PATH is the folder with CIFAR-10 as Hugging Face stores it, train-*.parquet and test-*.parquet
(https://huggingface.co/datasets/uoft-cs/cifar10). `unstuck study cifar --data PATH` tells the whole story.
"""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", "0")))

BATCH_SIZE = 250
EPOCHS = int(os.environ.get("EPOCHS", "20"))
LEARNING_RATE = 0.02


def load(folder, split):
    pixels, labels = [], []
    for file in sorted(folder.glob(f"{split}-*.parquet")):
        for row in pq.read_table(file).to_pylist():
            pixels.append(np.asarray(Image.open(io.BytesIO(row["img"]["bytes"]))))
            labels.append(row["label"])
    return torch.from_numpy(np.stack(pixels)).flatten(1).float(), torch.tensor(labels)


if len(sys.argv) != 2 or not list(Path(sys.argv[1]).glob("train-*.parquet")):
    sys.exit("usage: python cifar.py PATH; PATH is the folder with the pictures, see the first lines of this file")

train_x, train_y = load(Path(sys.argv[1]), "train")
test_x, test_y = load(Path(sys.argv[1]), "test")

model = nn.Sequential(
    nn.Linear(3072, 300, bias=False),
    nn.ReLU(),
    nn.Linear(300, 10, bias=False),
)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, weight_decay=1e-4)

for epoch in range(EPOCHS):
    total = 0.0
    for rows in torch.randperm(len(train_x)).split(BATCH_SIZE):
        loss = criterion(model(train_x[rows]), train_y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    with torch.no_grad():
        accuracy = (model(test_x).argmax(1) == test_y).float().mean().item()
    print(f"epoch {epoch + 1}: training loss {total / len(train_x):.4f}, test accuracy {100 * accuracy:.2f} %")

print(f"RESULT accuracy {accuracy:.4f}")
