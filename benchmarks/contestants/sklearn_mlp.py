"""scikit-learn: StandardScaler and MLPClassifier with early stopping."""

import json
import sys
import time

import pandas as pd
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

table = pd.read_csv(sys.argv[1], sep=";").sample(frac=1, random_state=int(sys.argv[2])).to_numpy()
cut = int(len(table) * 0.85)
start = time.perf_counter()
model = make_pipeline(StandardScaler(), MLPClassifier(early_stopping=True, random_state=int(sys.argv[2])))
model.fit(table[:cut, 1:-1], table[:cut, -1])
seconds = time.perf_counter() - start
accuracy = model.score(table[cut:, 1:-1], table[cut:, -1])
print(json.dumps({"seconds": seconds, "accuracy": float(accuracy)}))
