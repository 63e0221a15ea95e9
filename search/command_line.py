"""The options of `python -m search RECIPE`."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from spaces.board import boards
from spaces.narrowed import parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spaces import RecipeSpace

TRIALS = 24
SAMPLERS = ("ehvi", "tpe", "nsga2", "nsga3", "gp", "random")
STOPS = ("none", "dominance", "asha")
WANDB = ("offline", "online", "off")
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def parser_of(name: str, space: RecipeSpace, arguments: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a recipe; its help lists the space where `arguments` ask for help."""
    parser = argparse.ArgumentParser(
        prog=f"python -m search {name}",
        description=f"{space.SUMMARY}. Objectives: "
        + ", ".join(f"{objective.name} ({objective.direction})" for objective in space.OBJECTIVES),
        epilog=_space_text(space) if {"-h", "--help"} & set(arguments) else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data",
        type=Path,
        help="folder of recordings (manifest.csv, known file names or class per folder); default: a synthesised corpus",
    )
    data.add_argument("--task", help="rows of a mixed manifest.csv to use")
    data.add_argument(
        "--word", help="wakeword: the word (default: computer); baby_cry: the class (default: what is named like a cry)"
    )
    data.add_argument(
        "--streams",
        type=Path,
        metavar="DIR",
        help="wakeword: long recordings without the word, to count false alarms on; half is for validation, half for "
        "test (default: the held-out negatives end to end)",
    )
    data.add_argument(
        "--private",
        type=Path,
        help="baby_cry: folder of captures of your own that join the data, split by time; those in a folder "
        "_unlabelled_ are labelled by the teacher's filter, for training alone",
    )
    data.add_argument(
        "--train-on",
        choices=("both", "private", "public"),
        default="both",
        help="whose recordings to train on; validation and test hold both (default: %(default)s)",
    )
    data.add_argument(
        "--split",
        choices=("speaker", "word", "random", "given"),
        default="speaker",
        help="how clips are split where the data does not say (default: %(default)s)",
    )
    data.add_argument(
        "--teacher",
        help="speech_embedding; wav2vec2:, hubert:, wavlm: or whisper:NAME_OR_FOLDER, or a file of weights in one; "
        "yamnet:FILE_OR_FOLDER; classifier:NAME_OR_FOLDER, with its own head; fine_tuned(wav2vec2:..., layers=2, "
        "epochs=5, lr=3e-5); or mean(A, B), confident(A, B); of valence_arousal, small_vit, vit: or "
        "ast:NAME_OR_FOLDER; of speech_enhancement, cruse, cruse:large or cruse:PATH (default: speech_embedding, "
        "small_vit and cruse)",
    )
    data.add_argument(
        "--teacher-layers",
        type=_numbers,
        metavar="N,N",
        help="layers of the teacher that students may be aligned with, from 1 up (default: 1,2,3 of a transformer)",
    )
    data.add_argument(
        "--noise", type=Path, help="folder of noise for training clips (default: the data's own, and synthesised noise)"
    )
    data.add_argument(
        "--rooms", type=Path, help="folder of impulse responses for training clips (default: synthesised rooms)"
    )
    hardware = parser.add_argument_group("hardware")
    hardware.add_argument(
        "--board", default=space.BOARD, help=f"a TOML file or one of {', '.join(boards())} (default: %(default)s)"
    )
    hardware.add_argument(
        "--budget", default="", help=f"ceilings, as in flash=512K,arena=200K,latency=50 (default: {space.BUDGET})"
    )
    hardware.add_argument(
        "--latency-margin",
        type=float,
        default=1.0,
        help="what the latency ceiling is held against, from 0, the estimate, to 1, the interval's end (default: 1)",
    )
    hardware.add_argument("--calibration", type=Path, help="factors of your board, from python -m export calibrate")
    study = parser.add_argument_group("study")
    study.add_argument(
        "--results",
        default=f"results/{name}",
        help="folder of the study, or a URI such as s3://bucket/folder; the same one resumes it (default: %(default)s)",
    )
    study.add_argument(
        "--trials", type=int, default=TRIALS, help="trained, stopped and failed trials in all (default: %(default)s)"
    )
    study.add_argument("--epochs", type=int, default=space.EPOCHS, help="epochs per trial (default: %(default)s)")
    study.add_argument(
        "--max-false-alarms-per-hour",
        type=float,
        metavar="RATE",
        help="wakeword: choose epoch and threshold by the recall under this ceiling on the validation stream (default: "
        "by F1)",
    )
    study.add_argument("--seed", type=int, default=0, help="of data, training and sampler (default: %(default)s)")
    study.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="fix a parameter")
    study.add_argument("--range", action="append", default=[], metavar="NAME=LOW:HIGH", help="narrow a parameter")
    study.add_argument(
        "--sampler",
        choices=SAMPLERS,
        default="ehvi",
        help="who proposes; ehvi and tpe learn from refused points (default: %(default)s)",
    )
    study.add_argument(
        "--from",
        action="append",
        default=[],
        type=Path,
        metavar="RESULTS",
        dest="warm_starts",
        help="try the front of another study of this recipe first",
    )
    study.add_argument(
        "--stop", choices=STOPS, default="none", help="end trials that fall behind at a ninth and a third of the epochs"
    )
    study.add_argument("--confirm", type=int, default=0, metavar="K", help="train the front again with K fresh seeds")
    study.add_argument(
        "--final",
        metavar="PICK",
        type=_pick,
        help=f"train a pick (knee, best, smallest, a number) for the source's {space.SOURCE_EPOCHS} epochs",
    )
    study.add_argument(
        "--ablation", action="store_true", help="in place of a search, train the recipe's ablation and print its table"
    )
    study.add_argument("--seeds", type=int, default=3, metavar="K", help="of each row of --ablation (default: 3)")
    study.add_argument("--time-budget", type=_seconds, metavar="TIME", help="stop training after 90s, 30m or 2h")
    study.add_argument("--one", type=Path, metavar="PARAMS.json", help="run this single point and print its figures")
    study.add_argument("--dry-run", action="store_true", help="survey space, data and teacher; train nothing")
    study.add_argument("--config", type=Path, metavar="FILE.toml", help="a file with any of these options by name")
    study.add_argument(
        "--wandb", choices=WANDB, default="offline", help="W&B runs of every trained trial (default: %(default)s)"
    )
    machines = parser.add_argument_group("machines")
    machines.add_argument("--cpus", type=int, default=0, help="CPUs that a local Ray uses (default: all)")
    machines.add_argument("--address", help="a running Ray cluster, HOST:PORT or auto, instead of a local one")
    machines.add_argument(
        "--cpus-per-trial", type=float, default=1.0, help="CPUs, and threads, of one trial (default: 1)"
    )
    machines.add_argument(
        "--gpus-per-trial", type=float, default=0.0, help="GPUs of one trial, a fraction to share one (default: none)"
    )
    machines.add_argument("--batch", type=int, default=1, help="candidates that share a Ray trial (default: 1)")
    machines.add_argument(
        "--population",
        type=_members,
        default=None,
        metavar="N",
        help="students of one architecture that a Ray trial trains at once: auto (the default: as many as pay on the "
        "device, in --confirm and --ablation), off, or a number, which the search then heeds too",
    )
    return parser


def _members(text: str) -> int | None:
    if text == "auto":
        return None
    members = 1 if text == "off" else int(text) if text.isdecimal() else 0
    if members < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be auto, off or a number of students from 2 up")
    return members


def _pick(text: str) -> str:
    if not re.fullmatch(r"knee|best|smallest|within:\d*\.?\d+|\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be knee, best, smallest, within:0.01 or a trial's number")
    return text


def _numbers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} must be whole numbers such as 1,2,3")
    return tuple(map(int, parts))


def _seconds(text: str) -> float:
    unit = text[-1:]
    try:
        seconds = float(text[:-1]) * _SECONDS[unit]
    except (KeyError, ValueError):
        seconds = 0.0
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a time such as 90s, 30m or 2h")
    return seconds


def _space_text(space: RecipeSpace) -> str:
    rows = [f"  {name:<28}{_domain(distribution)}" for name, distribution in sorted(parameters(space).items())]
    return "\n".join(["space:", *rows])


def _domain(distribution: object) -> str:
    choices = getattr(distribution, "choices", None)
    if choices is not None:
        return "one of " + ", ".join(map(str, choices))
    low, high = (getattr(distribution, end) for end in ("low", "high"))
    return f"{low:g} to {high:g}" + (", logarithmic" if getattr(distribution, "log", False) else "")
