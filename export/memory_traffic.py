"""Bytes that an operator pulls through the data cache, and what a missed byte costs in each memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, final

if TYPE_CHECKING:
    from export.operators import Operator
    from export.work import Work
    from spaces.board import Board

Place = Literal["sram", "psram", "flash"]

# Cycles per missed byte at 240 MHz for lines of 32 and 64 bytes: clocks that a burst of one line takes at 80 MHz on the
# bus, with command, address and dummy phases. Octal flash is computed the same way and has no measurement behind it.
_MISS_CYCLES = {
    "dio": (15.5, 14.0),
    "qio": (9.1, 7.5),
    "opi": (5.8, 4.4),
    "quad": (8.5, 7.2),
    "octal": (4.3, 2.9),
}


@final
@dataclass(frozen=True)
class Placement:
    """Where a build puts the arena and the weights."""

    arena: Place
    weights: Place

    def __str__(self) -> str:
        return f"arena {self.arena}, weights {self.weights}"


def miss_cycles(board: Board, place: Place) -> float:
    """CPU cycles per byte that misses the data cache; 0 for internal memory, which is not cached."""
    if place == "sram":
        return 0.0
    bus = board.flash_mode if place == "flash" else board.psram
    short, long = _MISS_CYCLES[bus]
    per_byte = long if board.cache_line_bytes == 64 else short
    return per_byte * board.cpu_mhz / 240


def miss_rate(footprint_bytes: float, cache_bytes: int) -> float:
    """Share of bytes missed when a footprint is scanned over and over: what the cache cannot hold of it.

    The chip's replacement keeps more of a scan that is a little too large than random replacement would: with the
    latter, the model with a filter of 40 KiB behind 32 KiB of cache comes out 25 % slow (row M_csi_CNN).
    """
    return max(0.0, 1 - cache_bytes / footprint_bytes) if footprint_bytes else 0.0


@final
@dataclass(frozen=True)
class Traffic:
    """Missed bytes of one call, by what they belong to."""

    weights: float
    arena: float

    def cycles(self, board: Board, placement: Placement) -> float:
        """Cycles spent waiting for them."""
        return self.weights * miss_cycles(board, placement.weights) + self.arena * miss_cycles(board, placement.arena)


def traffic_of(operator: Operator, work: Work, board: Board, placement: Placement, cached_bytes: float) -> Traffic:
    """Missed bytes of one call in a steady run; one Invoke of the model pulls `cached_bytes` through the cache."""
    weights = sum(t.size_bytes for t in operator.constant_inputs)
    moved = sum(t.size_bytes for t in (*operator.data_inputs, *operator.outputs) if t.dtype != "resource")
    cold = miss_rate(cached_bytes, board.dcache_bytes)
    scanned = (weights if work.weight_passes > 1 else 0) if placement.weights != "sram" else 0
    copied = work.copy_bytes if placement.arena != "sram" else 0
    again = miss_rate(scanned + copied, board.dcache_bytes)
    return Traffic(
        weights=weights * (cold + max(0.0, work.weight_passes - 1) * again),
        arena=moved * cold + work.copy_bytes * work.copy_passes * again,
    )


def bytes_through_cache(operators: tuple[Operator, ...], placement: Placement) -> float:
    """Distinct weights and all tensors that one Invoke touches outside internal memory."""
    weights = {id(t.data): t.size_bytes for op in operators for t in op.constant_inputs}
    tensors = {id(t): t.size_bytes for op in operators for t in (*op.data_inputs, *op.outputs)}
    total = sum(weights.values()) if placement.weights != "sram" else 0
    return total + (sum(tensors.values()) if placement.arena != "sram" else 0)
