"""ESP32-S3 boards as data: clock, memories, caches and the kernel library that a build links."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, final, get_args

Psram = Literal["none", "quad", "octal"]
FlashMode = Literal["dio", "qio", "opi"]

CHOICES = {"psram": get_args(Psram), "flash_mode": get_args(FlashMode)}
PRESETS = Path(__file__).parent / "boards"
NO_ESP_NN = "none"


@final
@dataclass(frozen=True)
class Board:
    """One module or product as an ESP-IDF project builds for it.

    `sram_bytes` is what an application can give to the tensor arena out of the chip's 512 KiB; `esp_nn` and `tflm` are
    releases of the components espressif/esp-nn (or "none") and espressif/esp-tflite-micro.
    """

    name: str
    module: str
    cpu_mhz: int
    sram_bytes: int
    psram: Psram
    psram_bytes: int
    flash_mode: FlashMode
    flash_bytes: int
    dcache_bytes: int
    cache_line_bytes: int
    esp_nn: str
    tflm: str

    def __post_init__(self) -> None:
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                raise ValueError(f"{field}={getattr(self, field)!r} must be one of {', '.join(choices)}")
        if self.cpu_mhz not in (80, 160, 240):
            raise ValueError(f"cpu_mhz={self.cpu_mhz} must be 80, 160 or 240")
        for field in ("sram_bytes", "flash_bytes", "dcache_bytes", "cache_line_bytes"):
            if getattr(self, field) <= 0:
                raise ValueError(f"{field}={getattr(self, field)} must be above 0")
        if self.cache_line_bytes not in (16, 32, 64):
            raise ValueError(f"cache_line_bytes={self.cache_line_bytes} must be 16, 32 or 64")
        if (self.psram == "none") != (self.psram_bytes == 0):
            raise ValueError(f"psram={self.psram!r} does not go with psram_bytes={self.psram_bytes}")
        if self.esp_nn != NO_ESP_NN:
            release_number("esp_nn", self.esp_nn)
        release_number("tflm", self.tflm)


def boards() -> list[str]:
    """Names of the presets."""
    return sorted(path.stem for path in PRESETS.glob("*.toml"))


def load_board(name: str) -> Board:
    """A preset by name, or a board from a TOML file with the fields of `Board`, where `base` may name a preset.

    Whatever is unknown or missing is a `ValueError` that names the file and the field.
    """
    path = PRESETS / f"{name}.toml" if name in boards() else Path(name)
    if path.suffix != ".toml":
        raise ValueError(f"board: {name!r} is unknown; use a .toml file or one of {', '.join(boards())}")
    values = _table(path)
    base = values.pop("base", None)
    if base is not None and base not in boards():
        raise ValueError(f"{path.name}: base={base!r} is no preset; there are {', '.join(boards())}")
    _check_fields(path, values)
    try:
        named = {"name": path.stem, **values}
        return replace(load_board(base), **named) if base else Board(**named)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    except TypeError:
        missing = sorted({f.name for f in fields(Board)} - set(values) - {"name"})
        raise ValueError(f"{path.name}: missing {', '.join(missing)} (or name a preset in base)") from None


def release_number(field: str, release: str) -> tuple[int, int, int]:
    """`1.2.3` as numbers; anything else is a `ValueError` that names the field."""
    parts = release.split(".")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        raise ValueError(f"{field}={release!r} must be a release such as 1.2.3")
    major, minor, patch = map(int, parts)
    return major, minor, patch


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"board: {path} cannot be read: {error.strerror}; presets are {', '.join(boards())}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: not TOML: {error}") from None


def _check_fields(path: Path, values: dict[str, Any]) -> None:
    known = {field.name: field.type for field in fields(Board)}
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"{path.name}: {key!r} is no field of a board; there are {', '.join(known)}")
        expected = int if known[key] == "int" else str
        if not isinstance(value, expected) or isinstance(value, bool):
            kind = "an integer" if expected is int else "a string"
            raise ValueError(f"{path.name}: {key}={value!r} must be {kind}")
