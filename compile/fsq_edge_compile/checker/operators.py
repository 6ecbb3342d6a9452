"""Families of ONNX operators that several rules, patterns and passes speak of."""

from __future__ import annotations

from typing import Final

CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose"})
MATRIX_PRODUCTS: Final = frozenset({"Gemm", "MatMul"})
RECURRENT: Final = frozenset({"LSTM", "GRU", "RNN"})
WINDOW_POOLS: Final = frozenset({"MaxPool", "AveragePool"})
POOLS: Final = WINDOW_POOLS | {"GlobalAveragePool", "GlobalMaxPool"}
ARITHMETIC: Final = frozenset({"Add", "Sub", "Mul", "Div"})
COMPARISONS: Final = frozenset({"Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual"})
SIGMOIDS: Final = frozenset({"Sigmoid", "HardSigmoid", "HardSwish", "Tanh"})
ACTIVATIONS: Final = SIGMOIDS | {"Relu", "LeakyRelu", "Elu", "Clip", "Softplus", "Erf"}
_KINDS: Final = ("Mean", "Max", "Min", "Prod", "Sum", "SumSquare", "L1", "L2", "LogSum", "LogSumExp")
REDUCTIONS: Final = frozenset(f"Reduce{kind}" for kind in _KINDS)
# Operators that give a tensor another shape, that move values and do nothing else, and that take a part.
RESHAPES: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
MOVES: Final = RESHAPES | {"Transpose"}
SELECTIONS: Final = frozenset({"Slice", "Split", "Gather"})
