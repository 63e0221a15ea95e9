"""Epochs of espressif/esp-nn: which releases share kernels, scratch sizes and dispatch rules."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from spaces.board import NO_ESP_NN, release_number

if TYPE_CHECKING:
    from spaces.board import Board

# esp-tflite-micro passed no filter channels before this release, and esp-nn takes that for a grouped convolution from
# 1.2.2 on: every CONV_2D then runs in ANSI C (espressif/esp-nn#26, esp-tflite-micro 5c2f290).
FILTER_CHANNELS_PASSED = (1, 3, 7)

# Releases after this one run MEAN, HARD_SWISH, LOGISTIC and broadcast MUL on esp-nn's kernels.
LAST_WITHOUT_LATE_KERNELS = (1, 4, 0)


class Epoch(IntEnum):
    """Kernel generations, oldest first; `NONE` is TFLM's own reference code."""

    NONE = 0
    V11 = 11
    V121 = 121
    V123 = 123
    V14 = 140


def epoch_of(esp_nn: str) -> Epoch:
    """Epoch of an esp-nn release such as `1.2.3`, or of "none"."""
    if esp_nn == NO_ESP_NN:
        return Epoch.NONE
    number = release_number("esp_nn", esp_nn)
    if number < (1, 2, 0):
        return Epoch.V11
    if number < (1, 2, 2):
        return Epoch.V121
    return Epoch.V123 if number < (1, 2, 7) else Epoch.V14


def convolutions_fall_back(board: Board) -> bool:
    """Whether this pair of releases runs every CONV_2D in ANSI C by mistake."""
    return epoch_of(board.esp_nn) >= Epoch.V123 and release_number("tflm", board.tflm) < FILTER_CHANNELS_PASSED


def late_kernels_hooked(board: Board) -> bool:
    """Whether TFLM runs MEAN, HARD_SWISH, LOGISTIC and broadcast MUL on esp-nn's kernels."""
    return epoch_of(board.esp_nn) == Epoch.V14 and release_number("tflm", board.tflm) > LAST_WITHOUT_LATE_KERNELS
