import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(int(os.environ.get("SEED", 0)))
habits = torch.rand(3, 200, generator=torch.Generator().manual_seed(5)) ** 2  # the words that each author likes
author = torch.arange(1500) % 3
text = torch.multinomial(habits[author], 40, replacement=True, generator=torch.Generator().manual_seed(6))
loader = DataLoader(TensorDataset(text[:1200], author[:1200]), batch_size=32, shuffle=True)


class Model(nn.Module):
    def __init__(self, vocabulary):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, 64)
        self.dropout = nn.Dropout(0.3)
        self.lstm = nn.LSTM(64, 50, batch_first=True)
        self.lin1 = nn.Linear(50, 512)
        self.lin2 = nn.Linear(512, 256)
        self.heavy = nn.Dropout(0.8)
        self.out = nn.Linear(256, 3)

    def forward(self, tokens):
        _, (hidden, _) = self.lstm(self.dropout(self.embedding(tokens)))
        hidden = F.relu(self.heavy(self.lin1(hidden[-1])))
        hidden = F.relu(self.heavy(self.lin2(hidden)))
        return F.softmax(self.out(hidden), dim=1)


model = Model(200)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for epoch in range(8):
    model.train()
    for tokens, target in loader:
        optimizer.zero_grad()
        loss = criterion(model(tokens), target)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(text[1200:]).argmax(1) == author[1200:]).float().mean().item()
    print(f"epoch {epoch + 1} train loss {loss.item():.4f} accuracy {accuracy:.4f}")
print(f"RESULT accuracy {accuracy:.4f}")
