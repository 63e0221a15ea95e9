"""A front end's constants as C: window, turns of its FFT, mel triangles, a waveform's borders, or its library."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from export.c_text import c_array, c_number
from export.carried import CannotCarryError
from export.front_end import compressed, mel_filters
from export.overlap_add import root_hann

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spaces.front_end import FrontEnd

KINDS = {
    "log_mel": "POTSTILL_LOG_MEL",
    "waveform": "POTSTILL_WAVEFORM",
    "log_power": "POTSTILL_LOG_POWER",
    "micro": "POTSTILL_MICRO",
}
RADICES = (4, 2, 3, 5)
LEAST_FFT = 4
MOST = 0xFFFF
# A code that no sample reaches.
NEVER = 32768
# From the lowest int8 to the highest.
INT8_STEPS = 255


@final
@dataclass(frozen=True)
class Step:
    """Quantization of what a network hears or says."""

    scale: float
    zero_point: int


def check_front_end(front_end: FrontEnd) -> None:
    """A `CannotCarryError` for a front end that the firmware does not compute."""
    if front_end.kind not in KINDS:
        raise CannotCarryError(f"the firmware computes the front ends {', '.join(KINDS)}, not {front_end.kind}")
    if front_end.kind != "waveform" and front_end.n_fft < LEAST_FFT:
        raise CannotCarryError(f"the firmware's FFT takes at least {LEAST_FFT} samples, not n_fft={front_end.n_fft}")
    largest = max(front_end.window_samples, front_end.hop_samples, front_end.n_fft, front_end.frames)
    if largest > MOST:
        raise CannotCarryError(f"the firmware counts windows, hops and frames up to {MOST}, not {largest}")


def check_step(front_end: FrontEnd, step: Step) -> None:
    """A `CannotCarryError` for a network whose input means other features by its codes than the firmware feeds."""
    if front_end.int8_range is None:
        return
    low, high = front_end.int8_range
    scale = (high - low) / INT8_STEPS
    wanted = Step(scale, round(-128 - low / scale))
    if not math.isclose(step.scale, wanted.scale, rel_tol=1e-6) or step.zero_point != wanted.zero_point:
        raise CannotCarryError(
            f"the firmware feeds ESPHome's codes of {front_end.kind}: scale {wanted.scale:g} and zero point "
            f"{wanted.zero_point}, but the model's input has {step.scale:g} and {step.zero_point}"
        )


def front_end_tables(front_end: FrontEnd, step: Step, prefix: str) -> str:
    """Static arrays that `front_end_member` names."""
    if front_end.kind == "micro":
        return '#include "potstill_micro.h"\n'
    if front_end.kind == "waveform":
        return c_array(f"static const int32_t {prefix}_borders[POTSTILL_CODES]", waveform_borders(step))
    tables = [
        c_array(f"static const float {prefix}_window[]", window_of(front_end)),
        c_array(f"static const uint8_t {prefix}_factors[]", np.array([*factors(front_end.n_fft // 2), 0])),
        _turns(front_end.n_fft, prefix),
    ]
    if front_end.kind == "log_mel":
        starts, counts, weights = sparse_mels(front_end)
        tables += [
            c_array(f"static const uint16_t {prefix}_mel_starts[]", starts),
            c_array(f"static const uint16_t {prefix}_mel_counts[]", counts),
            c_array(f"static const float {prefix}_mel_weights[]", weights),
        ]
    return "\n".join(tables)


def front_end_member(front_end: FrontEnd, step: Step, prefix: str) -> str:
    """The initialiser of a `potstill_front_end_settings`."""
    common = {
        "kind": KINDS[front_end.kind],
        "window_samples": str(front_end.window_samples),
        "hop_samples": str(front_end.hop_samples),
        "values": str(front_end.values_per_frame),
        "scale": c_number(np.float32(step.scale)),
        "zero_point": str(step.zero_point),
    }
    own = {"waveform": _borders(prefix), "micro": {"source": "&potstill_micro"}}.get(front_end.kind)
    members = common | (_spectral(front_end, prefix) if own is None else own)
    return "{\n" + "".join(f"        .{name} = {value},\n" for name, value in members.items()) + "    }"


def _borders(prefix: str) -> dict[str, str]:
    return {"borders": f"{prefix}_borders"}


def _spectral(front_end: FrontEnd, prefix: str) -> dict[str, str]:
    members = {
        "spectrum_power": str(front_end.spectrum_power),
        **{name: c_number(np.float32(getattr(front_end, name))) for name in ("log_floor", "log_mean", "log_std")},
        "window": f"{prefix}_window",
        "fft": f"{{{front_end.n_fft}, {prefix}_factors, {prefix}_turns}}",
    }
    if front_end.kind == "log_mel":
        members |= {name: f"{prefix}_{name}" for name in ("mel_starts", "mel_counts", "mel_weights")}
    return members


def window_of(front_end: FrontEnd) -> NDArray[np.float32]:
    """A periodic Hann window [window_samples]; of log-power spectra its square root."""
    root = root_hann(front_end.window_samples)
    return root if front_end.kind == "log_power" else np.asarray(_hann(front_end.window_samples), np.float32)


def _hann(samples: int) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples))


def factors(length: int) -> tuple[int, ...]:
    """The radices whose product is a length; one with other factors than 2, 3 and 5 is a `CannotCarryError`."""
    found: list[int] = []
    left = length
    for radix in RADICES:
        while left % radix == 0:
            found.append(radix)
            left //= radix
    if left != 1:
        raise CannotCarryError(f"the firmware's FFT takes factors 2, 3 and 5; {2 * length} samples have {left}")
    return tuple(found)


def _turns(n_fft: int, prefix: str) -> str:
    angles = -2 * np.pi * np.arange(n_fft // 2) / n_fft
    both = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    pairs = (f"{{{c_number(re)}, {c_number(im)}}}" for re, im in both)
    body = "\n".join(f"    {pair}," for pair in pairs)
    return f"static const potstill_complex {prefix}_turns[] = {{\n{body}\n}};\n"


def sparse_mels(front_end: FrontEnd) -> tuple[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.float32]]:
    """First bin and number of bins of each mel [mels], and the weights of all, one mel after another."""
    filters = mel_filters(front_end)
    starts, counts, weights = [], [], [np.empty(0, np.float32)]
    for mel in filters.T:
        bins = np.flatnonzero(mel)
        first, end = (int(bins[0]), int(bins[-1]) + 1) if len(bins) else (0, 0)
        starts.append(first)
        counts.append(end - first)
        weights.append(mel[first:end])
    return np.array(starts, np.uint16), np.array(counts, np.uint16), np.concatenate(weights)


def waveform_borders(step: Step) -> NDArray[np.int32]:
    """The lowest sample that the reference rounds to at least each of -127 .. 127: an int16 has one code, exactly."""
    samples = np.arange(-32768, 32768).astype(np.int16)
    codes = np.clip(np.round(compressed(samples) / step.scale) + step.zero_point, -128, 127).astype(np.int64)
    assert (np.diff(codes) >= 0).all()
    return np.asarray(np.searchsorted(codes, np.arange(-127, 128)) - NEVER, np.int32)
