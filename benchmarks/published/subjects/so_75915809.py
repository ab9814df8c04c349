import os

import torch
from pictures import load
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(1500, 400))
parts = {
    "train": TensorDataset(x_train[:, None] / 255 - 0.5, (y_train > 4).long()),
    "val": TensorDataset(x_test[:, None] / 255 - 0.5, (y_test > 4).long()),
}
loaders = {name: DataLoader(part, batch_size=16, shuffle=True) for name, part in parts.items()}

model = nn.Sequential(
    nn.Conv2d(1, 8, 5, stride=2),
    nn.BatchNorm2d(8),
    nn.ReLU(),
    nn.Conv2d(8, 16, 5, stride=2),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(256, 1),
)
criterion = nn.BCEWithLogitsLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
scheduler = lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.1)

for epoch in range(6):
    for phase in ["train", "val"]:
        model.train(phase == "train")
        running_loss, corrects = 0.0, 0
        for inputs, labels in loaders[phase]:
            labels = labels.unsqueeze(1)
            optimizer.zero_grad()
            with torch.set_grad_enabled(phase == "train"):
                outputs = model(inputs)
                _, preds = torch.max(outputs, 1)
                loss = criterion(outputs, labels.float())
                if phase == "train":
                    loss.backward()
                    optimizer.step()
            running_loss += loss.item() * inputs.size(0)
            corrects += torch.sum(preds == labels.squeeze(1)).item()
        accuracy = corrects / len(parts[phase])
        print(f"{epoch} {phase} loss {running_loss / len(parts[phase]):.4f} acc {accuracy:.4f}")
    scheduler.step()
print(f"RESULT accuracy {accuracy:.4f}")
