"""Mean opinion scores of speech predicted by DNSMOS, a network that hears no reference."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE_HZ = 16_000

_MODEL = Path("dnsmos_models") / "sig_bak_ovr.onnx"
_WINDOW = int(9.01 * RATE_HZ)
_HOP = RATE_HZ
_SCORES = ("speech", "background", "overall")
# From the model's outputs to the scale of P.835 (speechmos/dnsmos.py), the highest power first.
_TO_P835 = np.array(
    [
        [-0.08397278, 1.22083953, 0.0052439],
        [-0.13166888, 1.60915514, -0.39604546],
        [-0.06766283, 1.11546468, 0.04602535],
    ]
)


def model_path() -> Path | None:
    """The network in the wheel of `speechmos`, if that and `onnxruntime` are installed."""
    found = importlib.util.find_spec("speechmos")
    if found is None or not found.submodule_search_locations or importlib.util.find_spec("onnxruntime") is None:
        return None
    # Its own module would import librosa, for a score that is not used here.
    path = Path(found.submodule_search_locations[0]) / _MODEL
    return path if path.is_file() else None


def opinions(clips: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """Speech, background and overall quality, 1 to 5, of clips [clips, samples] at 16 kHz within -1 and 1.

    After Reddy et al., DNSMOS P.835 (arXiv:2110.01763): a clip shorter than the network's 9.01 s is said twice, and
    twice again; windows a second apart are averaged.
    """
    scores = np.array([_opinion(clip) for clip in clips])
    return {name: scores[:, at] for at, name in enumerate(_SCORES)}


def _opinion(clip: NDArray[np.floating]) -> NDArray[np.float64]:
    while len(clip) < _WINDOW:
        clip = np.concatenate([clip, clip])
    starts = range(0, len(clip) - _WINDOW + 1, _HOP)
    windows = np.stack([clip[start : start + _WINDOW] for start in starts])
    raw = _session().run(None, {"input_1": windows.astype(np.float32)})[0].astype(np.float64)
    return np.array([np.polyval(powers, raw[:, at]).mean() for at, powers in enumerate(_TO_P835)])


@functools.cache
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(model_path()), options, providers=["CPUExecutionProvider"])
