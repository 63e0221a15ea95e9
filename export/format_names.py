"""The formats that a student can be exported to, by name, and the packages that they need."""

from __future__ import annotations

import argparse
import importlib.util

FORMATS = {
    "tflite": "the INT8 .tflite checked under TFLM, and a float .tflite",
    "onnx": "ONNX, float and INT8 (QDQ)",
    "torchscript": "TorchScript, float",
    "espdl": "ESP-DL for the ESP32-S3, INT8",
    "c": "the INT8 .tflite as a C array, with its arena",
    "hf": "a model-hub folder with a model card",
    "espidf": "an ESP-IDF component that listens, with a self-test",
    "esphome": "a streaming wake word with ESPHome's manifest",
}
# Modules by format; the extra of pyproject.toml that installs them has the format's name.
_NEEDS = {
    "onnx": ("onnx", "onnxruntime", "onnxscript"),
    "espdl": ("esp_ppq", "onnx", "onnxruntime", "onnxscript", "onnxsim"),
}


def format_names(text: str) -> tuple[str, ...]:
    """Read `tflite,onnx`; an unknown format, or one whose packages are missing, is named with what would help."""
    names = tuple(dict.fromkeys(part for part in text.replace(" ", "").split(",") if part))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is unknown; use {', '.join(FORMATS)}")
        if missing := missing_packages(name):
            raise argparse.ArgumentTypeError(
                f"{name} needs {', '.join(missing)}; install the extra: pip install -c constraints.txt -e '.[{name}]'"
            )
    return names


def missing_packages(name: str) -> list[str]:
    """Packages of a format that are not installed here."""
    return [module for module in _NEEDS.get(name, ()) if importlib.util.find_spec(module) is None]
