"""Node classification with a normalised adjacency matrix; one full-graph batch, the loss on the labelled nodes only."""

import os

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(21)
NODES, CLASSES = 240, 3
group = torch.randint(0, CLASSES, (NODES,))
same = group[:, None] == group[None, :]
edges = torch.rand(NODES, NODES) < torch.where(same, 0.08, 0.01)
A = torch.triu(edges, 1).float()
A = A + A.T + torch.eye(NODES)
d = A.sum(1).rsqrt()
A_hat = d[:, None] * A * d[None, :]
features = torch.randn(NODES, 16) + 0.5 * F.one_hot(group, 16)
train_mask = torch.rand(NODES) < 0.3

torch.manual_seed(int(os.environ.get("SEED", 0)))


class GraphConv(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_in, n_out))
        nn.init.xavier_uniform_(self.weight)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x, adj):
        return adj @ (x @ self.weight) + self.bias


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc1, self.gc2 = GraphConv(16, 32), GraphConv(32, CLASSES)

    def forward(self, x, adj):
        x = F.relu(self.gc1(x, adj))
        x = F.dropout(x, 0.5, self.training)
        return F.log_softmax(self.gc2(x, adj), dim=1)


model = GCN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(200):
    model.train()
    optimizer.zero_grad()
    output = model(features, A_hat)
    loss = F.nll_loss(output[train_mask], group[train_mask])
    loss.backward()
    optimizer.step()
    if epoch % 40 == 0:
        print("Epoch: {:04d} loss_train: {:.4f}".format(epoch + 1, loss.item()))
model.eval()
with torch.no_grad():
    hits = model(features, A_hat).argmax(1) == group
print("RESULT accuracy {:.4f}".format(hits[~train_mask].float().mean().item()))
