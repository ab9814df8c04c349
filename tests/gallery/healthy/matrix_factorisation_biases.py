"""Matrix factorisation with user and item biases; most of an embedding's rows get no gradient in any one batch."""

import os

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset, random_split

torch.manual_seed(4)
USERS, FILMS = 150, 100
taste, style = torch.randn(USERS, 3), torch.randn(FILMS, 3)
user = torch.randint(0, USERS, (8000,))
film = torch.randint(0, FILMS, (8000,))
stars = 3.5 + 0.5 * (taste[user] * style[film]).sum(1) + 0.3 * torch.randn(8000)
ratings = TensorDataset(user, film, stars.clamp(1, 5))

torch.manual_seed(int(os.environ.get("SEED", 0)))
train, test = random_split(ratings, [7000, 1000])


class Factors(nn.Module):
    def __init__(self, rank, mean):
        super().__init__()
        self.user, self.film = nn.Embedding(USERS, rank), nn.Embedding(FILMS, rank)
        self.user_bias, self.film_bias = nn.Embedding(USERS, 1), nn.Embedding(FILMS, 1)
        for table in (self.user, self.film):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.user_bias, self.film_bias):
            nn.init.zeros_(table.weight)
        self.register_buffer("mean", mean)

    def forward(self, u, f):
        dot = (self.user(u) * self.film(f)).sum(-1)
        return self.mean + dot + self.user_bias(u).squeeze(-1) + self.film_bias(f).squeeze(-1)


model = Factors(4, stars[train.indices].mean())
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
for epoch in range(12):
    losses = []
    for u, f, s in DataLoader(train, batch_size=128, shuffle=True):
        loss = nn.functional.mse_loss(model(u, f), s)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch} rmse {(sum(losses) / len(losses)) ** 0.5:.3f}")

u, f, s = test[:]
with torch.no_grad():
    r2 = 1 - (model(u, f) - s).pow(2).mean() / s.var()
print(f"RESULT r2 {r2:.4f}")
