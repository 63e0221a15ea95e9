"""How `--teacher fine_tuned(ENCODER, ...)` trains an encoder's top layers, as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import final

NAME = "fine_tuned"
CHECKPOINTING = ("auto", "on", "off")
# As the source fine-tunes its Wav2Vec2, whole.
BATCH = 8
WEIGHT_DECAY = 0.0065
WARM_UP = 0.1


@final
@dataclass(frozen=True)
class FineTuning:
    """The last `layers` of an encoder, for `epochs` at the peak rate `lr`, with a head that was fitted before them.

    The source trains all layers at 1.4e-6; the top ones alone bear more. `checkpointing` computes activations twice in
    place of keeping them: on, off, or where they are many; it changes no result.
    """

    layers: int = 2
    epochs: int = 5
    lr: float = 3e-5
    checkpointing: str = "auto"

    def __str__(self) -> str:
        """What decides the result, as the command line has it."""
        return f"layers={self.layers}, epochs={self.epochs}, lr={self.lr}"


def fine_tuning_of(spec: str) -> tuple[str, FineTuning | None]:
    """`fine_tuned(ENCODER, layers=2, ...)` as its encoder and settings; any other text is an encoder as it is.

    Unknown settings and values are a `ValueError`.
    """
    match = re.fullmatch(rf"{NAME}\((.*)\)", spec.strip())
    if not match:
        return spec.strip(), None
    encoder, *settings = (part.strip() for part in match[1].split(","))
    return encoder, _settings(spec, dict(_pair(spec, setting) for setting in settings))


def _pair(spec: str, setting: str) -> tuple[str, str]:
    name, equals, value = (part.strip() for part in setting.partition("="))
    if not equals or name not in FineTuning.__dataclass_fields__:
        known = ", ".join(f"{known}=" for known in FineTuning.__dataclass_fields__)
        raise ValueError(f"--teacher: {spec}: {setting!r} is no setting; there are {known}")
    return name, value


def _settings(spec: str, given: dict[str, str]) -> FineTuning:
    plain = FineTuning()
    found = FineTuning(
        layers=_whole(spec, "layers", given, plain.layers, 1),
        epochs=_whole(spec, "epochs", given, plain.epochs, 0),
        lr=_rate(spec, given.get("lr", str(plain.lr))),
        checkpointing=given.get("checkpointing", plain.checkpointing),
    )
    if found.checkpointing not in CHECKPOINTING:
        raise ValueError(f"--teacher: {spec}: checkpointing must be {', '.join(CHECKPOINTING)}")
    return found


def _whole(spec: str, name: str, given: dict[str, str], default: int, least: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or int(text) < least:
        raise ValueError(f"--teacher: {spec}: {name} must be a whole number of {least} or more, not {text}")
    return int(text)


def _rate(spec: str, text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1:
        raise ValueError(f"--teacher: {spec}: lr must lie between 0 and 1, not {text}")
    return rate
