"""Hardware ceilings, and the footprint that is held against them."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KM]?)")
_UNIT = {"": 1, "K": 1024, "M": 1024 * 1024}
_KEYS = {"flash": "flash_bytes", "arena": "arena_bytes", "latency": "latency_ms"}


@dataclass(frozen=True)
class Footprint:
    """What one .tflite costs on one board.

    `flash_bytes` is the size of the file, `arena_bytes` the estimate for the ESP32-S3, `host_arena_bytes` what the TFLM
    interpreter of this host allocates, `latency_ms` one Invoke with its interval, `decision_ms` the features that are
    new since the last decision plus one Invoke, or as many as hear those frames where the model goes in steps.
    """

    flash_bytes: int
    arena_bytes: int
    host_arena_bytes: int
    latency_ms: float
    latency_low_ms: float
    latency_high_ms: float
    decision_ms: float
    decision_high_ms: float
    placement: str
    board: str
    profiler_version: str

    def as_dict(self) -> dict[str, int | float | str]:
        """Plain scalars, for JSON and for Optuna's attributes."""
        return asdict(self)


@dataclass(frozen=True)
class Budget:
    """Ceilings; infinity where there is none. `latency_ms` bounds `decision_ms`.

    `latency_margin` says where in its interval a decision is held against the ceiling: 0 at the estimate, 1 at the
    upper end.
    """

    flash_bytes: float = math.inf
    arena_bytes: float = math.inf
    latency_ms: float = math.inf
    latency_margin: float = 1.0

    def __post_init__(self) -> None:
        for field in _KEYS.values():
            if not getattr(self, field) > 0:
                raise ValueError(f"budget: {field} must be above 0, not {getattr(self, field)}")
        if not 0 <= self.latency_margin <= 1:
            raise ValueError(f"--latency-margin: must lie within 0-1, not {self.latency_margin}")

    def overrun(self, footprint: Footprint) -> dict[str, float]:
        """Fraction over each finite ceiling: <= 0 fits, Optuna's own sign of a constraint."""
        used = {
            "flash_bytes": footprint.flash_bytes,
            "arena_bytes": footprint.arena_bytes,
            "latency_ms": self.held_ms(footprint),
        }
        return {key: used[key] / top - 1 for key, top in self.as_dict().items()}

    def held_ms(self, footprint: Footprint) -> float:
        """The milliseconds of a decision that are held against the ceiling."""
        return footprint.decision_ms + self.latency_margin * (footprint.decision_high_ms - footprint.decision_ms)

    def fits(self, footprint: Footprint) -> bool:
        """Whether no ceiling is exceeded."""
        return all(over <= 0 for over in self.overrun(footprint).values())

    def as_dict(self) -> dict[str, float]:
        """The finite ceilings by field name."""
        return {key: getattr(self, key) for key in _KEYS.values() if math.isfinite(getattr(self, key))}

    def __str__(self) -> str:
        parts = [
            f"{short}={_written(short, self.as_dict()[key])}" for short, key in _KEYS.items() if key in self.as_dict()
        ]
        return ",".join(parts) or "no ceilings"


def parse_budget(text: str, default: Budget, latency_margin: float = 1.0) -> Budget:
    """Read `flash=512K,arena=200K,latency=50` (bytes with K or M, milliseconds) over the default's ceilings.

    `latency=none` lifts a ceiling. A malformed or unknown part is a `ValueError` that says what is expected.
    """
    ceilings: dict[str, float] = {**asdict(default), "latency_margin": latency_margin}
    for part in filter(None, text.replace(" ", "").split(",")):
        key, _, value = part.partition("=")
        if key not in _KEYS:
            raise ValueError(
                f"--budget: {key!r} is no ceiling; use {', '.join(_KEYS)}, as in flash=512K,arena=200K,latency=50"
            )
        ceilings[_KEYS[key]] = math.inf if value == "none" else _read(key, value)
    return Budget(**ceilings)


def _read(key: str, value: str) -> float:
    match = _SIZE.fullmatch(value)
    if not match or (key == "latency" and match[2]):
        kind = "milliseconds, such as 50" if key == "latency" else "bytes with K or M, such as 200K"
        raise ValueError(f"--budget: {key}={value!r} must be {kind}")
    return float(match[1]) * _UNIT[match[2]]


def _written(short: str, ceiling: float) -> str:
    if short == "latency":
        return f"{ceiling:g}"
    return f"{ceiling / 1024:g}K"
