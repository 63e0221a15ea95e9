"""The CRUSE that teaches: trained once on the corpus, going on where it stopped, or from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from tests.trainables.points import noisy_folder
from trainables.cache import cache_folder
from trainables.corpora.enhancement_task import open_enhancement
from trainables.corpora.mixtures import Mixing, Mixtures
from trainables.mixture_features import noisy_features
from trainables.students import build_student
from trainables.students.cruse import Cruse
from trainables.teachers import enhancer as module
from trainables.teachers.enhancer import Enhancer, enhancer

FRONT_END = FrontEnd(
    kind="log_power", window_samples=320, hop_samples=160, n_fft=320, clip_seconds=0.5, decision_seconds=0.01
)
TINY: module.Arguments = {"width": 2, "depth": 4, "top": 4, "groups": 1, "slope": 0.2}


@pytest.fixture(scope="module")
def mixtures(speech_folder: Path) -> Mixtures:
    return open_enhancement(noisy_folder(speech_folder), mixing=Mixing(clip_seconds=0.5, views=1, most_mixtures=24))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.TRAINED, "cruse", (TINY, 3))


def taught(mixtures: Mixtures, seed: int, dies_after: int = 9) -> tuple[Enhancer, int]:
    calls = 0

    def score(network: nn.Module) -> float:
        nonlocal calls
        calls += 1
        if calls > dies_after:
            raise KeyboardInterrupt
        return float(calls)

    return enhancer("cruse", mixtures, FRONT_END, seed, score), calls


def test_it_is_trained_once(mixtures: Mixtures) -> None:
    first, epochs = taught(mixtures, 0)
    again, none = taught(mixtures, 0)
    assert (epochs, none) == (3, 0)
    assert first == again
    assert first.parameters == len(first.weights()) == sum(w.numel() for w in first.network(FRONT_END).parameters())
    assert f"{first.parameters:,}" in first.name
    assert taught(mixtures, 1)[0].content_hash != first.content_hash


def test_an_interrupted_training_ends_as_the_unbroken_one(mixtures: Mixtures, monkeypatch: pytest.MonkeyPatch) -> None:
    unbroken, _ = taught(mixtures, 2)
    (cache_folder() / "arrays" / f"{unbroken.key}.array").unlink()
    with pytest.raises(KeyboardInterrupt):
        taught(mixtures, 2, dies_after=1)
    resumed, epochs = taught(mixtures, 2)
    assert epochs == 2
    assert resumed.content_hash == unbroken.content_hash
    assert not list(cache_folder().glob("*.checkpoint.pt"))


def test_its_masks_are_those_of_its_network(mixtures: Mixtures) -> None:
    teacher, _ = taught(mixtures, 0)
    masks = teacher.masks(mixtures, FRONT_END)
    features = noisy_features(mixtures, FRONT_END)
    assert masks.shape == features.shape and masks.dtype == np.float16
    ours = teacher.network(FRONT_END)(torch.from_numpy(np.array(features[3:5])).unsqueeze(1))
    assert not ours.requires_grad
    np.testing.assert_allclose(masks[3:5], ours.numpy(), atol=1e-3)


def saved(path: Path) -> Cruse:
    torch.manual_seed(0)
    network = build_student(
        Student("cruse", {"width": 3, "depth": 4, "top": 10, "groups": 2, "slope": 0.2}), FRONT_END, 161
    )
    assert isinstance(network, Cruse)
    torch.save(network.state_dict(), path)
    return network


def test_a_file_of_weights_teaches(mixtures: Mixtures, tmp_path: Path) -> None:
    network = saved(tmp_path / "mine.pt").eval()
    found = enhancer(f"cruse:{tmp_path / 'mine.pt'}", mixtures, FRONT_END, 0, lambda network: 0.0)
    clips = torch.randn(2, 1, 4, 161)
    torch.testing.assert_close(found.network(FRONT_END)(clips), network(clips))
    assert "mine.pt" in found.name


def test_what_cannot_teach_is_named(mixtures: Mixtures, tmp_path: Path) -> None:
    (tmp_path / "text.pt").write_text("no weights")
    torch.save({"layer.weight": torch.zeros(2)}, tmp_path / "other.pt")
    network = saved(tmp_path / "cut.pt")
    torch.save({n: w for n, w in network.state_dict().items() if "skips" not in n}, tmp_path / "cut.pt")
    for spec, message in (
        ("yamnet:x", r"--teacher: 'yamnet:x' enhances no speech; use cruse, cruse:large or cruse:PATH"),
        (f"cruse:{tmp_path / 'text.pt'}", r"text\.pt holds no state dict of a CRUSE"),
        (f"cruse:{tmp_path / 'other.pt'}", r"other\.pt holds no state dict of a CRUSE"),
        (f"cruse:{tmp_path / 'none.pt'}", r"none\.pt holds no state dict of a CRUSE"),
        (f"cruse:{tmp_path / 'cut.pt'}", r"cut\.pt holds no CRUSE: Missing key.*skips"),
    ):
        with pytest.raises(ValueError, match=message):
            enhancer(spec, mixtures, FRONT_END, 0, lambda network: 0.0)
