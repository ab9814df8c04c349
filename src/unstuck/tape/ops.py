"""What torch calls do: one table, by the name that a call has on the tape (`Call.name`).

Each line states facts about a call, for its first tensor and default arguments unless a field says otherwise;
tests/tape/test_ops.py checks every one of them against torch. No torch here: the recording imports this.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec

Kind = Literal["", "shape", "choice", "joining", "arithmetic", "function", "reduction", "activation", "layer",
               "product", "recurrent", "attention", "lookup", "norm", "pooling", "dropout", "random", "step",
               "loss"]  # fmt: skip
Scale = Literal["probability", "logit", "log-probability", "logarithm", "value"]
INF = math.inf


class Op(msgspec.Struct, frozen=True):
    """What is known of one torch call; the defaults say that nothing is."""

    name: str
    kind: Kind = ""
    also: tuple[str, ...] = ()
    """Other names of the same call."""
    modules: tuple[str, ...] = ()
    """Classes of `torch.nn` whose forward is this call."""
    hands_on: Literal["", "all", "some", "mean"] = ""
    """The result holds the argument's numbers unchanged: all of them; some of them, chosen by place and perhaps
    repeated; or each of them on average."""
    elementwise: bool = False
    """Each entry of the result depends on the argument's entry at the same place, and on no other."""
    monotone: Literal[-1, 0, 1] = 0
    """When an entry of the argument rises, no entry of the result falls (1), none rises (-1), or neither holds (0)."""
    range: tuple[float, float] = (-INF, INF)
    """The result's bounds, whatever the argument holds."""
    mixes: Literal["", "dim", "last", "row", "channel", "all"] = ""
    """The axes along which an entry of the result depends on other entries: the one named by `dim`, the last, those
    of a row (all but axis 0), those of a channel (all but axis 1), all. "" where it is not one of these."""
    linear: tuple[int, ...] = ()
    """Positions of the arguments in which it is linear, or linear plus a constant, while the others stay the same."""
    gives: Literal["", "probability", "log-probability"] = ""
    """What its result is by construction."""
    features: int = 0
    """Calls that read weights: the axis of the input's features, counted from the end."""
    scale: Scale | None = None
    """Losses: how they read the network's output. Each is by default the mean over the rows."""
    applies: str = ""
    """Losses: the activation they apply to the output first."""
    classes: bool = False
    """Losses whose target holds class numbers."""
    stochastic: bool = False
    """Two calls with the same arguments differ."""
    cuts: Literal["", "detached", "flat"] = ""
    """No gradient comes back: its result has no past, or it is a step function."""

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the call."""
        return (self.name, *self.also)

    @property
    def bounded(self) -> bool:
        """Whether some numbers can never be its result."""
        return self.range != (-INF, INF)


def _ops(kind: Kind, names: str, **facts: Any) -> tuple[Op, ...]:
    """One op per word; `a=b` is an op `a` that is also called `b`."""
    return tuple(Op(first, kind, tuple(also), **facts) for first, *also in (word.split("=") for word in names.split()))


def _bend(name: str, modules: str, low: float = -INF, high: float = INF, **facts: Any) -> Op:
    """An activation of each number by itself; it rises with it unless told otherwise."""
    first, *also = name.split("=")
    facts = {"elementwise": True, "monotone": 1, **facts}
    return Op(first, "activation", tuple(also), tuple(modules.split()), range=(low, high), **facts)


def _share(name: str, modules: str, low: float, high: float, gives: str, **facts: Any) -> Op:
    """An activation along one axis that makes probabilities, or their logarithms."""
    return Op(name, "activation", (), tuple(modules.split()), range=(low, high), mixes="dim", gives=gives, **facts)  # type: ignore[arg-type]


def _layer(kind: Kind, name: str, modules: str, features: int, **facts: Any) -> Op:
    return Op(name, kind, (), tuple(modules.split()), features=features, **facts)


def _loss(name: str, module: str, scale: Scale, applies: str = "", **facts: Any) -> Op:
    return Op(name, "loss", (), (module,) if module else (), mixes="all", scale=scale, applies=applies, **facts)


TABLE: tuple[Op, ...] = (
    # The same numbers in another shape, order or type.
    *_ops("shape", "squeeze unsqueeze view reshape view_as reshape_as flatten unflatten ravel permute transpose t T mT",
          hands_on="all", monotone=1, linear=(0,)),
    *_ops("shape", "movedim=moveaxis swapaxes=swapdims flip roll", hands_on="all", monotone=1, linear=(0,)),
    *_ops("shape", "contiguous clone float double half bfloat16 to type type_as cpu cuda positive requires_grad",
          hands_on="all", elementwise=True, monotone=1, linear=(0,)),
    *_ops("shape", "detach data item tolist numpy", hands_on="all", elementwise=True, monotone=1, cuts="detached"),
    *_ops("shape", "long int short", hands_on="all", elementwise=True, monotone=1, cuts="flat"),  # of whole numbers
    # Some of the numbers, chosen by their places.
    *_ops("choice", "getitem select narrow diagonal chunk split tensor_split unbind index_select gather take_along_dim",
          hands_on="some", monotone=1, linear=(0,)),
    *_ops("choice", "masked_select take expand expand_as broadcast_to broadcast_tensors repeat repeat_interleave tile",
          hands_on="some", monotone=1, linear=(0,)),
    *_ops("joining", "cat=concat=concatenate stack hstack vstack column_stack", monotone=1, linear=(0,)),
    # Arithmetic.
    *_ops("arithmetic", "add=iadd=radd sub=isub=subtract", elementwise=True, monotone=1, linear=(0, 1)),
    *_ops("arithmetic", "rsub", elementwise=True, monotone=-1, linear=(0, 1)),
    *_ops("arithmetic", "mul=imul=rmul=multiply", elementwise=True, linear=(0, 1)),
    *_ops("arithmetic", "div=truediv=itruediv=divide=true_divide", elementwise=True, linear=(0,)),
    *_ops("arithmetic", "rtruediv pow=float_power rpow", elementwise=True),
    *_ops("arithmetic", "neg=negative", elementwise=True, monotone=-1, linear=(0,)),
    *_ops("function", "log log2 log10 log1p nan_to_num masked_fill clamp=clip clamp_min clamp_max maximum minimum",
          elementwise=True, monotone=1),
    *_ops("function", "exp exp2 sqrt", elementwise=True, monotone=1, range=(0, INF)),
    *_ops("function", "rsqrt", elementwise=True, monotone=-1, range=(0, INF)),
    *_ops("function", "square abs=absolute", elementwise=True, range=(0, INF)),
    *_ops("function", "sin cos", elementwise=True, range=(-1, 1)),
    *_ops("function", "erf", elementwise=True, monotone=1, range=(-1, 1)),
    *_ops("reduction", "sum nansum mean nanmean cumsum", monotone=1, mixes="dim", linear=(0,)),
    *_ops("reduction", "amax amin max min median logsumexp", monotone=1, mixes="dim"),
    *_ops("reduction", "std var norm", mixes="dim", range=(0, INF)),
    # Activations.
    _bend("relu", "ReLU", 0),
    _bend("relu6", "", 0, 6),
    _bend("leaky_relu", "LeakyReLU"),
    _bend("prelu", "PReLU"),
    _bend("rrelu", "RReLU"),
    _bend("threshold", "Threshold"),
    _bend("elu", "ELU", -1),
    _bend("celu", "CELU", -1),
    _bend("selu", "SELU", -1.7581),
    _bend("gelu", "GELU", -0.17, monotone=0),
    _bend("silu", "SiLU", -0.2785, monotone=0),
    _bend("mish", "Mish", -0.3089, monotone=0),
    _bend("hardswish", "Hardswish", -0.375, monotone=0),
    _bend("softplus", "Softplus", 0),
    _bend("softsign", "Softsign", -1, 1),
    _bend("tanh", "Tanh", -1, 1),
    _bend("hardtanh", "Hardtanh ReLU6", -1, 1),
    _bend("sigmoid=expit", "Sigmoid", 0, 1, gives="probability"),
    _bend("hardsigmoid", "Hardsigmoid", 0, 1, gives="probability"),
    _bend("logsigmoid", "LogSigmoid", high=0, gives="log-probability"),
    _bend("tanhshrink", "Tanhshrink"),
    _bend("softshrink", "Softshrink"),
    _bend("hardshrink", "Hardshrink"),
    Op("glu", "activation", modules=("GLU",)),
    _share("softmax", "Softmax Softmax2d", 0, 1, "probability"),
    _share("softmin", "Softmin", 0, 1, "probability"),
    _share("gumbel_softmax", "", 0, 1, "probability", stochastic=True),
    _share("log_softmax", "LogSoftmax", -INF, 0, "log-probability"),
    # Layers with weights.
    _layer("layer", "linear", "Linear LazyLinear", -1, mixes="last", linear=(0, 1, 2)),
    _layer("layer", "bilinear", "Bilinear", -1, mixes="last", linear=(0, 1, 2, 3)),
    *(_layer("layer", f"conv{n}d", f"Conv{n}d LazyConv{n}d", -1 - n, mixes="row", linear=(0, 1, 2)) for n in (1, 2, 3)),
    *(_layer("layer", f"conv_transpose{n}d", f"ConvTranspose{n}d", -1 - n, mixes="row", linear=(0, 1, 2))
      for n in (1, 2, 3)),
    *_ops("product", "matmul mm=spmm bmm", features=-1, mixes="last", linear=(0, 1)),
    *_ops("product", "rmatmul", linear=(0, 1)),
    *_ops("product", "addmm baddbmm", features=-1, linear=(0, 1, 2)),
    _layer("recurrent", "lstm", "LSTM", -1, range=(-1, 1)),
    _layer("recurrent", "gru", "GRU", -1),
    _layer("recurrent", "rnn_tanh", "RNN", -1, range=(-1, 1)),
    _layer("recurrent", "rnn_relu", "", -1, range=(0, INF)),
    _layer("recurrent", "lstm_cell", "LSTMCell", -1, mixes="last", range=(-1, 1)),
    _layer("recurrent", "gru_cell", "GRUCell", -1, mixes="last"),
    _layer("recurrent", "rnn_tanh_cell", "RNNCell", -1, mixes="last", range=(-1, 1)),
    _layer("recurrent", "rnn_relu_cell", "", -1, mixes="last", range=(0, INF)),
    _layer("attention", "multi_head_attention_forward", "MultiheadAttention", -1),
    *_ops("attention", "scaled_dot_product_attention"),
    *_ops("lookup", "embedding embedding_bag"),
    # Normalisation, pooling, dropout.
    Op("batch_norm", "norm", modules=("BatchNorm1d", "BatchNorm2d", "BatchNorm3d"), mixes="channel"),
    Op("instance_norm", "norm", modules=("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d")),
    Op("layer_norm", "norm", modules=("LayerNorm",), mixes="last"),
    Op("rms_norm", "norm", modules=("RMSNorm",), mixes="last"),
    Op("group_norm", "norm", modules=("GroupNorm",), mixes="row"),
    Op("local_response_norm", "norm", modules=("LocalResponseNorm",)),
    *_ops("norm", "normalize", mixes="dim"),
    *_ops("pooling", "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d",
          monotone=1, linear=(0,)),
    *_ops("pooling", "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d", monotone=1),
    *(Op(f"dropout{n}", "dropout", modules=(f"Dropout{n}",), hands_on="mean", elementwise=True, monotone=1, linear=(0,),
         stochastic=True) for n in ("", "1d", "2d", "3d")),
    *_ops("dropout", "feature_dropout", hands_on="mean", elementwise=True, monotone=1, linear=(0,), stochastic=True),
    *(Op(name, "dropout", modules=(module,), elementwise=True, monotone=1, stochastic=True)
      for name, module in (("alpha_dropout", "AlphaDropout"), ("feature_alpha_dropout", "FeatureAlphaDropout"))),
    # Random numbers and steps: no gradient.
    *_ops("random", "multinomial bernoulli poisson", stochastic=True, cuts="flat"),
    *_ops("step", "round floor ceil trunc sign", elementwise=True, monotone=1, cuts="flat"),
    *_ops("step", "gt=greater ge=greater_equal", elementwise=True, monotone=1, range=(0, 1), cuts="flat"),
    *_ops("step", "lt=less le=less_equal", elementwise=True, monotone=-1, range=(0, 1), cuts="flat"),
    *_ops("step", "eq ne=not_equal logical_not", elementwise=True, range=(0, 1), cuts="flat"),
    *_ops("step", "argmax argmin argsort one_hot", cuts="flat", range=(0, INF)),
    # Losses.
    _loss("binary_cross_entropy", "BCELoss", "probability"),
    _loss("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", "logit", "sigmoid"),
    _loss("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", "logit", "sigmoid"),
    _loss("soft_margin_loss", "SoftMarginLoss", "logit", "sigmoid"),
    _loss("cross_entropy", "CrossEntropyLoss", "logit", "softmax", classes=True),
    _loss("multi_margin_loss", "MultiMarginLoss", "logit", classes=True),
    _loss("nll_loss", "NLLLoss", "log-probability", classes=True),
    _loss("nll_loss_nd", "", "log-probability", classes=True),
    _loss("kl_div", "KLDivLoss", "log-probability"),
    _loss("mse_loss", "MSELoss", "value"),
    _loss("l1_loss", "L1Loss", "value"),
    _loss("smooth_l1_loss", "SmoothL1Loss", "value"),
    _loss("huber_loss", "HuberLoss", "value"),
    _loss("poisson_nll_loss", "PoissonNLLLoss", "value"),
    _loss("gaussian_nll_loss", "GaussianNLLLoss", "value"),
)  # fmt: skip

_BY_NAME = {name: op for op in TABLE for name in op.names}


def of(name: str) -> Op:
    """What is known of the call of that name."""
    return _BY_NAME.get(name) or Op(name)


def names(test: Callable[[Op], object]) -> frozenset[str]:
    """All names of the calls of which something is true."""
    return frozenset(name for op in TABLE if test(op) for name in op.names)


def modules(test: Callable[[Op], object]) -> frozenset[str]:
    """The classes of `torch.nn` whose calls something is true of."""
    return frozenset(module for op in TABLE if test(op) for module in op.modules)


HANDS_ON = names(lambda op: op.hands_on)
ACTIVATIONS = names(lambda op: op.kind == "activation")
RECTIFIERS = names(lambda op: op.kind == "activation" and op.elementwise and op.range[1] == INF) | {"clamp_min"}
"""Activations that let large inputs through."""
SATURATING = names(lambda op: op.kind == "activation" and op.elementwise and op.range[0] > -INF and op.range[1] < INF)
"""Activations that are flat at both ends."""
LOSSES = names(lambda op: op.kind == "loss")
LAYERS = names(lambda op: op.kind in ("layer", "product"))
"""Calls that are linear in what they read and may read weights."""
RECURRENT = names(lambda op: op.kind == "recurrent")
NORMALISING = names(lambda op: op.kind == "norm")
JOINING = names(lambda op: op.kind == "joining")
SUBTRACTIONS = frozenset({*of("sub").names, *of("rsub").names})
DISTANCES = SUBTRACTIONS | {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"}
"""Losses, and the subtraction in one written by hand, that are zero where the output equals the target."""
CLASS_WEIGHTS = {
    "binary_cross_entropy_with_logits": (6, "pos_weight"),
    "cross_entropy": (2, "weight"),
    "nll_loss": (2, "weight"),
}
"""Losses that take weights of classes: the place and the name of that argument."""
