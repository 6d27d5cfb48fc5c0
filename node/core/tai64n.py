"""TAI64N, the timestamp of an initiation: 12 bytes that grow with time, compared as bytes.

A responder takes only a later one than the last, so a recorded initiation is worth nothing. The low 24
bits of the nanoseconds are cleared (about 17 ms): the peer needs order, not our clock's fine print.
"""

from __future__ import annotations

import struct

_TAI_OFFSET = 2**62 + 10
_WHITENED = ~0xFFFFFF


def tai64n(unix: float) -> bytes:
    seconds, fraction = divmod(unix, 1.0)
    return struct.pack(">QI", _TAI_OFFSET + int(seconds), int(fraction * 1e9) & _WHITENED)
