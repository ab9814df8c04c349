"""A two-layer nn.TransformerEncoder with a class token: which of three symbols is the most frequent?"""

import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
LENGTH, SYMBOLS = 15, 3


def draw(n):
    bias = torch.rand(n, SYMBOLS).pow(2) + 0.05
    tokens = torch.multinomial(bias, LENGTH, replacement=True)
    counts = nn.functional.one_hot(tokens, SYMBOLS).sum(1)
    top = counts.topk(2, dim=1).values
    clear = top[:, 0] > top[:, 1]
    return tokens[clear], counts.argmax(1)[clear]


class Classifier(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.token = nn.Embedding(SYMBOLS, dim)
        self.position = nn.Parameter(0.02 * torch.randn(1, LENGTH + 1, dim))
        self.cls = nn.Parameter(torch.zeros(1, 1, dim))
        layer = nn.TransformerEncoderLayer(dim, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, SYMBOLS))

    def forward(self, tokens):
        h = self.token(tokens)
        h = torch.cat([self.cls.expand(len(h), -1, -1), h], dim=1) + self.position
        return self.head(self.encoder(h)[:, 0])


x_train, y_train = draw(2000)
x_test, y_test = draw(500)
model = Classifier()
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
for epoch in range(5):
    model.train()
    for idx in torch.randperm(len(x_train)).split(64):
        loss = nn.functional.cross_entropy(model(x_train[idx]), y_train[idx])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: {loss.item():.4f}")
model.eval()
with torch.no_grad():
    print(f"RESULT accuracy {(model(x_test).argmax(1) == y_test).float().mean():.4f}")
