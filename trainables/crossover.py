"""Where training students together is quicker than one after another, as `make bench-populations` measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainables.stacked_gru import WIDEST

if TYPE_CHECKING:
    from spaces.candidate import Student

# On one thread of a CPU convolutions keep it busy by themselves, and so does the one kernel of an LSTM; a small GRU
# takes a dozen operators a frame.
MEMBERS_ON_CPU = 8
# Not measured: a step of a tiny network is a few hundred kernels that take longer to start than to run.
MEMBERS_ON_GPU = 16


def members_that_pay(student: Student, device: str) -> int:
    """How many students of one architecture to train together on a device, a name that torch knows; 1: none."""
    if device != "cpu":
        return MEMBERS_ON_GPU
    pays = student.kind == "gru" and int(student.arguments["hidden"]) <= WIDEST
    return MEMBERS_ON_CPU if pays else 1
