"""What a capture got."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    packets: int
    dropped: int  # that came too fast, and are not in the file
    interfaces: int
    seconds: float
