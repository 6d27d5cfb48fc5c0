"""The rules, as state machines: bytes, time and dice come in, outputs go out as return values."""
