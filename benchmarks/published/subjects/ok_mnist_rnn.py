import torch
import torch.nn as nn
import torch.nn.functional as F
from pictures import load
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(1)
x_train, y_train, x_test, y_test = (torch.tensor(a) for a in load(4000, 600))
train_set = TensorDataset((x_train / 255 - 0.1307) / 0.3081, y_train)
test_set = TensorDataset((x_test / 255 - 0.1307) / 0.3081, y_test)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(input_size=28, hidden_size=64, batch_first=True)
        self.batchnorm = nn.BatchNorm1d(64)
        self.dropout1 = nn.Dropout(0.25)
        self.dropout2 = nn.Dropout(0.5)
        self.fc1 = nn.Linear(64, 32)
        self.fc2 = nn.Linear(32, 10)

    def forward(self, x):
        output, _ = self.rnn(x)
        x = self.dropout1(self.batchnorm(output[:, -1, :]))
        x = self.dropout2(F.relu(self.fc1(x)))
        return F.log_softmax(self.fc2(x), dim=1)


model = Net()
optimizer = torch.optim.Adadelta(model.parameters(), lr=1.0)
scheduler = StepLR(optimizer, step_size=1, gamma=0.8)
for epoch in range(6):
    model.train()
    for data, target in DataLoader(train_set, batch_size=64, shuffle=True):
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
    model.eval()
    correct = 0
    with torch.no_grad():
        for data, target in DataLoader(test_set, batch_size=200):
            correct += model(data).argmax(1).eq(target).sum().item()
    print(f"epoch {epoch} loss {loss.item():.4f} accuracy {correct / len(test_set):.4f}")
    scheduler.step()
print(f"RESULT accuracy {correct / len(test_set):.4f}")
