"""Recurrent students: published counts, and steps that end where the whole sequence does."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spaces.candidate import Student
from spaces.front_end import FrontEnd
from trainables.students import build_student
from trainables.students.streaming import StreamingStudent, stepped


def count(*networks: nn.Module) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters())


@pytest.mark.parametrize(("kind", "gates", "published"), [("lstm", 4, 594_434), ("gru", 3, 445_954)])
def test_the_published_networks_and_the_same_one_way(kind: str, gates: int, published: int) -> None:
    defaults = {"hidden": 128, "depth": 2}
    both = build_student(Student(kind, {**defaults, "both_ways": True}), FrontEnd(mels=64), 2).eval()
    assert count(both) == published
    clips = torch.randn(3, 1, 7, 64)
    layers, head = both.layers, both.head
    assert isinstance(layers, nn.LSTM | nn.GRU)
    _, last = layers(clips[:, 0])
    ends = last[0] if kind == "lstm" else last
    torch.testing.assert_close(both(clips), head(torch.cat([ends[-2], ends[-1]], dim=1)))  # type: ignore[operator]
    one_way = sum(gates * 128 * (into + 128 + 2) for into in (64, 128)) + 128 * 2 + 2
    assert count(build_student(Student(kind, defaults), FrontEnd(mels=64), 2)) == one_way


@pytest.mark.parametrize("kind", ["lstm", "gru"])
@given(hidden=st.integers(1, 12), depth=st.integers(1, 3), mels=st.integers(4, 12), frames=st.integers(1, 20))
@settings(max_examples=20, deadline=None)
def test_steps_end_where_torchs_sequence_does(kind: str, hidden: int, depth: int, mels: int, frames: int) -> None:
    student = build_student(Student(kind, {"hidden": hidden, "depth": depth}), FrontEnd(mels=mels), 3).eval()
    assert isinstance(student, StreamingStudent)
    clips = torch.randn(4, frames, mels)
    logits, inputs = stepped(student, clips)
    torch.testing.assert_close(logits, student(clips.unsqueeze(1)), rtol=1e-4, atol=1e-5)
    assert [len(one) for one in inputs] == [1 + len(student.initial_states(4))] * frames
