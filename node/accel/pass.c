/* What has a lane passes from one interface to the other: sealed and sent, or opened, merged and written.
 *
 * In batches, as they are read. What is odd ends a batch: it and all behind it go to the front of the buffer,
 * for the long way, as if they alone had come. lane.c stands before this file.
 */
enum { NEEDS_CHECKSUM = 1, GSO_TCP4 = 1, GSO_TCP6 = 4, GSO_UDP = 5, GSO_ECN = 0x80 };
enum { MAX_SEGMENTS = 64, MAX_SEND = 65400 }; /* see rows.py */
enum { TSMP = 99, GRO = 104 };
enum { RUNS = 8, RECEIVES = 64, MUCH = 8 * LARGEST }; /* before others get their turn */

struct cut { size_t ip_length, header_length, segment, count, rest; int protocol; };

static unsigned native16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static size_t row_size(const track *t, size_t length)
{
    size_t text = (length + 15) / 16 * 16;
    return (text < t->mtu ? text : t->mtu) + HEAD + TAG;
}

static size_t rows_per_send(const struct lane *lane, size_t size)
{
    size_t fit = MAX_SEND / size;
    return !lane->segments || !fit ? 1 : fit < MAX_SEGMENTS ? fit : MAX_SEGMENTS;
}

/* superpacket.py's `cut`, of a whole IP header. Whether the virtio header fits the packet. */
static int cut_up(const uint8_t *virtio, const uint8_t *packet, size_t length, struct cut *cut)
{
    int kind = virtio[1] & ~GSO_ECN, six = packet[0] >> 4 == 6;
    size_t segment = native16(virtio + 4), start = native16(virtio + 6), front = start + 8;
    if ((kind != GSO_UDP && kind != (six ? GSO_TCP6 : GSO_TCP4)) || !segment ||
        start < (six ? 40 : 20))
        return 0;
    if (kind != GSO_UDP) {
        if (length < start + 20 || packet[start + 12] >> 4 < 5)
            return 0;
        front = start + (packet[start + 12] >> 4) * 4;
    }
    if (length <= front)
        return 0;
    size_t payload = length - front, most = segment < payload ? segment : payload;
    size_t count = (payload + most - 1) / most;
    *cut = (struct cut){start, front, most, count, payload - (count - 1) * most,
                        kind == GSO_UDP ? UDP : TCP};
    return 1;
}

/* Whether the kernel has taken what lies in `t->rows`. If not, their counters are used all the same. */
static int send_rows(track *t, struct lane *lane, size_t size, size_t count, size_t last, double now)
{
    size_t length = (count - 1) * size + last;
    lane->next += count;
    note(&lane->sent, &lane->received, count, length, now);
    return send_to(lane, t->rows, length, size);
}

/* Whether it is gone. */
static int pass_super(track *t, cipher *c, struct lane *lane, const uint8_t *read, size_t length,
                      double now)
{
    struct cut cut;
    const uint8_t *packet = read + t->skip;
    if (!cut_up(read, packet, length, &cut) || cut.header_length + cut.segment > t->mtu)
        return 0;
    size_t size = row_size(t, cut.header_length + cut.segment);
    size_t last = cut.count > 1 ? row_size(t, cut.header_length + cut.rest) : size;
    if (cut.count > rows_per_send(lane, size) || cut.count > lane->stop - lane->next)
        return 0;
    seal_super(c, lane->send_key, lane->remote, lane->next, packet, cut.ip_length,
               cut.header_length, cut.segment, cut.count, cut.rest, cut.protocol, t->rows, size,
               last);
    return send_rows(t, lane, size, cut.count, last, now);
}

/* Whether it is an ordinary packet for this lane, which makes a row of that size. It then lies in `c->text`,
 * complete. */
static int lay_whole(const track *t, cipher *c, const struct lane *lane, const uint8_t *read,
                     size_t got, size_t size)
{
    const uint8_t *packet = read + t->skip;
    size_t length = got - t->skip, start = 0, offset = 0;
    int unfinished = t->skip && read[0] & NEEDS_CHECKSUM;
    if ((t->skip && read[1]) || length > t->mtu || row_size(t, length) != size ||
        !has_address(lane, packet, length, 16, 24))
        return 0;
    if (unfinished) {
        start = native16(read + 6);
        offset = native16(read + 8);
        if (start + offset + 2 > length)
            return 0;
    }
    lay(c, packet, length, size - HEAD - TAG);
    if (unfinished)
        finish(c->text, length, start, offset);
    return 1;
}

/* How many of these ordinary packets are gone, with one send. */
static size_t pass_run(track *t, cipher *c, struct lane *lane, const uint8_t *reads,
                       const uint32_t *lengths, size_t count, double now)
{
    size_t size = row_size(t, lengths[0] - t->skip), most = rows_per_send(lane, size), laid = 0;
    most = most < lane->stop - lane->next ? most : lane->stop - lane->next;
    most = most < count ? most : count;
    use_key(c, lane->send_key);
    while (laid < most && lay_whole(t, c, lane, reads, lengths[laid], size)) {
        seal_row(c, t->rows + laid * size, size - HEAD - TAG, lane->next + laid, lane->remote,
                 lane->send_key);
        reads += step_of(lengths[laid++]);
    }
    return laid && send_rows(t, lane, size, laid, size, now) ? laid : 0;
}

/* How many of these reads are gone, from the first on. */
static size_t pass_out(track *t, cipher *c, const uint8_t *reads, const uint32_t *lengths,
                       size_t count)
{
    double now = boot_time();
    size_t gone = 0, passed = 1;
    while (gone < count && passed) {
        size_t length = lengths[gone] - t->skip;
        struct lane *lane = lane_to(t, reads + t->skip, length, now);
        if (!lane)
            break;
        passed = t->skip && reads[1]
            ? (size_t)pass_super(t, c, lane, reads, length, now)
            : pass_run(t, c, lane, reads, lengths + gone, count - gone, now);
        for (size_t i = 0; i < passed; i++, gone++)
            reads += step_of(lengths[gone]);
    }
    return gone;
}

/* As `read_run`, for what is not gone. */
static long read_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, size_t longest,
                         size_t skip, size_t most, uint32_t *lengths, int *alike)
{
    size_t passed = 0;
    for (int i = 0; i < RUNS && passed < MUCH; i++) {
        long count = read_run(fd, buffer, room, longest, skip, most, lengths, alike);
        size_t gone = count > 0 && t->count ? pass_out(t, c, buffer, lengths, (size_t)count) : 0;
        if (!gone)
            return count;
        size_t at = 0, size = 0;
        for (size_t j = 0; j < (size_t)count; j++)
            *(j < gone ? &at : &size) += step_of(lengths[j]);
        if (size) {
            memmove(buffer, buffer + at, size);
            memmove(lengths, lengths + gone, ((size_t)count - gone) * sizeof *lengths);
            return count - (long)gone;
        }
        passed += at;
    }
    return 0;
}

/* The length of the packet in a row, which then lies in `c->text`; 0 if the row is not the next one, authentic,
 * with an ordinary packet from the lane's address. */
static size_t open_row(cipher *c, const struct lane *lane, const uint8_t *row, size_t length,
                       uint64_t counter)
{
    uint8_t head[HEAD] = {TRANSPORT}, nonce[NONCE_SIZE] = {0};
    put32le(head + 4, lane->local);
    put64le(head + 8, counter);
    put64le(nonce + 4, counter);
    if (length <= HEAD + TAG || memcmp(row, head, HEAD) ||
        !unseal(c, row + HEAD, length - HEAD - TAG, nonce, lane->receive_key))
        return 0;
    size_t whole = packet_length(c->text, length - HEAD - TAG);
    int is_odd = !whole || !has_address(lane, c->text, whole, 12, 8) ||
                 c->text[lane->address_size == 4 ? 9 : 6] == TSMP;
    return is_odd ? 0 : whole;
}

static int write_alone(track *t, cipher *c, size_t length)
{
    uint8_t *begin = c->text - t->skip; /* over the one-time key, which has done its duty */
    memset(begin, 0, t->skip);
    return write(t->tun, begin, t->skip + length) == (ssize_t)(t->skip + length);
}

/* How many packets the TUN interface has taken. */
static size_t write_merged(track *t, struct merge *m)
{
    const uint8_t *out = t->writes;
    merge_end(m);
    for (size_t i = 0; i < m->writes; out += t->lengths[i++])
        if (write(t->tun, out, t->lengths[i]) != (ssize_t)t->lengths[i])
            return i ? t->upto[i - 1] : 0;
    return m->came;
}

/* How many bytes of these rows are gone. */
static size_t pass_in(track *t, cipher *c, struct lane *lane, const uint8_t *rows, size_t length,
                      size_t size, double now)
{
    struct merge m = {.begin = t->writes, .end = t->writes, .lengths = t->lengths, .upto = t->upto,
                      .tcp_merges = t->tcp_merges, .udp_merges = t->udp_merges};
    int alone = !t->skip || size >= length;
    size_t passed = 0, at = 0;
    use_key(c, lane->receive_key);
    while (at < length && passed < MOST_ROWS) {
        size_t this = size < length - at ? size : length - at;
        size_t packet = open_row(c, lane, rows + at, this, lane->expected + passed);
        if (!packet || (alone && !write_alone(t, c, packet)))
            break;
        if (!alone)
            merge_packet(&m, c->text, packet);
        at += this;
        passed++;
    }
    size_t taken = alone ? passed : write_merged(t, &m);
    if (!taken)
        return 0;
    size_t gone = taken < passed ? taken * size : at;
    lane->expected += taken;
    note(&lane->received, &lane->sent, taken, gone, now);
    return gone;
}

static struct origin origin_of(const struct sockaddr_storage *from)
{
    struct origin origin = {.size = from->ss_family == AF_INET ? 4 : 16};
    const struct sockaddr_in *four = (const void *)from;
    const struct sockaddr_in6 *six = (const void *)from;
    origin.port = ntohs(origin.size == 4 ? four->sin_port : six->sin6_port);
    memcpy(origin.address, origin.size == 4 ? (const void *)&four->sin_addr : &six->sin6_addr,
           origin.size);
    return origin;
}

/* One call: its length, or minus errno; `segment` is what UDP_GRO says, or 0. */
static long receive(int fd, uint8_t *buffer, size_t room, uint32_t *segment, struct origin *from)
{
    union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
    struct sockaddr_storage name;
    struct iovec vector = {buffer, room};
    struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = &vector,
                             .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
    if (got < 0)
        return -errno;
    *segment = 0;
    for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each; each = CMSG_NXTHDR(&message, each))
        if (each->cmsg_level == IPPROTO_UDP && each->cmsg_type == GRO)
            memcpy(segment, CMSG_DATA(each), sizeof *segment);
    *from = origin_of(&name);
    return got;
}

/* As `receive`, for what is not gone. */
static long receive_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, int may_pass,
                            uint32_t *segment, struct origin *from)
{
    size_t passed = 0;
    for (int i = 0; i < RECEIVES && passed < MUCH; i++) {
        long got = receive(fd, buffer, room, segment, from);
        if (got <= 0 || got > LARGEST || !may_pass)
            return got;
        double now = boot_time();
        struct lane *lane = lane_from(t, buffer, (size_t)got, from, now);
        if (!lane)
            return got;
        size_t size = *segment ? *segment : (size_t)got;
        size_t gone = pass_in(t, c, lane, buffer, (size_t)got, size, now);
        size_t left = (size_t)got - gone;
        if (left) {
            memmove(buffer, buffer + gone, left);
            *segment = left > size ? *segment : 0;
            return (long)left;
        }
        passed += gone;
    }
    return -EAGAIN;
}
