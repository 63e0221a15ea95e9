"""Energy of one inference and average current, from one published family of measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

# ahmadshahbazzz/esp32-csi-har-frontier, table tab:s3: INA219 on the 5 V input of an ESP32-S3 board, radio off, seven
# int8 models; energy over latency is 255 to 325 mW with a mean of 289 mW.
ACTIVE_MW = 289.0
ACTIVE_LOW_MW = 255.0
ACTIVE_HIGH_MW = 325.0
SUPPLY_VOLTS = 5.0
ORIGIN = "one family of measurements: seven models on one board, 5 V input, radio off"


@final
@dataclass(frozen=True)
class Energy:
    """Millijoules of one decision with their range, and the mean current it adds when decisions come at a rate."""

    millijoules: float
    low_millijoules: float
    high_millijoules: float
    milliamperes: float


def energy_of(ms: float, decisions_per_second: float) -> Energy:
    """Energy of `ms` milliseconds of work; the current counts working time only, not what the board draws asleep."""
    duty = min(1.0, ms / 1000 * decisions_per_second)
    return Energy(
        ms * ACTIVE_MW / 1000, ms * ACTIVE_LOW_MW / 1000, ms * ACTIVE_HIGH_MW / 1000, duty * ACTIVE_MW / SUPPLY_VOLTS
    )
