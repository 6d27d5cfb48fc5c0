"""What `nft -f` does, in our own process: its library, without the start of a program.

A ruleset of a router takes the kernel half a millisecond, libnftables another half, and a program that has
to be started first some five. To keep a batch and send its bytes again would save the library's half, if no
two routers differed; but each has its own addresses in its rules.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

from lab.errors import CannotHere

_LIBRARY = "libnftables.so.1"
_DEFAULT = 0  # NFT_CTX_DEFAULT


def load(text: str, only_try: bool = False) -> str:
    """In the calling thread's namespace, all of it or nothing; returns what is wrong, empty if nothing is."""
    library = _library()
    context = library.nft_ctx_new(_DEFAULT)
    try:
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_set_dry_run(context, only_try)
        # From a file, as only then the complaint has the number of a line.
        file = os.memfd_create("rules")
        try:
            os.write(file, text.encode())
            path = f"/proc/self/fd/{file}"
            if library.nft_run_cmd_from_filename(context, path.encode()) == 0:
                return ""
        finally:
            os.close(file)
        said: bytes = library.nft_ctx_get_error_buffer(context)
        return said.decode(errors="replace").replace(path, "line")
    finally:
        library.nft_ctx_free(context)


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise CannotHere("nftables is not installed", "apt-get install nftables") from None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_set_dry_run.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    library.nft_run_cmd_from_filename.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for name in ("nft_ctx_buffer_error", "nft_ctx_get_error_buffer", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    return library
