"""Builds the C loop: at installation if a compiler is there, or at any time by `python -m node.accel.build`.

cffi's API mode: the functions below are defined in the C files, and calling one releases the
interpreter's lock. Nothing is linked; the cipher comes in by address at run time.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from cffi import FFI  # type: ignore[import-untyped]

from node.accel.sources import HERE, fingerprint, text

DECLARATIONS = """
#define BUILT_FROM ...
typedef struct cipher cipher;
cipher *openssl_cipher(const char *linked);
cipher *libsodium_cipher(uintptr_t seal, uintptr_t open);
void free_cipher(cipher *c);
void finish_rows(uint8_t *rows, size_t size, size_t count, size_t length, size_t start,
                 size_t offset);
void seal_rows(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter, uint8_t *rows,
               size_t size, size_t count, size_t last);
void seal_equal(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                const uint8_t *packets, size_t step, size_t length, size_t count, int unfinished,
                size_t start, size_t offset, uint8_t *rows, size_t size);
void seal_super(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter, const uint8_t *packet,
                size_t ip_length, size_t header_length, size_t segment, size_t count, size_t rest,
                int protocol, uint8_t *rows, size_t size, size_t last);
size_t open_rows(cipher *c, const uint8_t *key, uint8_t *rows, size_t size, size_t count, size_t last,
                 uint64_t *counters, uint8_t *failed);
int is_run(const uint64_t *counters, size_t count);
int is_uniform(const uint8_t *rows, size_t size, size_t count);
size_t merge_rows(const uint8_t *rows, size_t size, size_t count, size_t last,
                  const uint8_t *skipped, int tcp_merges, int udp_merges, uint8_t *out,
                  uint32_t *lengths);
typedef struct track track;
struct turns { uint64_t count, size; double first, last, since; };
struct origin { uint8_t address[16]; uint32_t size, port; };
struct lane {
    uint32_t local, remote;
    double until;
    uint64_t next, stop, expected;
    size_t address_size;
    uint8_t address[16];
    struct origin to;
    int socket, segments;
    uint8_t send_key[32], receive_key[32];
    ...;
};
track *new_track(int tun, size_t skip, size_t mtu, int tcp_merges, int udp_merges);
void free(void *);
struct lane *new_lane(track *t);
int take_toll(track *t, uint32_t local, int closes, struct turns *sent, struct turns *received);
long read_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, size_t longest, size_t skip,
                  size_t most, uint32_t *lengths, int *alike);
long receive_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, int may_pass,
                     uint32_t *segment, struct origin *from);
"""

BUILT = "_loop.abi3.so"  # as an installation names it, so that neither hides the other

ffibuilder = FFI()
ffibuilder.cdef(DECLARATIONS)
ffibuilder.set_source(
    "node.accel._loop",
    f"enum {{ BUILT_FROM = {fingerprint()} }};\n{text()}",
    extra_compile_args=["-O3"],
    libraries=["dl"],
    optional=True,  # setuptools: no compiler is no error, and the node does without
)


def build() -> Path:
    """Compile next to this file. Raises when there is no compiler, or a C header is missing."""
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        built = Path(ffibuilder.compile(tmpdir=scratch))
        return Path(shutil.copy2(built, HERE / BUILT))


if __name__ == "__main__":
    print(build())
