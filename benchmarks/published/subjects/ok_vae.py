import torch
import torch.nn as nn
import torch.nn.functional as F
from pictures import load
from torch.utils.data import DataLoader

torch.manual_seed(1)
x_train, _, x_test, _ = (torch.tensor(a) for a in load(4000, 600))
x_train, x_test = x_train.flatten(1) / 255, x_test.flatten(1) / 255


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(784, 200)
        self.fc21 = nn.Linear(200, 20)
        self.fc22 = nn.Linear(200, 20)
        self.fc3 = nn.Linear(20, 200)
        self.fc4 = nn.Linear(200, 784)

    def forward(self, x):
        h = F.relu(self.fc1(x))
        mu, logvar = self.fc21(h), self.fc22(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z)))), mu, logvar


def loss_function(recon, x, mu, logvar):
    bce = F.binary_cross_entropy(recon, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
    return bce + kld


model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for epoch in range(5):
    model.train()
    train_loss = 0
    for data in DataLoader(x_train, batch_size=128, shuffle=True):
        optimizer.zero_grad()
        recon, mu, logvar = model(data)
        loss = loss_function(recon, data, mu, logvar)
        loss.backward()
        train_loss += loss.item()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        recon, mu, logvar = model(x_test)
        test_loss = loss_function(recon, x_test, mu, logvar).item() / len(x_test)
    print(f"====> Epoch: {epoch} average loss: {train_loss / len(x_train):.4f} test: {test_loss:.4f}")
print(f"RESULT loss {test_loss:.4f}")
