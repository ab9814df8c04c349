"""A library fits an .npz of x, y, test and says what it predicts.

    python tabular.py NAME TABLE.npz OUT.npz SEED

NAME: ours, sklearn, skorch, realmlp, tabm. OUT: `answers`, probabilities (n, k) or numbers (n,), and `seconds`.
"""

import logging
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")


def ours(x, y, test, classes, seed):
    """unstuck, as it comes."""
    from unstuck.tabular.fit.frame import Frame
    from unstuck.tabular.fit.model import learn
    from unstuck.tabular.fit.options import Options
    from unstuck.tabular.fit.task import Classes, Numbers

    y = y if classes else y[:, None]
    model = learn(Frame(x), y, Classes(np.unique(y)) if classes else Numbers.of(y), Options(seed=seed))
    answers = model.answers(Frame(test))
    return answers if classes else answers[:, 0]


def sklearn(x, y, test, classes, seed):
    """StandardScaler and an MLP with its defaults, as long as it takes to converge."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = MLPClassifier if classes else MLPRegressor
    return _answers(make_pipeline(StandardScaler(), kind(max_iter=500, random_state=seed)), x, y, test, classes)


def skorch(x, y, test, classes, seed):
    """Two hidden layers of 64 on standardised columns, AdamW, early stopping."""
    import torch
    from skorch import NeuralNetClassifier, NeuralNetRegressor
    from skorch.callbacks import EarlyStopping

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    mean, spread = x.mean(0), x.std(0) + 1e-12
    x, test = (((a - mean) / spread).astype(np.float32) for a in (x, test))
    outputs = int(y.max()) + 1 if classes else 1
    layers = [torch.nn.Linear(x.shape[1], 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.ReLU()]
    module = torch.nn.Sequential(*layers, torch.nn.Linear(64, outputs))
    kind = NeuralNetClassifier if classes else NeuralNetRegressor
    more = {"criterion": torch.nn.CrossEntropyLoss} if classes else {}
    stop = EarlyStopping(patience=20, load_best=True)
    net = kind(module, optimizer=torch.optim.AdamW, lr=1e-3, max_epochs=200, callbacks=[stop], verbose=0, **more)
    if classes:
        net.fit(x, y.astype(np.int64))
        z = net.forward(test).numpy()
        p = np.exp(z - z.max(1, keepdims=True))
        return p / p.sum(1, keepdims=True)
    middle, size = y.mean(), y.std()
    net.fit(x, ((y - middle) / size).astype(np.float32)[:, None])
    return net.predict(test)[:, 0] * size + middle


def realmlp(x, y, test, classes, seed):
    """RealMLP-TD-S of pytabkit."""
    from pytabkit import RealMLP_TD_S_Classifier, RealMLP_TD_S_Regressor

    kind = RealMLP_TD_S_Classifier if classes else RealMLP_TD_S_Regressor
    return _answers(kind(random_state=seed, device="cpu", n_threads=1), x, y, test, classes)


def tabm(x, y, test, classes, seed):
    """TabM of pytabkit."""
    from pytabkit import TabM_D_Classifier, TabM_D_Regressor

    kind = TabM_D_Classifier if classes else TabM_D_Regressor
    return _answers(kind(random_state=seed, device="cpu", n_threads=1), x, y, test, classes)


def _answers(model, x, y, test, classes):
    model.fit(x, y)
    return model.predict_proba(test) if classes else np.asarray(model.predict(test)).ravel()


def main():
    """Fit, and write what came of it."""
    logging.disable(logging.WARNING)
    name, table, out, seed = sys.argv[1:5]
    data = np.load(table)
    if name != "ours" and name != "sklearn":
        import torch

        torch.set_num_threads(1)
    start = time.perf_counter()
    answers = globals()[name](data["x"], data["y"], data["test"], bool(data["classes"]), int(seed))
    np.savez(out, answers=answers, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main()
