/* The per-packet loop of the data path, in C: what NumpySegments does, without an interpreter.
 *
 * A row is a WireGuard transport message: type 4, receiver 4, counter 8, ciphertext, tag 16; packets are
 * sealed and opened in place. The nonce (4 zero bytes and the counter) is the row itself from its fourth
 * byte on, while the receiver index is zero. cipher.c stands before this file. Bounds are the caller's
 * duty, in segments.py.
 */
enum { HEAD = 16, NONCE = 4, TRANSPORT = 4, VIRTIO = 10 };
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

/* RFC 1071: the ones' complement sum of big-endian words, folded to 16 bits; 0xffff is a zero too. */
static unsigned fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (unsigned)sum;
}

static unsigned ones_sum(const uint8_t *p, size_t length)
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

static void seal_row(cipher *c, uint8_t *row, size_t text, uint64_t counter, uint32_t receiver,
                     const uint8_t *key)
{
    memset(row, 0, 8);
    put64le(row + 8, counter);
    seal(c, row + HEAD, text, row + NONCE, key);
    row[0] = TRANSPORT;
    put32le(row + 4, receiver);
}

/* Plaintexts lie in their rows, padded with zeros. */
static void seal_rows(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                      uint8_t *rows, size_t size, size_t count, size_t last)
{
    use_key(c, key);
    for (size_t i = 0; i < count; i++)
        seal_row(c, rows + i * size, (i + 1 < count ? size : last) - HEAD - TAG, counter + i,
                 receiver, key);
}

/* What NEEDS_CHECKSUM of the virtio header leaves undone, for packets of one length in their rows. */
static void finish_rows(uint8_t *rows, size_t size, size_t count, size_t length, size_t start,
                        size_t offset)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *upper = rows + i * size + HEAD + start;
        unsigned value = complement(ones_sum(upper, length - start));
        put16(upper + offset, value == 0 && offset == 6 ? 0xffff : value);
    }
}

/* Packets of one length that lie `step` apart; perhaps their checksums are to be finished. */
static void seal_equal(cipher *c, const uint8_t *key, uint32_t receiver, uint64_t counter,
                       const uint8_t *packets, size_t step, size_t length, size_t count,
                       int unfinished, size_t start, size_t offset, uint8_t *rows, size_t size)
{
    size_t text = size - HEAD - TAG;
    use_key(c, key);
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = rows + i * size;
        memcpy(row + HEAD, packets + i * step, length);
        memset(row + HEAD + length, 0, text - length);
        if (unfinished)
            finish_rows(row, size, 1, length, start, offset);
        seal_row(c, row, text, counter + i, receiver, key);
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
        uint8_t *row = rows + i * size, *out = row + HEAD;
        size_t data = i + 1 < count ? segment : rest, length = header_length + data;
        size_t text = (i + 1 < count ? size : last) - HEAD - TAG;
        memcpy(out, packet, header_length);
        memcpy(out + header_length, payload, data);
        memset(out + length, 0, text - length);
        write_segment(out, length, i, count, ip_length, segment, protocol);
        seal_row(c, row, text, counter + i, receiver, key);
    }
}

/* Returns how many rows failed; each row's counter and verdict come back in the two arrays. */
static size_t open_rows(cipher *c, const uint8_t *key, uint8_t *rows, size_t size, size_t count,
                        size_t last, uint64_t *counters, uint8_t *failed)
{
    size_t failures = 0;
    use_key(c, key);
    for (size_t i = 0; i < count; i++) {
        uint8_t *row = rows + i * size;
        size_t text = (i + 1 < count ? size : last) - HEAD - TAG;
        counters[i] = get64le(row + 8);
        memset(row + NONCE, 0, 4);
        failed[i] = !unseal(c, row + HEAD, row + HEAD, text, row + NONCE, key);
        failures += failed[i];
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
        at += (size_t)got + (got & 1);
    }
    return (long)count;
}

struct head {
    const uint8_t *packet;
    size_t ip_length, header_length, length; /* header_length 0: stays alone */
    int protocol, pushed;
};

static size_t packet_length(const uint8_t *p, size_t room)
{
    size_t length = 0;
    if (room >= 20 && p[0] >> 4 == 4 && (length = get16(p + 2)) < 20)
        return 0;
    if (room >= 40 && p[0] >> 4 == 6)
        length = get16(p + 4) + (size_t)40;
    return length <= room ? length : 0;
}

static int sums_hold(const struct head *head)
{
    size_t upper = head->length - head->ip_length;
    uint64_t sum = pseudo_sum(head->packet, head->protocol, upper);
    if (head->ip_length == 20 && ones_sum(head->packet, 20) % 0xffff)
        return 0;
    return (sum + ones_sum(head->packet + head->ip_length, upper)) % 0xffff == 0;
}

/* The rules are flow.py's. */
static struct head parse(const uint8_t *p, size_t room, int tcp_merges, int udp_merges)
{
    struct head head = {p, 0, 0, packet_length(p, room), 0, 0};
    size_t length = head.length;
    if (!length || (p[0] >> 4 == 4 && (p[0] != 0x45 || p[6] != 0x40 || p[7])))
        return head;
    head.ip_length = p[0] == 0x45 ? 20 : 40;
    head.protocol = p[0] == 0x45 ? p[9] : p[6];
    const uint8_t *upper = p + head.ip_length;
    if (head.protocol == TCP && tcp_merges && length >= head.ip_length + 20) {
        size_t front = head.ip_length + (upper[12] >> 4) * 4;
        head.pushed = (upper[13] & PSH) != 0;
        if (upper[12] >> 4 >= 5 && front < length && (upper[13] & ~PSH) == ACK && front <= 120)
            head.header_length = front;
    } else if (head.protocol == UDP && udp_merges && length > head.ip_length + 8) {
        if (get16(upper + 4) == length - head.ip_length && (upper[6] || upper[7]))
            head.header_length = head.ip_length + 8;
    }
    if (head.header_length && !sums_hold(&head))
        head.header_length = 0;
    return head;
}

static int same_flow(const struct head *a, const struct head *b)
{
    const uint8_t *p = a->packet, *q = b->packet, *u = p + a->ip_length, *v = q + b->ip_length;
    if (a->ip_length != b->ip_length || a->protocol != b->protocol ||
        a->header_length != b->header_length)
        return 0;
    if (a->ip_length == 20 ? memcmp(p, q, 2) || memcmp(p + 6, q + 6, 4) || memcmp(p + 12, q + 12, 8)
                           : memcmp(p, q, 4) || memcmp(p + 6, q + 6, 34))
        return 0;
    if (a->protocol == UDP)
        return !memcmp(u, v, 4);
    return !memcmp(u, v, 4) && !memcmp(u + 8, v + 8, 5) && !((u[13] ^ v[13]) & ~PSH) &&
           !memcmp(u + 14, v + 14, 2) &&
           !memcmp(u + 18, v + 18, a->header_length - a->ip_length - 18);
}

static int follows(const struct head *first, const struct head *before, const struct head *this)
{
    if (!this->header_length || before->length != first->length || this->length > first->length ||
        before->pushed || !same_flow(first, this))
        return 0;
    if (this->protocol == UDP)
        return 1;
    uint32_t next = get32(before->packet + before->ip_length + 4);
    next += (uint32_t)(before->length - before->header_length);
    return get32(this->packet + this->ip_length + 4) == next;
}

/* The virtio header and the headers of a super-packet, over those of its first packet. */
static void write_front(uint8_t *out, const struct head *first, size_t length, int pushed)
{
    uint8_t *packet = out + VIRTIO, *upper = packet + first->ip_length;
    size_t at = first->protocol == TCP ? 16 : 6, upper_length = length - first->ip_length;
    uint16_t words[4] = {first->header_length, first->length - first->header_length,
                         first->ip_length, at};
    out[0] = 1; /* NEEDS_CHECKSUM */
    out[1] = first->protocol == UDP ? 5 : first->ip_length == 20 ? 1 : 4;
    memcpy(out + 2, words, 8);
    if (first->ip_length == 20) {
        put16(packet + 2, length);
        put16(packet + 10, 0);
        put16(packet + 10, complement(ones_sum(packet, 20)));
    } else {
        put16(packet + 4, length - 40);
    }
    if (first->protocol == TCP)
        upper[13] |= pushed ? PSH : 0;
    else
        put16(upper + 4, upper_length);
    put16(upper + at, pseudo_sum(packet, first->protocol, upper_length) % 0xffff);
}

/* All TUN writes for these rows, end to end in `out`; their lengths go to `lengths`, and to `upto` how many
 * rows there are up to each one's end. */
static size_t merge_rows(const uint8_t *rows, size_t size, size_t count, size_t last,
                         const uint8_t *skipped, int tcp_merges, int udp_merges, uint8_t *out,
                         uint32_t *lengths, uint32_t *upto)
{
    struct head first = {0}, before = {0};
    uint8_t *begin = out, *end = out;
    size_t writes = 0, merged = 0;
    for (size_t i = 0; i < count; i++) {
        size_t room = (i + 1 < count ? size : last) - HEAD - TAG;
        if (skipped[i] || !packet_length(rows + i * size + HEAD, room))
            continue;
        struct head this = parse(rows + i * size + HEAD, room, tcp_merges, udp_merges);
        size_t payload = first.length - first.header_length;
        if (merged && follows(&first, &before, &this) &&
            first.length + payload * merged <= 0xffff) {
            size_t data = this.length - this.header_length;
            memcpy(end, this.packet + this.header_length, data);
            end += data;
            merged++;
        } else {
            if (merged > 1)
                write_front(begin, &first, end - begin - VIRTIO, before.pushed);
            if (end != begin) {
                upto[writes] = i;
                lengths[writes++] = end - begin;
            }
            begin = end;
            memset(begin, 0, VIRTIO);
            memcpy(begin + VIRTIO, this.packet, this.length);
            end = begin + VIRTIO + this.length;
            first = this;
            merged = this.header_length ? 1 : 0;
        }
        before = this;
    }
    if (merged > 1)
        write_front(begin, &first, end - begin - VIRTIO, before.pushed);
    if (end != begin) {
        upto[writes] = count;
        lengths[writes++] = end - begin;
    }
    return writes;
}
