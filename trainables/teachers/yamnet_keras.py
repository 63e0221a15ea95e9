"""YAMNet built in Keras, for its published weights (tensorflow/models, research/audioset/yamnet; Apache-2.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from spaces.baby_cry import YAMNET_FRONT_END

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = 521
STEM_FILTERS = 32
# Stride and filters of each separable layer: MobileNet v1 (Howard et al., arXiv 1704.04861).
SEPARABLE = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *((1, 512),) * 5, (2, 1024), (1, 1024))
BATCH_NORM_EPSILON = 1e-4


def body(weights: Path | None = None) -> Any:
    """The network from patches [n, 96, 64] of log-mels to scores [n, 521] and embeddings [n, 1024].

    `weights` is an .h5 or .weights.h5 of it. Layers are matched by their order, since Keras 3 takes no slash in names
    such as `layer1/conv`. A file of another network is a `ValueError`.
    """
    from tensorflow import keras

    inputs = keras.layers.Input((YAMNET_FRONT_END.frames, YAMNET_FRONT_END.mels))
    maps = keras.layers.Reshape((YAMNET_FRONT_END.frames, YAMNET_FRONT_END.mels, 1))(inputs)
    maps = _normalised(keras.layers.Conv2D(STEM_FILTERS, 3, 2, "same", use_bias=False), maps)
    for stride, filters in SEPARABLE:
        maps = _normalised(keras.layers.DepthwiseConv2D(3, stride, "same", use_bias=False), maps)
        maps = _normalised(keras.layers.Conv2D(filters, 1, 1, "same", use_bias=False), maps)
    embeddings = keras.layers.GlobalAveragePooling2D()(maps)
    logits = keras.layers.Dense(CLASSES)(embeddings)
    network = keras.Model(inputs, [keras.layers.Activation("sigmoid")(logits), embeddings])
    if weights is not None:
        network.load_weights(str(weights))
    return network


def _normalised(layer: Any, maps: Any) -> Any:
    from tensorflow import keras

    normalised = keras.layers.BatchNormalization(scale=False, epsilon=BATCH_NORM_EPSILON)(layer(maps))
    return keras.layers.ReLU()(normalised)


def from_weights(path: Path) -> tuple[Callable[[NDArray[np.float32]], list[NDArray[np.float32]]], int]:
    """Scores [1, 521] and embeddings [1, 1024] of a patch of 15,600 samples at 16 kHz; and how many weights there are.

    A file that does not hold them is a `ValueError`.
    """
    try:
        network = body(path)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"--teacher: yamnet:{path} holds no weights of YAMNet: {reason}") from error

    def call(patch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [output.numpy() for output in network(patches(patch), training=False)]

    return call, int(network.count_params())


def patches(audio: NDArray[np.float32]) -> Any:
    """Log-mels [1, 96, 64] of 15,600 samples as YAMNet takes them: magnitudes, triangles that are straight in mel."""
    import tensorflow

    front_end = YAMNET_FRONT_END
    spectrum = tensorflow.signal.stft(audio, front_end.window_samples, front_end.hop_samples, front_end.n_fft)
    to_mel = tensorflow.signal.linear_to_mel_weight_matrix(
        front_end.mels, front_end.n_fft // 2 + 1, front_end.sample_rate_hz, front_end.low_hz, front_end.high_hz
    )
    return tensorflow.math.log(tensorflow.abs(spectrum) @ to_mel + front_end.log_floor)[None]
