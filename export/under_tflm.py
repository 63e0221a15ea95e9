"""An INT8 model's outputs under the TFLM interpreter beside those of the host's kernels, which scored it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from export.results import TFLITE, write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "tflm.json"
SCHEMA = 1


@final
@dataclass(frozen=True)
class UnderTflm:
    """How the two compare on `clips` of the `of_clips` validation clips, and the score of each on these.

    Of `outputs` int8 values `differing` differ, by `largest_step` at most. `tflite_sha256` says of which model.
    """

    tflite_sha256: str
    clips: int
    of_clips: int
    outputs: int
    differing: int
    largest_step: int
    score_tflm: float
    score_host: float

    def __str__(self) -> str:
        by = f", by {self.largest_step} at most" if self.differing else ""
        return f"{self.differing} of {self.outputs} on {self.clips} of {self.of_clips} validation clips{by}"


@final
@dataclass(frozen=True)
class Both:
    """Outputs on the first clips of those that were given: `micro` by TFLM, `host` by LiteRT's built-in kernels.

    `micro_codes` and `host_codes` are the same, unscaled; [clips, outputs], or [clips, steps, outputs].
    """

    micro_codes: NDArray[np.int8]
    host_codes: NDArray[np.int8]
    micro: NDArray[np.float32]
    host: NDArray[np.float32]

    @property
    def clips(self) -> int:
        """How many TFLM computed."""
        return len(self.micro_codes)

    @property
    def apart(self) -> NDArray[np.int64]:
        """By how many steps each output differs."""
        steps: NDArray[np.int64] = np.abs(self.micro_codes.astype(np.int64) - self.host_codes)
        return steps


def both(model: bytes, features: NDArray[np.float32], every_step: bool = False, seconds: float = 60.0) -> Both:
    """A model's outputs by both interpreters for features [n, frames, mels]: whole, or step by step as it hears.

    TFLM computes as many clips as `seconds` allow. With `every_step` the outputs of all steps, else the last one's.
    """
    from export.operators import read_model
    from export.streaming import Int8Stream
    from export.tflite import Int8Model
    from export.tflm_outputs import tflm_codes

    runner = Int8Stream(model) if read_model(model).is_step else Int8Model(model)
    codes = runner.quantized(features)
    stepped = isinstance(runner, Int8Stream)
    states = len(runner.states) if isinstance(runner, Int8Stream) else 0
    found = tflm_codes(model, codes if stepped else codes[:, None], states, seconds)
    micro = found if every_step else found[:, -1]
    first = features[: len(micro)]
    running = isinstance(runner, Int8Stream) and every_step
    host = runner.running_codes(first) if running else runner.codes(first)  # type: ignore[union-attr]
    return Both(micro, host, runner.dequantized(micro), runner.dequantized(host))


def write_under_tflm(folder: Path, found: UnderTflm) -> None:
    """Keep it in the trial's folder."""
    write_atomically(folder / FILE, json.dumps({"schema": SCHEMA, **asdict(found)}, indent=2))


def read_under_tflm(folder: Path) -> UnderTflm | None:
    """What a trial's folder holds for the model that lies there; None where that is nothing, or of another model."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        schema = content.pop("schema")
        found = UnderTflm(**content)
        model = hashlib.sha256((folder / TFLITE).read_bytes()).hexdigest()
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        return None
    return found if schema == SCHEMA and found.tflite_sha256 == model else None


def summary_of(found: Sequence[UnderTflm]) -> str:
    """One line on the front's members."""
    clips, outputs, differing = (sum(getattr(one, name) for one in found) for name in ("clips", "outputs", "differing"))
    step = max(one.largest_step for one in found)
    apart = max(abs(one.score_tflm - one.score_host) for one in found)
    return (
        f"under the TFLM interpreter: {len(found)} members of the front, {clips} validation clips, {differing} of "
        f"{outputs} outputs differ from the host's kernels, by {step} at most; scores by {apart:.4f} at most"
    )
