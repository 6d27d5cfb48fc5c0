/* Opened packets into as few TUN writes as there may be: flow.py's rules, as coalesce.py goes about it.
 *
 * loop.c stands before this file.
 */
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

/* The write that is being made, and those before it. */
struct merge {
    uint8_t *begin, *end;
    uint32_t *lengths, *upto; /* of each write; and how many packets came up to its end, if anybody asks */
    size_t writes, came, merged; /* of `merged` packets, 0 if nothing may follow */
    int tcp_merges, udp_merges;
    struct head first, before; /* `first` lies in the write; of `before` only the numbers are there still */
    uint32_t next; /* the TCP sequence number that follows */
};

static int follows(const struct merge *m, const struct head *this)
{
    const struct head *first = &m->first, *before = &m->before;
    size_t payload = first->length - first->header_length;
    if (!m->merged || !this->header_length || before->length != first->length ||
        this->length > first->length || before->pushed ||
        first->length + payload * m->merged > 0xffff || !same_flow(first, this))
        return 0;
    return this->protocol == UDP || get32(this->packet + this->ip_length + 4) == m->next;
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

/* Ends the write that is being made. */
static void merge_end(struct merge *m)
{
    if (m->merged > 1)
        write_front(m->begin, &m->first, m->end - m->begin - VIRTIO, m->before.pushed);
    if (m->end == m->begin)
        return;
    if (m->upto)
        m->upto[m->writes] = m->came;
    m->lengths[m->writes++] = m->end - m->begin;
    m->begin = m->end;
}

/* `room` bytes in which a whole packet lies. */
static void merge_packet(struct merge *m, const uint8_t *packet, size_t room)
{
    struct head this = parse(packet, room, m->tcp_merges, m->udp_merges);
    if (follows(m, &this)) {
        size_t data = this.length - this.header_length;
        memcpy(m->end, packet + this.header_length, data);
        m->end += data;
        m->merged++;
    } else {
        merge_end(m);
        memset(m->begin, 0, VIRTIO);
        memcpy(m->begin + VIRTIO, packet, this.length);
        m->end = m->begin + VIRTIO + this.length;
        m->first = this;
        m->first.packet = m->begin + VIRTIO;
        m->merged = this.header_length ? 1 : 0;
    }
    m->came++;
    m->before = this;
    if (this.header_length && this.protocol == TCP)
        m->next = get32(packet + this.ip_length + 4) + (uint32_t)(this.length - this.header_length);
}

/* All TUN writes for these rows, end to end in `out`; their lengths go to `lengths`. */
static size_t merge_rows(const uint8_t *rows, size_t size, size_t count, size_t last,
                         const uint8_t *skipped, int tcp_merges, int udp_merges, uint8_t *out,
                         uint32_t *lengths)
{
    struct merge m = {.begin = out, .end = out, .lengths = lengths,
                      .tcp_merges = tcp_merges, .udp_merges = udp_merges};
    for (size_t i = 0; i < count; i++, rows += size) {
        size_t room = (i + 1 < count ? size : last) - HEAD - TAG;
        if (!skipped[i] && packet_length(rows + HEAD, room))
            merge_packet(&m, rows + HEAD, room);
    }
    merge_end(&m);
    return m.writes;
}
