"""unstuck, as it comes."""

import json
import sys
import time

import numpy as np

from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.model import learn
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.task import Classes

table = np.genfromtxt(sys.argv[1], delimiter=";", skip_header=1)
order = np.random.default_rng(int(sys.argv[2])).permutation(len(table))
train, test = np.split(table[order], [int(len(table) * 0.85)])
start = time.perf_counter()
model = learn(Frame(train[:, 1:-1]), train[:, -1], Classes(np.unique(train[:, -1])), Options(seed=int(sys.argv[2])))
seconds = time.perf_counter() - start
right = model.answers(Frame(test[:, 1:-1])).argmax(axis=1) == test[:, -1]
print(json.dumps({"seconds": seconds, "accuracy": float(right.mean())}))
