"""REINFORCE on a contextual bandit: the 'loss' is a surrogate whose value means nothing; the reward is what rises."""

import os

import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(int(os.environ.get("SEED", 0)))
ARMS, FEATURES = 4, 5
preference = torch.randn(FEATURES, ARMS, generator=torch.Generator().manual_seed(9))


def play(context, arm):
    best = (context @ preference).argmax(1)
    return (arm == best).float() * 0.8 + 0.1 * torch.rand(len(arm))


policy = nn.Sequential(nn.Linear(FEATURES, 32), nn.Tanh(), nn.Linear(32, ARMS))
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
baseline = 0.0
for episode in range(600):
    context = torch.randn(64, FEATURES)
    dist = Categorical(logits=policy(context))
    arm = dist.sample()
    reward = play(context, arm)
    advantage = reward - baseline
    loss = -(dist.log_prob(arm) * advantage).mean() - 0.005 * dist.entropy().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    baseline = 0.95 * baseline + 0.05 * reward.mean().item()
    if episode % 100 == 0:
        print(f"episode {episode:4d} mean reward {reward.mean():.3f}")

with torch.no_grad():
    context = torch.randn(2000, FEATURES)
    chosen = policy(context).argmax(1)
print(f"RESULT accuracy {(chosen == (context @ preference).argmax(1)).float().mean():.4f}")
