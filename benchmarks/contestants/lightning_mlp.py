"""Lightning: one hidden layer of 32, until a validation part reaches 98.8 % or thirty epochs have passed."""

import json
import logging
import sys
import time
import warnings

import lightning
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader, TensorDataset

warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
torch.set_num_threads(1)
torch.manual_seed(int(sys.argv[2]))


class Net(lightning.LightningModule):
    """Two layers."""

    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))

    def training_step(self, batch, _):
        """The loss of a batch."""
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def validation_step(self, batch, _):
        """The accuracy of a batch."""
        self.log("accuracy", (self.net(batch[0]).argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self):
        """AdamW."""
        return torch.optim.AdamW(self.parameters(), lr=3e-3)


table = pd.read_csv(sys.argv[1], sep=";").sample(frac=1, random_state=int(sys.argv[2])).to_numpy()
cut = int(len(table) * 0.85)
x, y = table[:, 1:-1], torch.tensor(table[:, -1].astype(np.int64))
start = time.perf_counter()
x = torch.tensor(((x - x[:cut].mean(0)) / x[:cut].std(0)).astype(np.float32))
part = cut * 4 // 5
loaders = [
    DataLoader(TensorDataset(x[:part], y[:part]), batch_size=64, shuffle=True),
    DataLoader(TensorDataset(x[part:cut], y[part:cut]), batch_size=4096),
]
enough = EarlyStopping("accuracy", mode="max", patience=30, stopping_threshold=0.988)
trainer = lightning.Trainer(
    max_epochs=30, accelerator="cpu", callbacks=[enough], logger=False, enable_checkpointing=False,
    enable_progress_bar=False, enable_model_summary=False,
)  # fmt: skip
net = Net()
trainer.fit(net, *loaders)
seconds = time.perf_counter() - start
with torch.no_grad():
    accuracy = (net.net(x[cut:]).argmax(1) == y[cut:]).float().mean()
print(json.dumps({"seconds": seconds, "accuracy": float(accuracy)}))
