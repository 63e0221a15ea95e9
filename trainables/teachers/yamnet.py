"""YAMNet, 521 sounds of AudioSet (tensorflow/models, research/audioset/yamnet), from any of its published files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from trainables.teachers import yamnet_keras
from trainables.teachers.encoder import Encoder
from trainables.teachers.weights import weights_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How `--teacher` names it.
YAMNET = "yamnet:"
CLASSES = yamnet_keras.CLASSES
CRY_CLASSES = (19, 20)
EMBEDDING_WIDTH = 1024
PATCH_SAMPLES = 15_600
HOP_SAMPLES = PATCH_SAMPLES // 2
# Sigmoids saturate in float32: further out their logits say nothing.
_LEAST = 1e-7

Outputs = list[np.ndarray[Any, np.dtype[np.float32]]]


@final
class Yamnet(Encoder):
    """`scores` are its sigmoids; `embed` gives its embeddings, or the scores of a model that does not give them."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise ValueError(f"--teacher: yamnet:{path} is not there; name YAMNet's .tflite, SavedModel folder or .h5")
        self._call, files, self.parameters = _opened(path)
        self.name = f"yamnet:{path.name}"
        self.content_hash = _hash(files)
        widths = {output.shape[-1] for output in self._call(np.zeros(PATCH_SAMPLES, np.float32)) if output.ndim}
        if CLASSES not in widths:
            raise ValueError(f"--teacher: yamnet:{path} has no output of {CLASSES} scores, so it is no YAMNet")
        self._width = EMBEDDING_WIDTH if EMBEDDING_WIDTH in widths else CLASSES

    def scores(self, audio: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """16 kHz audio, clips of [samples] in [-1, 1) to sigmoids [clips, 521], the mean over the clip's patches."""
        return np.stack([_output(self._answers(clip), CLASSES).mean(axis=0) for clip in audio])

    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """One step per patch of 0.975 s, every 0.4875 s; shorter audio is padded with zeros."""
        return np.stack([_output(self._answers(clip), self._width) for clip in audio])

    def _answers(self, clip: NDArray[np.float32]) -> list[Outputs]:
        padded = np.pad(clip, (0, max(0, PATCH_SAMPLES - len(clip)))).astype(np.float32)
        starts = range(0, len(padded) - PATCH_SAMPLES + 1, HOP_SAMPLES)
        return [self._call(padded[start : start + PATCH_SAMPLES]) for start in starts]


def logits_of_scores(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """The logits behind sigmoids, any shape: what the network's softmax is taken of."""
    inside = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
    return np.asarray(np.log(inside / (1 - inside)), np.float32)


def _output(answers: Iterable[Outputs], width: int) -> NDArray[np.float32]:
    """The output whose last axis is `width`, of all answers, as [frames, width]."""
    return np.concatenate([output.reshape(-1, width) for answer in answers for output in answer if _is(output, width)])


def _is(output: NDArray[np.float32], width: int) -> bool:
    return output.shape[-1:] == (width,)


def _opened(path: Path) -> tuple[Callable[[NDArray[np.float32]], Outputs], list[Path], int | None]:
    if path.is_dir() and (path / "saved_model.pb").is_file():
        call, parameters = _saved_model(path)
        return call, sorted(file for file in path.rglob("*") if file.is_file()), parameters
    if path.suffix == ".tflite":
        return _tflite(path), [path], weights_in(path.read_bytes())
    if path.suffix in (".h5", ".hdf5"):
        call, parameters = yamnet_keras.from_weights(path)
        return call, [path], parameters
    kinds = "a .tflite, a folder that holds saved_model.pb, or the .h5 or .weights.h5 of Keras weights"
    raise ValueError(f"--teacher: yamnet:{path} must be {kinds}")


def _tflite(path: Path) -> Callable[[NDArray[np.float32]], Outputs]:
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=1)
    except ValueError as error:
        raise ValueError(f"--teacher: yamnet:{path} cannot be read as .tflite: {error}") from error
    source = interpreter.get_input_details()[0]
    if tuple(source["shape"]) != (PATCH_SAMPLES,):
        interpreter.resize_tensor_input(source["index"], (PATCH_SAMPLES,))
    interpreter.allocate_tensors()

    def call(patch: NDArray[np.float32]) -> Outputs:
        interpreter.set_tensor(source["index"], patch)
        interpreter.invoke()
        return [interpreter.get_tensor(output["index"]) for output in interpreter.get_output_details()]

    return call


def _saved_model(path: Path) -> tuple[Callable[[NDArray[np.float32]], Outputs], int | None]:
    # Seconds of imports that a .tflite does not need.
    import tensorflow

    try:
        model = tensorflow.saved_model.load(str(path))
    except (OSError, ValueError, tensorflow.errors.OpError) as error:
        raise ValueError(f"--teacher: yamnet:{path} cannot be loaded: {str(error).splitlines()[0]}") from error

    def call(patch: NDArray[np.float32]) -> Outputs:
        return [np.asarray(output, np.float32) for output in tensorflow.nest.flatten(model(patch))]

    variables = getattr(model, "variables", ())
    return call, sum(int(np.prod(variable.shape)) for variable in variables) or None


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
