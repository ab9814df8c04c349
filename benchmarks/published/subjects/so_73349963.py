import os

import torch
from sklearn import datasets
from sklearn.model_selection import train_test_split
from torch import nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
iris = datasets.load_iris()
x_train, x_test, y_train, y_test = train_test_split(iris.data, iris.target, test_size=0.4, random_state=3)
x_train, x_test = torch.FloatTensor(x_train), torch.FloatTensor(x_test)
y_train, y_test = torch.LongTensor(y_train), torch.LongTensor(y_test)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3))
        self.optimiser = torch.optim.SGD(self.parameters(), lr=0.1)
        self.loss_fn = nn.CrossEntropyLoss()
        self.progress = []

    def forward(self, x):
        return self.model(x)

    def fit_one(self, x, target):
        loss = self.loss_fn(self.forward(x), target)
        self.progress.append(loss.item())
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()


C = Classifier()
for epoch in range(10):
    for x, target in zip(x_train, y_train, strict=True):
        C.fit_one(x, target)
    print("epoch", epoch, "mean loss", sum(C.progress[-90:]) / 90)

score = 0
for x, target in zip(x_test, y_test, strict=True):
    score += int(C(x).detach().argmax() == target)
print(score, len(x_test), round(score / len(x_test), 3))
print(f"RESULT accuracy {score / len(x_test):.4f}")
