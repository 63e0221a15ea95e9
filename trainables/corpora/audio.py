"""Audio files: inspected once, and decoded to clips of one length and rate."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import soundfile
from numpy.typing import NDArray

from trainables.cache import Mapped, cache_folder, content_key, filled_array
from trainables.corpora.corpus import Corpus

Samples = NDArray[np.float32]

# What libsndfile decodes of what people keep.
SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")
_VERSION = 1
_FULL_SCALE = 32768


@final
@dataclass(frozen=True)
class AudioFile:
    """What one file holds; `problem` says why it cannot be used, and is empty where it can.

    `audio_hash` is of the decoded samples, so that copies in other containers agree; `silent` means all zeros.
    """

    frames: int = 0
    sample_rate_hz: int = 0
    channels: int = 0
    audio_hash: str = ""
    silent: bool = False
    problem: str = ""

    @property
    def seconds(self) -> float:
        """Length."""
        return self.frames / self.sample_rate_hz if self.sample_rate_hz else 0.0


def inspect_audio(folder: Path, paths: Sequence[Path]) -> dict[Path, AudioFile]:
    """Decode every file once and say what it holds; files unchanged since an earlier call are not read again."""
    index_path = cache_folder() / f"{content_key('inspected', _VERSION, str(folder.resolve()))}.json"
    known = _read_index(index_path)
    found: dict[str, tuple[list[int], dict[str, Any]]] = {}
    for path in paths:
        name, stamp = str(path.absolute()), _stamp(path)
        before = known.get(name)
        found[name] = before if before and before[0] == stamp else (stamp, asdict(_inspect(path)))
    if any(known.get(name) != entry for name, entry in found.items()):
        _write_index(index_path, {**known, **found})
    return {path: AudioFile(**found[str(path.absolute())][1]) for path in paths}


def audio_files(paths: Iterable[Path]) -> list[Path]:
    """Those of a known suffix, sorted; hidden ones, as macOS leaves beside the real, are none."""
    return sorted(path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != ".")


def decode(path: Path) -> tuple[Samples, int]:
    """Samples, mixed to one channel, and their rate in Hz; an unreadable file is a `ValueError` with the reason."""
    samples, rate = _read(path)
    return np.asarray(samples.mean(axis=1), np.float32), rate


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """`samples` at another rate, through a polyphase low-pass filter."""
    if from_hz == to_hz:
        return samples
    # Takes most of a second to import, and clips that are decoded already need none of it.
    from scipy.signal import resample_poly

    divisor = math.gcd(from_hz, to_hz)
    up, down = to_hz // divisor, from_hz // divisor
    return np.asarray(resample_poly(samples, up, down, window=_low_pass(max(up, down))), np.float32)


@functools.cache
def _low_pass(ratio: int) -> NDArray[np.float64]:
    from scipy.signal import firwin

    # The filter that resample_poly designs anew at every call, which costs more than the filtering of one clip.
    return np.asarray(firwin(20 * ratio + 1, 1 / ratio, window=("kaiser", 5.0)))


def fit_length(samples: Samples, length: int) -> Samples:
    """Exactly `length` samples: shorter audio centred between zeros, of longer audio the window of highest energy."""
    if len(samples) <= length:
        before = (length - len(samples)) // 2
        return np.pad(samples, (before, length - len(samples) - before))
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Full scale 1.0 to 32768, clipped: the inverse of how 16-bit files are read."""
    return np.clip(np.rint(samples * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16)


def load_audio(corpus: Corpus, clip_samples: int) -> Mapped:
    """Read-only int16 [clips, clip_samples] at the corpus's rate, in the order of `corpus.clips`.

    Decoded once, then mapped from the cache by every process. Channels are averaged, other rates resampled, lengths
    fitted by `fit_length`; levels stay as they are. Divide by 32768 for floats.
    """

    def fill(rows: Mapped) -> None:
        clips = zip(rows, corpus.clips, strict=True)
        for path, members in itertools.groupby(clips, key=lambda pair: pair[1].path):
            samples, rate = decode(path)
            samples = resample(samples, rate, corpus.sample_rate_hz)
            for row, clip in members:
                window = _window(samples, clip.start_seconds, clip_samples, corpus.sample_rate_hz)
                row[:] = to_int16(fit_length(window, clip_samples))

    return filled_array(audio_key(corpus, clip_samples), (len(corpus.clips), clip_samples), np.int16, fill)


def _window(samples: Samples, start_seconds: float | None, length: int, rate_hz: int) -> Samples:
    if start_seconds is None:
        return samples
    start = round(start_seconds * rate_hz)
    return samples[start : start + length]


def audio_key(corpus: Corpus, clip_samples: int) -> str:
    """The cache's key of what `load_audio` gives."""
    hashes = [clip.audio_hash for clip in corpus.clips]
    return content_key("audio", _VERSION, hashes, corpus.sample_rate_hz, clip_samples)


def _read(path: Path) -> tuple[Samples, int]:
    """Samples [frames, channels] and rate in Hz."""
    try:
        with soundfile.SoundFile(path) as file:
            promised, rate = file.frames, file.samplerate
            samples: Samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise ValueError(_reason(error, path)) from error
    if not len(samples):
        raise ValueError("holds no samples")
    if len(samples) < promised:
        raise ValueError(f"ends after {len(samples)} of {promised} samples")
    if not np.isfinite(samples).all():
        raise ValueError("holds samples that are not numbers")
    return samples, rate


def _reason(error: Exception, path: Path) -> str:
    if not path.is_file():
        return "is no file"
    if not path.stat().st_size:
        return "is empty (0 bytes)"
    detail = getattr(error, "error_string", str(error))
    return f"cannot be decoded: {detail.strip().rstrip('.')}"


def _inspect(path: Path) -> AudioFile:
    try:
        samples, rate = _read(path)
    except ValueError as error:
        return AudioFile(problem=str(error))
    digest = hashlib.sha256(f"{rate} {samples.shape}".encode())
    digest.update(np.ascontiguousarray(samples).data)
    return AudioFile(len(samples), rate, samples.shape[1], digest.hexdigest()[:32], not samples.any())


def _stamp(path: Path) -> list[int]:
    try:
        stat = path.stat()
    except OSError:
        return []
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _read_index(path: Path) -> dict[str, tuple[list[int], dict[str, Any]]]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        return {name: (stamp, facts) for name, (stamp, facts) in entries.items() if AudioFile(**facts)}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write_index(path: Path, entries: dict[str, tuple[list[int], dict[str, Any]]]) -> None:
    # Each process writes its own temporary file: the last one wins, and what it lacks is only read again.
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(entries), encoding="utf-8")
    temporary.replace(path)
