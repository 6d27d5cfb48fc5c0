"""The one error of the wire: these bytes are not what they claim to be."""


class Malformed(ValueError):
    """Says which field of which message was wrong. The cores drop and count; nobody sees a traceback."""
