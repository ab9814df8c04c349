import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(42)
# 700 papers of 7 subjects; a paper cites mostly its own subject and uses some words of it
V, words, classes = 700, 300, 7
labels = torch.randint(classes, (V,))
own = labels[:, None] == labels[None]
edges = torch.rand(V, V) < torch.where(own, 0.03, 0.002)
vocabulary = torch.rand(classes, words) ** 6
features = (torch.rand(V, words) < 0.25 * vocabulary[labels] + 0.01).float()
features = features / features.sum(1, keepdim=True).clamp(min=1)
adjacency = torch.eye(V) + (edges | edges.T).float()
degree = adjacency.sum(1).rsqrt()
adjacency = degree[:, None] * adjacency * degree[None]


class GraphConv(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(inputs, outputs))
        nn.init.xavier_normal_(self.kernel)

    def forward(self, x, adj):
        return adj @ (x @ self.kernel)


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.gc1 = GraphConv(words, 16)
        self.gc2 = GraphConv(16, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x, adj):
        x = self.dropout(F.relu(self.gc1(x, adj)))
        return F.log_softmax(self.gc2(x, adj), dim=1)


model = GCN()
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=5e-4)
criterion = nn.NLLLoss()
order = torch.randperm(V)
idx_test, idx_train = order[:250], order[250:]
for epoch in range(200):
    model.train()
    optimizer.zero_grad()
    loss = criterion(model(features, adjacency)[idx_train], labels[idx_train])
    loss.backward()
    optimizer.step()
    if epoch % 20 == 0:
        print(f"Epoch {epoch:04d} loss {loss.item():.4f}")
model.eval()
with torch.no_grad():
    accuracy = (model(features, adjacency).argmax(1) == labels)[idx_test].float().mean().item()
print(f"RESULT accuracy {accuracy:.4f}")
