"""A character model on one long stream (batch of one), the hidden state carried over and detached."""

import os

import torch
import torch.nn as nn

torch.manual_seed(int(os.environ.get("SEED", 0)))
verse = "the rain went over the hill and the hill went under the rain; "
text = verse * 60
chars = sorted(set(text))
stoi = {ch: i for i, ch in enumerate(chars)}
data = torch.tensor([stoi[ch] for ch in text])
SEQ = 30


class CharRNN(nn.Module):
    def __init__(self, vocab, hidden=64):
        super().__init__()
        self.embed = nn.Embedding(vocab, 16)
        self.lstm = nn.LSTM(16, hidden)
        self.head = nn.Linear(hidden, vocab)

    def forward(self, x, state):
        out, state = self.lstm(self.embed(x).unsqueeze(1), state)
        return self.head(out.squeeze(1)), state


rnn = CharRNN(len(chars))
loss_fn = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(rnn.parameters(), lr=5e-3)
for epoch in range(3):
    state, running = None, 0.0
    for n, i in enumerate(range(0, len(data) - SEQ - 1, SEQ)):
        x, target = data[i : i + SEQ], data[i + 1 : i + SEQ + 1]
        if state is not None:
            state = tuple(s.detach() for s in state)
        logits, state = rnn(x, state)
        loss = loss_fn(logits, target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(rnn.parameters(), 5.0)
        optimizer.step()
        running += loss.item()
    print(f"epoch {epoch} loss {running / (n + 1):.4f}")
with torch.no_grad():
    probe = torch.tensor([stoi[ch] for ch in verse * 2])
    logits, _ = rnn(probe[:-1], None)
    right = (logits.argmax(1) == probe[1:])[len(verse) :]
print(f"RESULT accuracy {right.float().mean().item():.4f}")
