# ruff: noqa: T201
"""Trials per hour beside a naive loop; what of a trial is no training step; a step beside one on tensors in RAM."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import spaces
from export.footprint import footprint_of
from export.streaming import int8_outputs
from spaces.board import load_board
from spaces.candidate import Candidate
from trainables import distil, taught, trial
from trainables.assignment import Assignment, candidate_of
from trainables.conversion import int8_student
from trainables.corpora.audio import decode, fit_length, resample
from trainables.distil import Run
from trainables.features import log_mel
from trainables.learner import GRADIENT_CLIP, Learner
from trainables.losses import distillation_loss
from trainables.recipe import Material, Request, recipe
from trainables.schedules import learning_rate
from trainables.students import build_student
from trainables.teachers import open_encoder
from trainables.teachers.head import Head
from trainables.training_set import Dealer, TrainingSet

RECIPES = ("wakeword", "speech_emotion")
NAIVE_EPOCHS = 1
EPOCHS = 20
SHARE_SECONDS = 30.0
STEP_EPOCHS = 5
# Of each start point what is left out, so that both loops do the same: noisy views and blanked features.
PLAIN = {"view_share": 0.0, "mask_share": 0.0}
# Where a trial spends its time beside its steps: module, function, what it is.
PARTS = (
    (distil, "_save", "checkpoints"),
    (taught, "int8_student", "conversion to INT8"),
    (taught, "int8_outputs", "INT8 scoring"),
    (taught, "_on_streams", "INT8 scoring of 2 x 20 minutes of streams"),
    (trial, "footprint_of", "footprint"),
    (trial, "_write", "files, torch.export"),
)


def main() -> None:
    """Print everything for each recipe; torch runs on one thread, as in a trial."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--naive", choices=RECIPES)
    parser.add_argument("--only", choices=("naive", "share", "start", "step"))
    parser.add_argument("recipes", nargs="*", default=RECIPES)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.naive:
        print(json.dumps(naive_trial(given.naive)))
        return
    for name in given.recipes:
        material = recipe(name).prepare(Request())
        if given.only in (None, "step"):
            steps(name, material)
        with tempfile.TemporaryDirectory() as folder:
            if given.only in (None, "start"):
                start_up(name, Path(folder))
            if given.only in (None, "share"):
                share_outside_steps(name, material, Path(folder))
            if given.only in (None, "naive"):
                beside_naive(name, material, Path(folder))


def start_up(name: str, folder: Path) -> None:
    """Seconds from the command to the first trial, all of its preparation in the cache; the second run counts."""
    for turn in ("cold", "warm"):
        results = folder / turn
        command = [sys.executable, "-m", "search", name, "--results", str(results), "--trials", "1", "--epochs", "1"]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while search.poll() is None and not list(results.glob("trials/*")):
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        search.wait()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"{name}: {seconds:.1f} s to the first trial; the whole search took {whole:.1f} processor seconds of the driver"
    )


def point(name: str) -> dict[str, Any]:
    """The recipe's first start point, without what the hand-written loops leave out."""
    params = dict(spaces.recipe_space(name).START_POINTS[0])
    return params | {key: value for key, value in PLAIN.items() if key in params}


def assigned(name: str, material: Material, epochs: int, folder: Path) -> Assignment:
    """A study of the recipe on its own corpus."""
    return Assignment(name, material, load_board(spaces.recipe_space(name).BOARD), epochs, 0, folder / "trials")


def beside_naive(name: str, material: Material, folder: Path) -> None:
    """Processor seconds of a trial of `EPOCHS` epochs, ours and naive, from a shorter one of each."""
    epochs = 2
    trial.run_trial(assigned(name, material, 1, folder), 0, point(name))
    started = time.process_time()
    report = trial.run_trial(assigned(name, material, epochs, folder), 1, point(name))
    whole = time.process_time() - started
    each = report["seconds"]["training"] / epochs * whole / report["seconds"]["total"]
    ours = whole + (EPOCHS - epochs) * each
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tests.benchmarks.bench_trials", "--naive", name]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    naive = whole + (EPOCHS - NAIVE_EPOCHS) * json.loads(said)["epoch"]
    print(
        f"{name}, {EPOCHS} epochs, processor seconds of a trial: ours {ours:.1f}, naive {naive:.1f} ({naive / ours:.1f}"
        f" times); trials per hour on 2 cores: {7200 / ours:.0f} and {7200 / naive:.0f}"
    )


def naive_trial(name: str) -> dict[str, float]:
    """A trial as one writes it first: reads the files, and in every step computes features and asks the teacher.

    The teacher is the encoder under a head of random weights: as dear as a fitted one. Processor seconds of one epoch.
    """
    material, candidate = recipe(name).prepare(Request()), candidate_of(name, point(name))
    corpus, front_end = material.corpus, candidate.front_end
    audio = np.stack([_read(clip.path, corpus.sample_rate_hz, front_end.clip_samples) for clip in corpus.clips])
    encoder, target = open_encoder(Request().teacher), torch.from_numpy(corpus.targets())
    head = Head(encoder.embed(audio[:1]).shape[2], len(corpus.labels)).eval()
    data = recipe(name).training_set(material, candidate)
    network, optimizer, average = _student(name, material, candidate)
    dealer = Dealer(np.full(len(audio), np.nan, np.float32))

    def features(rows: Any) -> torch.Tensor:
        return log_mel(torch.from_numpy(audio[rows]), front_end).unsqueeze(1)

    def heard(rows: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        with torch.no_grad():
            logits = head(torch.from_numpy(np.asarray(encoder.embed(audio[rows]), np.float32)))
        return features(rows), logits, target[rows]

    started = time.process_time()
    for epoch in range(NAIVE_EPOCHS):
        _epoch(network, optimizer, average, candidate, _rows(dealer, data, candidate, epoch), epoch, heard)
        _outputs(network, features, corpus.indices("validation"))
    seconds = (time.process_time() - started) / NAIVE_EPOCHS
    rows = recipe(name).judged_rows(material)
    clips = log_mel(torch.from_numpy(audio[data.rows[:128]]), front_end).numpy()
    model = int8_student(network.eval(), clips)
    int8_outputs(model, log_mel(torch.from_numpy(audio[rows]), front_end).numpy())
    footprint_of(model, load_board(spaces.recipe_space(name).BOARD), front_end)
    return {"epoch": seconds}


def _read(path: Path, rate_hz: int, samples: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    sound, rate = decode(path)
    return fit_length(resample(sound, rate, rate_hz), samples)


def _rows(dealer: Dealer, data: TrainingSet, candidate: Candidate, epoch: int) -> list[Any]:
    rows = dealer.epoch_rows(data, candidate.data_mix, 0, epoch)
    return np.array_split(rows, -(-len(rows) // candidate.schedule.batch))


def _student(name: str, material: Material, candidate: Candidate) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    network = build_student(candidate.student, candidate.front_end, recipe(name).outputs(material, candidate))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=candidate.schedule.weight_decay, fused=True)
    decay = candidate.schedule.ema_decay
    averaging = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None
    return network, optimizer, averaging


def _epoch(
    network: Any, optimizer: Any, average: Any, candidate: Candidate, batches: list[Any], epoch: int, heard: Any
) -> None:
    """One epoch in plain PyTorch: the same loss, clipping, optimizer and average as ours."""
    network.train()
    for step, rows in enumerate(batches):
        features, logits, target = heard(rows)
        optimizer.param_groups[0]["lr"] = learning_rate(candidate.schedule, (epoch + step / len(batches)) / EPOCHS)
        loss = distillation_loss(network(features), logits, target, candidate.distillation)
        optimizer.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), GRADIENT_CLIP)
        optimizer.step()
        if average is not None:
            average.update_parameters(network)


@torch.no_grad()
def _outputs(network: Any, features: Callable[[Any], torch.Tensor], rows: Any) -> None:
    network.eval()
    for at in range(0, len(rows), 64):
        network(features(rows[at : at + 64]))


def steps(name: str, material: Material) -> None:
    """An epoch of ours beside the same steps on tensors in RAM, in turns; the median of each in processor seconds."""
    candidate = candidate_of(name, point(name))
    data = recipe(name).training_set(material, candidate)
    learner = Learner(_student(name, material, candidate)[0], data, candidate, 0)
    network, optimizer, average = _student(name, material, candidate)
    in_ram = [torch.from_numpy(np.array(part)) for part in (data.features, data.teacher, data.target)]
    dealer = Dealer(np.full(len(data.target), np.nan, np.float32))

    def heard(rows: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        index = torch.from_numpy(rows)
        features, logits, target = (tensor[index] for tensor in in_ram)
        return features.unsqueeze(1), logits, target

    ours: list[float] = []
    bare: list[float] = []
    count = 0
    for epoch in range(STEP_EPOCHS + 1):
        with _counted(ours):
            learner.epoch(epoch, EPOCHS)
        batches = _rows(dealer, data, candidate, epoch)
        count = len(batches)
        with _counted(bare):
            _epoch(network, optimizer, average, candidate, batches, epoch, heard)
    ratio = np.median(ours[1:]) / np.median(bare[1:])
    print(f"{name}: a step {np.median(ours[1:]) / count * 1000:.1f} ms, {ratio:.3f} of one on tensors in RAM")


@contextmanager
def _counted(seconds: list[float]) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds.append(time.process_time() - started)


def share_outside_steps(name: str, material: Material, folder: Path) -> None:
    """A trial of about `SHARE_SECONDS`, in a process that has run one before; where it spends its processor time."""
    first = trial.run_trial(assigned(name, material, 2, folder), 0, point(name))
    epochs = max(2, round(SHARE_SECONDS / (first["seconds"]["training"] / 2)))
    spent: dict[str, float] = defaultdict(float)
    with ExitStack() as stack:
        for module, function, what in PARTS:
            stack.enter_context(patch.object(module, function, _timed(getattr(module, function), what, spent)))
        stack.enter_context(patch.object(Learner, "epoch", _timed(Learner.epoch, "steps", spent)))
        stack.enter_context(patch.object(taught, "Run", _validating(spent)))
        started = time.process_time()
        trial.run_trial(assigned(name, material, epochs, folder), 1, point(name))
        whole = time.process_time() - started
    spent["everything else"] = whole - sum(spent.values())
    largest = sorted(spent.items(), key=lambda item: -item[1])
    parts = ", ".join(f"{what} {seconds / whole:.1%}" for what, seconds in largest if what != "steps")
    outside = 1 - spent["steps"] / whole
    print(f"{name}: a trial of {epochs} epochs, {whole:.1f} s: outside its steps {outside:.1%}: {parts}")


def _timed(function: Callable[..., Any], what: str, spent: dict[str, float]) -> Callable[..., Any]:
    def run(*arguments: Any, **named: Any) -> Any:
        started = time.process_time()
        try:
            return function(*arguments, **named)
        finally:
            spent[what] += time.process_time() - started

    return run


def _validating(spent: dict[str, float]) -> Callable[..., Run]:
    def made(*arguments: Any, **named: Any) -> Run:
        return Run(*arguments, **{**named, "validate": _timed(named["validate"], "validation", spent)})

    return made


if __name__ == "__main__":
    main()
