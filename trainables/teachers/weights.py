"""How many weights a .tflite holds."""

from __future__ import annotations

from export.operators import read_model

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")


def weights_in(tflite: bytes) -> int:
    """Weights and biases of its convolutions and fully connected layers."""
    layers = [operator for operator in read_model(tflite).main.operators if operator.kind in _WEIGHTED]
    # A tensor that two layers share is one.
    return sum({tensor.index: tensor.elements for layer in layers for tensor in layer.constant_inputs}.values())
