"""Numbers on a command line, for argparse: what is none, or makes no sense, is said in one line."""

from __future__ import annotations

import argparse
import math


def port(text: str) -> int:
    """0: any."""
    if not text.isdecimal() or int(text) > 0xFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def count(text: str) -> int:
    """At least one."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of 1 or more")
    return int(text)


def lifetime(text: str) -> int:
    """Whole seconds, in 32 bits as port mapping protocols have them; 0 is one."""
    if not text.isdecimal() or int(text) > 0xFFFFFFFF:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return int(text)


def seconds(text: str) -> float:
    """More than 0, and not for ever."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, above 0")
    return value
