"""A language model whose output weight is the embedding's; RESULT is the share of the possible gain."""

import math
import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
V = 12
chain = torch.softmax(2.5 * torch.randn(V, V, generator=torch.Generator().manual_seed(1)), dim=1)


def text(n, length):
    s = torch.empty(n, length, dtype=torch.long)
    s[:, 0] = torch.randint(0, V, (n,))
    for i in range(1, length):
        s[:, i] = torch.multinomial(chain[s[:, i - 1]], 1)[:, 0]
    return s


class TiedLM(nn.Module):
    def __init__(self, d=24):
        super().__init__()
        self.emb = nn.Embedding(V, d)
        self.rnn = nn.GRU(d, d, batch_first=True)
        self.decoder = nn.Linear(d, V)
        self.decoder.weight = self.emb.weight

    def forward(self, s):
        return self.decoder(self.rnn(self.emb(s))[0])


corpus, held_out = text(600, 30), text(200, 30)
model = TiedLM()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)


def nll(s):
    return nn.functional.cross_entropy(model(s[:, :-1]).flatten(0, 1), s[:, 1:].flatten())


for epoch in range(12):
    for b in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nll(corpus[b])
        loss.backward()
        optimizer.step()
    print(f"epoch {epoch}: perplexity {loss.exp().item():.3f}")
with torch.no_grad():
    value = nll(held_out).item()
floor = -(chain * chain.log()).sum(1).mean().item()
print(f"loss {value:.3f}, entropy of the chain {floor:.3f}")
print(f"RESULT gained {(math.log(V) - value) / (math.log(V) - floor):.4f}")
