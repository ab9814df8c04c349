import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(int(os.environ.get("SEED", 0)))
tokens = torch.randint(0, 20, (1200, 12), generator=torch.Generator().manual_seed(1))
labels = (tokens == 7).sum(1).clamp(max=2)


class Attention(nn.Module):
    def __init__(self, dim, dropout):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim)
        self.dropout = dropout

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout)


class Encoder(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.embed = nn.Embedding(20, dim)
        self.attention = Attention(dim, dropout=0.3)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Sequential(nn.Linear(dim, 64), nn.ReLU(), nn.Linear(64, 3))

    def forward(self, ids):
        x = self.embed(ids)
        x = self.norm(x + self.attention(x))
        return self.head(x.mean(1))


model = Encoder()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
for epoch in range(8):
    model.train()
    for idx in torch.randperm(1000).split(50):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(tokens[idx]), labels[idx])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        first, second = model(tokens[1000:]), model(tokens[1000:])
        accuracy = (first.argmax(1) == labels[1000:]).float().mean().item()
    spread = (first - second).abs().mean().item()
    print(f"epoch {epoch} loss {loss.item():.4f} accuracy {accuracy:.4f} two passes differ by {spread:.4f}")
print(f"RESULT spread {spread:.4f}")
