"""Where training students together is quicker than one after another, as `make bench-populations` measures it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spaces.candidate import Student

# On one thread of a CPU convolutions keep it busy by themselves, while a recurrent layer this small waits for its next
# frame more than it computes.
RECURRENT = {"gru", "lstm"}
WIDEST_ON_CPU = 64
MEMBERS_ON_CPU = 8
# Not measured: a step of a tiny network is a few hundred kernels that take longer to start than to run.
MEMBERS_ON_GPU = 16


def members_that_pay(student: Student, device: str) -> int:
    """How many students of one architecture to train together on a device, a name that torch knows; 1: none."""
    if device != "cpu":
        return MEMBERS_ON_GPU
    pays = student.kind in RECURRENT and int(student.arguments["hidden"]) <= WIDEST_ON_CPU
    return MEMBERS_ON_CPU if pays else 1
