/* The per-packet loop of the data path, in C: what NumpySegments does, without an interpreter.
 *
 * A row is a WireGuard transport message: type 4, receiver 4, counter 8, ciphertext, tag 16. cipher.c stands
 * before this file. Bounds are the caller's duty, in segments.py.
 */
enum { HEAD = 16, TRANSPORT = 4, VIRTIO = 10 };
enum { TCP = 6, UDP = 17, FIN = 0x01, PSH = 0x08, ACK = 0x10, CWR = 0x80 };

static unsigned get16(const uint8_t *p) { return (unsigned)p[0] << 8 | p[1]; }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }
static void put16(uint8_t *p, unsigned v) { p[0] = v >> 8; p[1] = v; }
static void put32(uint8_t *p, uint32_t v) { put16(p, v >> 16); put16(p + 2, v); }

/* Little endian, as WireGuard writes, on any machine. */
static void put32le(uint8_t *p, uint32_t v) { for (int i = 0; i < 4; i++) p[i] = v >> 8 * i; }
static void put64le(uint8_t *p, uint64_t v) { for (int i = 0; i < 8; i++) p[i] = v >> 8 * i; }
static uint32_t get32le(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 4; i--;)
        v = v << 8 | p[i];
    return v;
}
static uint64_t get64le(const uint8_t *p) { return get32le(p) | (uint64_t)get32le(p + 4) << 32; }

/* A function that is compiled for several kinds of processor, and chosen when the module is loaded. */
#if defined __x86_64__ && defined __GLIBC__ && defined __GNUC__ && !defined __clang__
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

/* RFC 1071: the ones' complement sum of big-endian words, folded to 16 bits; 0xffff is a zero too. */
static unsigned fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned)sum;
}

WIDE static unsigned ones_sum(const uint8_t *p, size_t length)
{
    uint64_t sum = 0;
    uint32_t word;
    uint8_t rest[4] = {0}, swapped[2];
    size_t i, whole = length & ~(size_t)3;
    for (i = 0; i < whole; i += 4) {
        memcpy(&word, p + i, 4);
        sum += word;
    }
    memcpy(rest, p + whole, length - whole);
    memcpy(&word, rest, 4);
    uint16_t native = (uint16_t)fold(sum + word); /* in host order, which the sum does not mind */
    memcpy(swapped, &native, 2);
    return get16(swapped);
}

static unsigned complement(unsigned sum) { return sum == 0 || sum == 0xffff ? 0 : 0xffff - sum; }

/* For `sum` > 0, which a pseudo header always is. */
static unsigned upper_complement(uint64_t sum, int protocol)
{
    unsigned value = 0xffff - fold(sum);
    return value == 0 && protocol == UDP ? 0xffff : value;
}

static unsigned pseudo_sum(const uint8_t *packet, int protocol, size_t length)
{
    unsigned sum = packet[0] >> 4 == 4 ? ones_sum(packet + 12, 8) : ones_sum(packet + 8, 32);
    return fold((uint64_t)sum + protocol + length);
}

/* What lies in `c->text`. */
static void seal_row(cipher *c, uint8_t *row, size_t text, uint64_t counter, uint32_t receiver,
                     const uint8_t *key)
{
    uint8_t nonce[NONCE_SIZE] = {0};
    put64le(nonce + 4, counter);
    put32le(row, TRANSPORT);
    put32le(row + 4, receiver);
    put64le(row + 8, counter);
    seal(c, row + HEAD, text, nonce, key);
}

/* Plaintexts lie in their rows, padded with zeros. */
static void seal_rows(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                      uint8_t *rows, size_t size, size_t count, size_t last)
{
    use_key(c, key);
    for (size_t i = 0; i < count; i++, rows += size) {
        size_t text = (i + 1 < count ? size : last) - HEAD - TAG;
        memcpy(c->text, rows + HEAD, text);
        seal_row(c, rows, text, counter + i, receiver, key);
    }
}

/* What NEEDS_CHECKSUM of the virtio header leaves undone. */
static void finish(uint8_t *packet, size_t length, size_t start, size_t offset)
{
    unsigned value = complement(ones_sum(packet + start, length - start));
    put16(packet + start + offset, value == 0 && offset == 6 ? 0xffff : value);
}

/* For packets of one length in their rows. */
static void finish_rows(uint8_t *rows, size_t size, size_t count, size_t length, size_t start,
                        size_t offset)
{
    for (size_t i = 0; i < count; i++)
        finish(rows + i * size + HEAD, length, start, offset);
}

/* Into `c->text`, with zeros behind it. */
static void lay(cipher *c, const uint8_t *packet, size_t length, size_t text)
{
    memcpy(c->text, packet, length);
    memset(c->text + length, 0, text - length);
}

/* Packets of one length that lie `step` apart; perhaps their checksums are to be finished. */
static void seal_equal(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                       const uint8_t *packets, size_t step, size_t length, size_t count,
                       int unfinished, size_t start, size_t offset, uint8_t *rows, size_t size)
{
    size_t text = size - HEAD - TAG;
    use_key(c, key);
    for (size_t i = 0; i < count; i++) {
        lay(c, packets + i * step, length, text);
        if (unfinished)
            finish(c->text, length, start, offset);
        seal_row(c, rows + i * size, text, counter + i, receiver, key);
    }
}

static void write_segment(uint8_t *out, size_t length, size_t i, size_t count, size_t ip_length,
                          size_t segment, int protocol)
{
    uint8_t *upper = out + ip_length;
    size_t upper_length = length - ip_length, at = protocol == TCP ? 16 : 6;
    if (out[0] >> 4 == 4) {
        put16(out + 2, length);
        put16(out + 4, get16(out + 4) + i);
        put16(out + 10, 0);
        put16(out + 10, complement(ones_sum(out, ip_length)));
    } else {
        put16(out + 4, length - 40);
    }
    if (protocol == TCP) {
        put32(upper + 4, get32(upper + 4) + (uint32_t)(i * segment));
        upper[13] &= ~((i ? CWR : 0) | (i + 1 < count ? FIN | PSH : 0));
    } else {
        put16(upper + 4, upper_length);
    }
    put16(upper + at, 0);
    uint64_t sum = ones_sum(upper, upper_length);
    put16(upper + at, upper_complement(sum + pseudo_sum(out, protocol, upper_length), protocol));
}

/* Cut, finish and seal; `size` is that of a full row, `last` that of the last one. */
static void seal_super(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                       const uint8_t *packet, size_t ip_length, size_t header_length,
                       size_t segment, size_t count, size_t rest, int protocol, uint8_t *rows,
                       size_t size, size_t last)
{
    const uint8_t *payload = packet + header_length;
    use_key(c, key);
    for (size_t i = 0; i < count; i++, payload += segment) {
        size_t data = i + 1 < count ? segment : rest, length = header_length + data;
        size_t text = (i + 1 < count ? size : last) - HEAD - TAG;
        memcpy(c->text, packet, header_length);
        memcpy(c->text + header_length, payload, data);
        memset(c->text + length, 0, text - length);
        write_segment(c->text, length, i, count, ip_length, segment, protocol);
        seal_row(c, rows + i * size, text, counter + i, receiver, key);
    }
}

/* In place. Returns how many rows failed; each row's counter and verdict come back in the two arrays. */
static size_t open_rows(cipher *c, const uint8_t *key, uint8_t *rows, size_t size, size_t count,
                        size_t last, uint64_t *counters, uint8_t *failed)
{
    size_t failures = 0;
    use_key(c, key);
    for (size_t i = 0; i < count; i++, rows += size) {
        uint8_t nonce[NONCE_SIZE] = {0};
        size_t text = (i + 1 < count ? size : last) - HEAD - TAG;
        memcpy(nonce + 4, rows + 8, 8);
        counters[i] = get64le(rows + 8);
        failed[i] = !unseal(c, rows + HEAD, text, nonce, key);
        failures += failed[i];
        if (!failed[i])
            memcpy(rows + HEAD, c->text, text);
    }
    return failures;
}

/* Do the counters follow one another? */
static int is_run(const uint64_t *counters, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (counters[i] != counters[0] + i)
            return 0;
    return 1;
}

/* Do all rows begin with the same type and index? */
static int is_uniform(const uint8_t *rows, size_t size, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (memcmp(rows, rows + i * size, 8))
            return 0;
    return 1;
}

/* Both begin with a virtio header, if there is one; `length` counts it. */
static int same_kind(const uint8_t *a, const uint8_t *b, size_t length, size_t skip)
{
    const uint8_t *one = a + skip, *other = b + skip;
    size_t least = length - skip, version = least ? one[0] >> 4 : 0;
    if (memcmp(a, b, skip) || version != (least ? other[0] >> 4 : 0))
        return 0;
    if (version == 4 && least >= 20)
        return !memcmp(one + 16, other + 16, 4);
    return version == 6 && least >= 40 && !memcmp(one + 24, other + 24, 16);
}

/* Each read begins at an even place. */
static size_t step_of(size_t length) { return length + (length & 1); }

/* Reads until nothing waits or the room is filled. Each begins at an even place; they are alike if all
 * are ordinary, of one length and to one destination. Returns how many, or minus errno. */
static long read_run(int fd, uint8_t *buffer, size_t room, size_t longest, size_t skip, size_t most,
                     uint32_t *lengths, int *alike)
{
    size_t at = 0, count = 0;
    *alike = 1;
    while (count < most && at + longest <= room) {
        ssize_t got = read(fd, buffer + at, longest);
        if (got < 0 && errno != EAGAIN && !count)
            return -errno;
        if (got <= (ssize_t)skip)
            break;
        int is_super = skip && buffer[at + 1];
        lengths[count] = (uint32_t)got;
        *alike = *alike && !is_super && lengths[0] == lengths[count] &&
                 same_kind(buffer, buffer + at, got, skip);
        count++;
        at += step_of((size_t)got);
    }
    return (long)count;
}
