"""Students of the wake-word space, each with parameters of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spaces.candidate import Student

if TYPE_CHECKING:
    from collections.abc import Callable

    from optuna.trial import BaseTrial

# Kinds whose layers are the same at every width: MobileNetV3 loses some at small multipliers, states are not channels.
PRUNABLE = frozenset({"tiny_conv", "ds_cnn", "mcu_tiny", "resnet18", "tcn"})


def student(trial: BaseTrial) -> Student:
    """One kind, and the arguments that this kind has."""
    return _KINDS[trial.suggest_categorical("student", tuple(_KINDS))](trial)


def _tiny_conv(trial: BaseTrial, kind: str = "tiny_conv") -> Student:
    return Student(
        kind,
        {
            "width": trial.suggest_int(f"{kind}_width", 8, 64, step=8),
            "depth": trial.suggest_int(f"{kind}_depth", 3, 5),
            "depthwise": trial.suggest_categorical(f"{kind}_depthwise", (False, True)),
        },
    )


def _mcu_tiny(trial: BaseTrial) -> Student:
    return _tiny_conv(trial, "mcu_tiny")


def _ds_cnn(trial: BaseTrial) -> Student:
    return Student(
        "ds_cnn",
        {
            "width": trial.suggest_int("ds_cnn_width", 8, 96, step=8),
            "depth": trial.suggest_int("ds_cnn_depth", 1, 5),
            "second_stride": trial.suggest_categorical("ds_cnn_second_stride", (1, 2)),
        },
    )


def _mobilenet_v3(trial: BaseTrial) -> Student:
    return Student(
        "mobilenet_v3",
        {
            "multiplier": trial.suggest_categorical("mobilenet_v3_multiplier", (0.1, 0.15, 0.2, 0.25, 0.5, 1.0)),
            "input_stride": trial.suggest_categorical("mobilenet_v3_input_stride", (2, 4)),
        },
    )


def _resnet18(trial: BaseTrial) -> Student:
    return Student("resnet18", {"width": trial.suggest_int("resnet18_width", 4, 64, log=True)})


def _tcn(trial: BaseTrial) -> Student:
    return Student(
        "tcn",
        {"width": trial.suggest_int("tcn_width", 8, 64, step=8), "depth": trial.suggest_int("tcn_depth", 2, 4)},
    )


def _lstm(trial: BaseTrial) -> Student:
    return Student(
        "lstm",
        {"hidden": trial.suggest_int("lstm_hidden", 8, 128, step=8), "depth": trial.suggest_int("lstm_depth", 1, 2)},
    )


def _gru(trial: BaseTrial) -> Student:
    return Student(
        "gru",
        {"hidden": trial.suggest_int("gru_hidden", 8, 128, step=8), "depth": trial.suggest_int("gru_depth", 1, 2)},
    )


def _mixednet(trial: BaseTrial) -> Student:
    return Student(
        "mixednet",
        {
            "width": trial.suggest_int("mixednet_width", 8, 64, step=8),
            "depth": trial.suggest_int("mixednet_depth", 2, 4),
            "stride": trial.suggest_int("mixednet_stride", 1, 3),
        },
    )


_KINDS: dict[str, Callable[[BaseTrial], Student]] = {
    "tiny_conv": _tiny_conv,
    "ds_cnn": _ds_cnn,
    "mcu_tiny": _mcu_tiny,
    "mobilenet_v3": _mobilenet_v3,
    "resnet18": _resnet18,
    "tcn": _tcn,
    "lstm": _lstm,
    "gru": _gru,
    "mixednet": _mixednet,
}
