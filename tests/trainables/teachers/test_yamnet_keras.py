"""YAMNet from Keras weights: both file formats, against a network in torch and a spectrogram in numpy."""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export.operators import Operator, read_model
from trainables.teachers import open_encoder
from trainables.teachers.yamnet import CLASSES, PATCH_SAMPLES, Yamnet
from trainables.teachers.yamnet_body import yamnet_body
from trainables.teachers.yamnet_keras import BATCH_NORM_EPSILON, SEPARABLE, body

h5py: Any = importlib.import_module("h5py")
YAMNET = os.environ.get("POTSTILL_YAMNET")
# Of the published file: the layers that hold weights, in its order.
CONVOLUTIONS = [
    "layer1/conv",
    *(f"layer{n}/{kind}" for n in range(2, 2 + len(SEPARABLE)) for kind in ("depthwise_conv", "pointwise_conv")),
]


def audio(clips: int, samples: int = PATCH_SAMPLES) -> np.ndarray:
    seconds = np.arange(samples) / 16_000
    rng = np.random.default_rng(0)
    tones = [np.sin(2 * np.pi * rng.uniform(200, 3000) * seconds) * rng.uniform(0.1, 0.5) for _ in range(clips)]
    return np.stack([tone + rng.normal(0, 0.02, samples) for tone in tones]).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Any:
    """Random weights whose statistics are no identity, and whose activations neither vanish nor explode."""
    model, rng = body(), np.random.default_rng(0)
    for layer in model.layers:
        shapes = [value.shape for value in layer.get_weights()]
        if len(shapes) == 1:
            fan_in = 9 if "depthwise" in layer.name else np.prod(shapes[0][:3])
            layer.set_weights([rng.normal(0, (2 / fan_in) ** 0.5, shapes[0])])
        elif len(shapes) == 3:
            width = shapes[0]
            layer.set_weights([rng.normal(0, 0.1, width), rng.normal(0, 0.1, width), rng.uniform(0.6, 1.4, width)])
    return model


def write_published(network: Any, path: Path) -> None:
    """As Keras 2 wrote yamnet.h5: a group for each layer, weights under the names that Keras 3 does not take."""
    held = [layer for layer in network.layers if layer.weights]
    names = [name for conv in CONVOLUTIONS for name in (conv, f"{conv}/bn")] + ["dense"]
    kinds = {1: ["depthwise_kernel:0"], 3: ["beta:0", "moving_mean:0", "moving_variance:0"], 2: ["kernel:0", "bias:0"]}
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in names)]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.2.4-tf"
        file.create_group("input_1").attrs["weight_names"] = []
        for name, layer in zip(names, held, strict=True):
            group, values = file.create_group(name), layer.get_weights()
            weights = [f"{name}/{weight}" for weight in kinds[len(values)]]
            group.attrs["weight_names"] = [weight.encode() for weight in weights]
            for weight, value in zip(weights, values, strict=True):
                group[weight] = value


def write_keras_3(network: Any, path: Path) -> None:
    with warnings.catch_warnings():
        # Keras's own, about numpy 2.
        warnings.simplefilter("ignore")
        network.save_weights(str(path))


def in_torch(network: Any) -> torch.nn.Module:
    """The same weights in the network that stands for YAMNet on the device."""
    ours = yamnet_body()
    values = iter([layer.get_weights() for layer in network.layers if layer.weights])
    for layer in ours.modules():
        if isinstance(layer, torch.nn.Conv2d):
            (kernel,) = next(values)
            order = (2, 3, 0, 1) if layer.groups > 1 else (3, 2, 0, 1)
            layer.weight.data = torch.from_numpy(kernel.transpose(order).copy())
        elif isinstance(layer, torch.nn.BatchNorm2d):
            beta, mean, variance = (torch.from_numpy(value) for value in next(values))
            layer.bias.data, layer.eps = beta, BATCH_NORM_EPSILON
            layer.running_mean, layer.running_var = mean, variance
        elif isinstance(layer, torch.nn.Linear):
            kernel, bias = next(values)
            layer.weight.data, layer.bias.data = torch.from_numpy(kernel.T.copy()), torch.from_numpy(bias)
    return ours.eval()


def log_mels(patch: np.ndarray) -> np.ndarray:
    """YAMNet's features by their definition: magnitudes, triangles straight in mel, no weight on the first bin."""
    frames = np.stack([patch[start : start + 400] for start in range(0, 96 * 160, 160)])
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    magnitudes = np.abs(np.fft.rfft(frames * window, 512))
    mel = 1127 * np.log1p(np.fft.rfftfreq(512, 1 / 16_000) / 700)
    edges = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)
    up = (mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - mel[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.log(magnitudes @ np.maximum(0, np.minimum(up, down)) + 0.001))


@pytest.mark.parametrize(("name", "write"), [("yamnet.h5", write_published), ("yamnet.weights.h5", write_keras_3)])
def test_weights_of_both_formats_give_the_scores_of_another_implementation(
    name: str, write: Any, network: Any, tmp_path: Path
) -> None:
    write(network, tmp_path / name)
    model, clips = Yamnet(tmp_path / name), audio(3)
    features = np.stack([log_mels(clip) for clip in clips])
    with torch.no_grad():
        expected = in_torch(network)(torch.from_numpy(features[:, None].astype(np.float32))).sigmoid().numpy()
    assert np.ptp(expected, axis=0).max() > 0.05
    np.testing.assert_allclose(model.scores(clips), expected, atol=2e-4)
    assert model.embed(clips).shape == (3, 1, 1024)
    assert model.parameters == network.count_params() == 3_751_369
    assert model.name == f"yamnet:{name}"


def test_the_body_on_the_device_has_the_teachers_weights_and_scales() -> None:
    scales = sum(layer.num_features for layer in yamnet_body().modules() if isinstance(layer, torch.nn.BatchNorm2d))
    # Keras counts moving statistics too, and YAMNet's normalisation has no scale.
    ours = sum(weight.numel() for weight in yamnet_body().parameters())
    assert ours - scales + 2 * scales == 3_751_369


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["layer_names"] = []
    (tmp_path / "text.weights.h5").write_text("no weights")
    for name in ("other.h5", "text.weights.h5"):
        with pytest.raises(ValueError, match=rf"--teacher: yamnet:.*{name} holds no weights of YAMNet: "):
            open_encoder(f"yamnet:{tmp_path / name}")


def stored(operator: Operator, place: int) -> np.ndarray:
    """A stored tensor of a quantized operator as real numbers, its output channels on the axis that they lie on."""
    tensor = operator.inputs[place]
    assert tensor is not None and tensor.quantization is not None
    scales = np.asarray(tensor.quantization.scales, np.float64)
    channels = [size if size == len(scales) else 1 for size in tensor.shape]
    if operator.kind == "CONV_2D" and place == 1:
        channels = [len(scales), 1, 1, 1]
    return np.asarray(tensor.values() * (scales.reshape(channels) if len(scales) > 1 else scales), np.float32)


@pytest.mark.slow
@pytest.mark.skipif(YAMNET is None, reason="POTSTILL_YAMNET names no YAMNet .tflite")
def test_the_real_tflites_weights_score_alike_in_keras(tmp_path: Path) -> None:
    layers = [
        operator
        for operator in read_model(Path(str(YAMNET)).read_bytes()).main.operators
        if operator.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED") and operator.inputs[1].dtype == "int8"  # type: ignore[union-attr]
    ]
    model = body()
    held = [layer for layer in model.layers if layer.weights]
    for place, operator in enumerate(layers[:-1]):
        kernel, bias = stored(operator, 1), stored(operator, 2)
        order = (1, 2, 3, 0)
        held[2 * place].set_weights([kernel.transpose(order)])
        # The file's normalisation lies in its kernels; what is left of it is the bias.
        held[2 * place + 1].set_weights([bias, np.zeros_like(bias), np.full_like(bias, 1 - BATCH_NORM_EPSILON)])
    held[-1].set_weights([stored(layers[-1], 1).T, stored(layers[-1], 2)])
    write_keras_3(model, tmp_path / "yamnet.weights.h5")
    clips = audio(6)
    keras, tflite = (Yamnet(Path(path)).scores(clips) for path in (tmp_path / "yamnet.weights.h5", str(YAMNET)))
    assert keras.shape == (6, CLASSES)
    # Not equal: the file also rounds its activations to eight bits, and cuts them off at 6. Of real sounds r is .98.
    assert np.corrcoef(keras.ravel(), tflite.ravel())[0, 1] > 0.7
    assert np.abs(keras - tflite).mean() < 0.005
