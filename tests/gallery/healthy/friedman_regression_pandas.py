"""Plain tabular regression (MSE) from a pandas frame, features and target standardised with the training part."""

import os

import pandas as pd
import torch
from sklearn.datasets import make_friedman1
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

SEED = int(os.environ.get("SEED", 0))

# %% data
features, price = make_friedman1(n_samples=1500, n_features=8, noise=1.0, random_state=7)
df = pd.DataFrame(features, columns=[f"f{i}" for i in range(8)]).assign(price=price)
train_df, test_df = train_test_split(df, test_size=0.2, random_state=1)
scaler_x, scaler_y = StandardScaler(), StandardScaler()
x_train = scaler_x.fit_transform(train_df.drop(columns="price").to_numpy())
y_train = scaler_y.fit_transform(train_df[["price"]].to_numpy())
x_test = scaler_x.transform(test_df.drop(columns="price").to_numpy())

# %% model
torch.manual_seed(SEED)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
loader = DataLoader(
    TensorDataset(torch.tensor(x_train, dtype=torch.float32), torch.tensor(y_train, dtype=torch.float32)),
    batch_size=32,
    shuffle=True,
)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.MSELoss()

# %% training
history = []
for epoch in range(25):
    epoch_loss = 0.0
    for xb, yb in loader:
        optimizer.zero_grad()
        loss = criterion(model(xb), yb)
        loss.backward()
        optimizer.step()
        epoch_loss += loss.item() * len(xb)
    history.append(epoch_loss / len(loader.dataset))
print(pd.Series(history, name="mse").describe())

# %% test
with torch.no_grad():
    pred = scaler_y.inverse_transform(model(torch.tensor(x_test, dtype=torch.float32)).numpy())
print(f"RESULT r2 {r2_score(test_df['price'], pred[:, 0]):.4f}")
