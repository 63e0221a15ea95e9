"""The README of an ESP-IDF component: predicted footprint, how to build, flash, test and calibrate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from export.espidf_build import COMPONENT, LEAST_IDF, MICRO_COMPONENT, MICRO_RELEASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.device_student import DeviceStudent
    from export.espidf_build import Build
    from export.firmware_host import FrontEndParity

# What TFLM's front end took on a 64-bit host; pointers of the chip are half as long.
MICRO_BYTES = 11_624


def readme(builds: Sequence[Build], parity: FrontEndParity | str) -> str:
    """Markdown for a person who has the folder and a board."""
    own, *others = builds
    parts = [_title(own), _footprint(own), *(_beside(build) for build in others), _steps(own), _front_end(own, parity)]
    return "\n".join(parts)


def heap_bytes(student: DeviceStudent) -> int:
    """What front end, ring of frames, states and sound take from the heap, beside the arena."""
    front_end = student.stored.front_end
    values, window = front_end.values_per_frame, front_end.window_samples
    half = front_end.n_fft // 2 if front_end.kind in ("log_mel", "log_power") else 0
    heard = MICRO_BYTES if front_end.kind == "micro" else 2 * window
    spectral = 8 * (2 * half + 1) + 4 * (2 * half + values) if half else 0
    states = sum(math.prod(state.shape) for state in student.states)
    sound = 2 * front_end.hop_samples + 8 * half + 4 * 3 * half if student.makes_sound else 0
    return spectral + heard + values + student.frames_per_run * values + states + student.outputs + sound


def _title(build: Build) -> str:
    student = build.student
    facts = student.stored.facts
    kind = (facts.get("student") or {}).get("kind", "student")
    does = (
        "raises alarms" if student.decides else "makes sound of sound" if student.makes_sound else "gives its outputs"
    )
    hears = "one step at a time, with states" if student.states else "whole clips"
    return f"""\
# A {kind} of the recipe {facts.get("recipe", "unknown")} for the ESP32-S3

Written by Potstill. The student hears {hears}, and {does}.

**No chip was at hand.** This folder has never been built by ESP-IDF, nor run. What needs no chip (front end, runner,
decision, sound, self-test, profiler) is compiled and run on a host by Potstill's own tests.
"""


def _footprint(build: Build) -> str:
    found, profile, board = build.student.stored.footprint, build.profile, build.board
    new = profile.footprint
    latency = [found.get(key, getattr(new, key)) for key in ("latency_ms", "latency_low_ms", "latency_high_ms")]
    decision = [found.get(key, getattr(new, key)) for key in ("decision_ms", "decision_high_ms")]
    every = build.student.stored.front_end
    seconds = every.new_frames_per_decision * every.hop_samples / every.sample_rate_hz
    return f"""\
## Predicted footprint

For {board.name} ({board.module}, {board.cpu_mhz} MHz, esp-tflite-micro {board.tflm}, esp-nn {board.esp_nn}). Estimates,
not measurements.

| what | predicted |
|---|---|
| model in flash | {new.flash_bytes:,} bytes |
| tensor arena in use | {new.arena_bytes:,} bytes |
| tensor arena set aside | {profile.arena.recommended_bytes:,} bytes |
| placement | {new.placement} ({profile.choice.reason}) |
| heap for frames, states and spectra | {heap_bytes(build.student):,} bytes |
| one run of the network | {latency[0]:.2f} ms ({latency[1]:.2f} to {latency[2]:.2f}, 90 %) |
| a decision, every {1000 * seconds:g} ms | {decision[0]:.2f} ms (upper end {decision[1]:.2f}) |
"""


def _beside(build: Build) -> str:
    new = build.profile.footprint
    return f"""\
A second student hears the same sound and is logged beside the first (`POTSTILL_BESIDE`): {new.flash_bytes:,} bytes of
flash, an arena of {build.profile.arena.recommended_bytes:,} bytes ({new.placement}), {new.latency_ms:.2f} ms a run
({new.latency_low_ms:.2f} to {new.latency_high_ms:.2f}). Its time comes on top.
"""


def _steps(build: Build) -> str:
    build_options = f"--board {build.board.name} " + " ".join(
        f"--{what} {place}"
        for what, place in (
            ("arena", build.profile.choice.placement.arena),
            ("weights", build.profile.choice.placement.weights),
        )
    )
    return f"""\
## Build and flash the example

ESP-IDF {LEAST_IDF} or later, its environment set (`. export.sh`). Components come from Espressif's registry.

```sh
cd {COMPONENT}/examples/listen
idf.py set-target esp32s3      # reads sdkconfig.defaults: {build.board.name}
idf.py menuconfig              # pins: "Potstill: microphone and speaker"; placement: "Potstill: the student"
idf.py build
idf.py -p /dev/ttyACM0 flash monitor
```

Wiring of an I2S microphone, by default: SCK to GPIO 4, WS to GPIO 5, SD to GPIO 6, L/R to GND (left slot), VDD to
3.3 V. PDM: CLK 42, DATA 41 (the XIAO ESP32S3 Sense). Boards whose microphones sit behind a codec (ESP32-S3-BOX-3,
Korvo-2) need the codec set up by their board support package: replace `main/microphone.c`.

## Into a project of your own

Copy the folder `{COMPONENT}` into `components/` and call what `examples/listen/main/main.cpp` calls: open a network
(`potstill_tflm_open`), open a runner on it (`potstill_runner_open`), feed it int16 samples in pieces of any length
(`potstill_runner_hear`). All memory is taken at opening. Where the decision's settings are to change at run time, store
them through NVS (`potstill_settings_save`).

## Self-test

At every start (`POTSTILL_SELF_TEST`) sound is made of a seed, and what the device makes of it is compared with what a
host's reference made. Each line ends in figures:

```text
potstill self-test own front end: PASS: 0 of 3920 values differ, by 0 steps at most (1 allowed)
potstill self-test own network: PASS: ...
potstill self-test own: PASS
```

## Calibrate the prediction

Switch on `POTSTILL_PROFILE`, save what the monitor prints to monitor.log, then, beside the exported .tflite:

```sh
python -m export calibrate monitor.log --model student.int8.tflite {build_options} --output calibration.toml
```

## What lies where

| | |
|---|---|
| `include/`, `src/` | front end, FFT, runner, sound, decision, self-test, profiler: the same for all students |
| `src/potstill_operators.h` | exactly the operators of this model |
| `generated/` | constants: model, windows and mel weights, states, names, threshold, golden vectors |
| `Kconfig` | arena and placement, self-test, profile |
| `examples/listen/` | `app_main` with I2S and PDM microphone; `sdkconfig.defaults` and `partitions.csv` for the board |
"""


def _front_end(build: Build, parity: FrontEndParity | str) -> str:
    said = (
        f"On the host that wrote this: {parity}."
        if parity
        else "The host that wrote this had no C compiler to check with."
    )
    micro = build.student.stored.front_end.kind == "micro"
    return f"""\
## The front end against training

{said}

{_MICRO if micro else _OWN}"""


_OWN = """\
The front end is float32 (integers alone for a waveform). Its FFT is its own, of half the length because sound is real:
the same code on chip and host, without ESP-DSP. The chip fuses multiplications with additions, so that last digits
differ from the host's.
"""
_MICRO = f"""\
The front end is TensorFlow Lite Micro's own, in integers, by the component
`{MICRO_COMPONENT}` {MICRO_RELEASE} and with ESPHome's settings; `src/potstill_micro.c` calls
it. It remembers what it heard: it runs on from piece to piece, and begins from silence in the self-test. The chip's
cosine, logarithm and power make its tables: last digits there move a few values in a hundred, some of them far. The
self-test allows that.
"""
