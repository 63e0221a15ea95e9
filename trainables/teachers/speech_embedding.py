"""Google's pretrained speech embedding: 96 numbers per 80 ms, as bundled for openWakeWord (Apache-2.0)."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, final

import numpy as np

from trainables.teachers.encoder import Encoder
from trainables.teachers.weights import weights_in

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEL_FRAMES = 76
MEL_BANDS = 32
MEL_STEP = 8
SAMPLES_PER_FRAME = 160
FIRST_FRAME_SAMPLES = 512
WINDOWS = 10


@final
class SpeechEmbedding(Encoder):
    """`embed` gives [clips, 10 or more, 96]: windows of 775 ms every 80 ms over the clip, zero-padded on both sides."""

    name = "speech_embedding"

    def __init__(self) -> None:
        folder = resources.files("pyopen_wakeword") / "models"
        mel, embedding = ((folder / f"{part}.tflite").read_bytes() for part in ("melspectrogram", "embedding_model"))
        self.parameters = weights_in(embedding)
        self.content_hash = hashlib.sha256(mel + embedding).hexdigest()[:16]
        self._mel, self._embedding = _interpreter(mel), _interpreter(embedding)

    def embed(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        """One clip at a time: in a batch the spectrogram's own normalisation would mix the clips."""
        padded = _padded(audio)
        _resize(self._mel, (1, padded.shape[1]))
        return np.stack([self._embed_clip(clip) for clip in padded])

    def _embed_clip(self, clip: NDArray[np.float32]) -> NDArray[np.float32]:
        mel = _run(self._mel, clip[None] * np.float32(32768)).reshape(-1, MEL_BANDS) / np.float32(10) + np.float32(2)
        starts = range(0, len(mel) - MEL_FRAMES + 1, MEL_STEP)
        windows = np.stack([mel[start : start + MEL_FRAMES] for start in starts])[..., None]
        _resize(self._embedding, windows.shape)
        return _run(self._embedding, windows).reshape(len(windows), -1)


def _padded(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    frames = MEL_FRAMES + (WINDOWS - 1) * MEL_STEP
    missing = max(0, FIRST_FRAME_SAMPLES + (frames - 1) * SAMPLES_PER_FRAME - audio.shape[1])
    return np.pad(audio, ((0, 0), (missing // 2, missing - missing // 2)))


def _interpreter(model: bytes) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    return Interpreter(model_content=model, num_threads=1)


def _resize(interpreter: Any, shape: tuple[int, ...]) -> None:
    details = interpreter.get_input_details()[0]
    if tuple(details["shape"]) != shape:
        interpreter.resize_tensor_input(details["index"], shape)
        interpreter.allocate_tensors()


def _run(interpreter: Any, values: NDArray[np.float32]) -> NDArray[np.float32]:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values.astype(np.float32))
    interpreter.invoke()
    result: NDArray[np.float32] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return result
