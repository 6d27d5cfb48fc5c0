/* Lanes: lone packets, passed from one interface to the other in one call, as node/core/plain_track.py does.
 *
 * Whatever is odd about a packet is left where it was read, for the long way. loop.c stands before this file.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

enum { LANES = 16, IN_A_ROW = 64, TSMP = 99, GRO = 104, LARGEST_PACKET = 65536 };

struct turns { uint64_t count, size; double first, last, since; };

struct lane {
    uint32_t local, remote;
    double until;
    uint64_t next, stop, expected; /* counters */
    size_t address_size;
    uint8_t address[16]; /* the peer's inner one */
    struct origin { uint8_t address[16]; uint32_t size, port; } to;
    int socket;
    uint8_t send_key[KEY], receive_key[KEY];
    struct turns sent, received;
};

typedef struct track {
    int tun;
    size_t skip, mtu, count; /* `skip` bytes of virtio header before each packet */
    struct lane lanes[LANES]; /* the first `count` are open */
    uint8_t room[VIRTIO + LARGEST_PACKET + HEAD + TAG];
} track;

static track *new_track(int tun, size_t skip, size_t mtu)
{
    track *t = calloc(1, sizeof *t);
    if (t) {
        t->tun = tun;
        t->skip = skip;
        t->mtu = mtu;
    }
    return t;
}

/* Null where all are taken. */
static struct lane *new_lane(track *t)
{
    return t->count < LANES ? memset(&t->lanes[t->count++], 0, sizeof(struct lane)) : 0;
}

static struct lane *lane_of(track *t, uint32_t local)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->lanes[i].local == local)
            return &t->lanes[i];
    return 0;
}

/* What passed since the last time; whether there is such a lane. */
static int take_toll(track *t, uint32_t local, int closes, struct turns *sent,
                     struct turns *received)
{
    struct lane *lane = lane_of(t, local);
    if (!lane)
        return 0;
    *sent = lane->sent;
    *received = lane->received;
    memset(&lane->sent, 0, sizeof lane->sent);
    memset(&lane->received, 0, sizeof lane->received);
    if (closes) {
        *lane = t->lanes[--t->count];
        memset(&t->lanes[t->count], 0, sizeof *lane); /* its keys */
    }
    return 1;
}

static double boot_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void note(struct turns *turns, struct turns *other, size_t size, double now)
{
    turns->count++;
    turns->size += size;
    turns->first = turns->first ? turns->first : now;
    turns->since = turns->since ? turns->since : now;
    turns->last = now;
    other->since = 0;
}

/* Whether `packet` has the lane's address `at4` or `at6` bytes into its header. */
static int has_address(const struct lane *lane, const uint8_t *packet, size_t length, size_t at4,
                       size_t at6)
{
    size_t header = lane->address_size == 4 ? 20 : 40;
    int version = lane->address_size == 4 ? 4 : 6;
    return length >= header && packet[0] >> 4 == version &&
           !memcmp(packet + (version == 4 ? at4 : at6), lane->address, lane->address_size);
}

static ssize_t send_to(const struct lane *lane, const uint8_t *data, size_t size)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(lane->to.port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(lane->to.port)};
    memcpy(&six.sin6_addr, lane->to.address, sizeof six.sin6_addr);
    memcpy(&four.sin_addr, lane->to.address, sizeof four.sin_addr);
    if (lane->to.size == 4)
        return sendto(lane->socket, data, size, MSG_DONTWAIT, (void *)&four, sizeof four);
    return sendto(lane->socket, data, size, MSG_DONTWAIT, (void *)&six, sizeof six);
}

/* A read from the TUN interface. Whether it was sent. */
static int pass_out(track *t, cipher *c, const uint8_t *read, size_t got)
{
    const uint8_t *packet = read + t->skip;
    size_t length = got - t->skip, i = 0;
    uint16_t start = 0, offset = 0;
    int unfinished = t->skip && read[0] & 1;
    while (i < t->count && !has_address(&t->lanes[i], packet, length, 16, 24))
        i++;
    if (i == t->count)
        return 0;
    struct lane *lane = &t->lanes[i];
    double now = boot_time();
    if (now >= lane->until || lane->next == lane->stop || length > t->mtu ||
        (t->skip && read[1]))
        return 0;
    if (unfinished) {
        memcpy(&start, read + 6, sizeof start);
        memcpy(&offset, read + 8, sizeof offset);
        if ((size_t)start + offset + 2 > length)
            return 0;
    }
    size_t text = (length + 15) / 16 * 16, size = (text < t->mtu ? text : t->mtu) + HEAD + TAG;
    seal_equal(c, lane->send_key, lane->remote, lane->next++, packet, length, length, 1, unfinished,
               start, offset, t->room, size);
    note(&lane->sent, &lane->received, size, now); /* even if it fails: the counter is used */
    return send_to(lane, t->room, size) == (ssize_t)size;
}

/* A datagram. Whether its packet was written to the TUN interface. */
static int pass_in(track *t, cipher *c, const uint8_t *row, size_t length,
                   const struct origin *from)
{
    static const uint8_t type[4] = {TRANSPORT};
    if (length <= HEAD + TAG || length > LARGEST_PACKET || memcmp(row, type, sizeof type))
        return 0;
    uint32_t local = row[4] | row[5] << 8 | row[6] << 16 | (uint32_t)row[7] << 24;
    struct lane *lane = lane_of(t, local);
    double now = lane ? boot_time() : 0;
    if (!lane || now >= lane->until || get64le(row + 8) != lane->expected ||
        from->size != lane->to.size || from->port != lane->to.port ||
        memcmp(from->address, lane->to.address, from->size))
        return 0;
    uint8_t nonce[NONCE_SIZE] = {0}, *packet = t->room + t->skip;
    memcpy(nonce + 4, row + 8, 8);
    memset(t->room, 0, t->skip);
    memcpy(packet, row + HEAD, length - HEAD);
    use_key(c, lane->receive_key);
    if (!unseal(c, packet, length - HEAD - TAG, nonce, lane->receive_key))
        return 0;
    size_t whole = packet_length(packet, length - HEAD - TAG);
    if (!whole || !has_address(lane, packet, whole, 12, 8) ||
        packet[lane->address_size == 4 ? 9 : 6] == TSMP ||
        write(t->tun, t->room, t->skip + whole) != (ssize_t)(t->skip + whole))
        return 0;
    lane->expected++;
    note(&lane->received, &lane->sent, length, now);
    return 1;
}

/* As `read_run`; what comes alone and has a lane is gone, as if it had not been there. */
static long read_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, size_t longest,
                         size_t skip, size_t most, uint32_t *lengths, int *alike)
{
    long count = read_run(fd, buffer, room, longest, skip, most, lengths, alike);
    return count == 1 && pass_out(t, c, buffer, lengths[0]) ? 0 : count;
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

/* One receive: its length, or minus errno; `segment` is what UDP_GRO says, or 0. Those before it that had a
 * lane are gone. */
static long receive_or_pass(track *t, cipher *c, int fd, uint8_t *buffer, size_t room, int may_pass,
                            uint32_t *segment, struct origin *from)
{
    for (int i = 0; i < IN_A_ROW; i++) {
        union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control;
        struct sockaddr_storage name;
        struct iovec vector = {buffer, room};
        struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name,
                                 .msg_iov = &vector, .msg_iovlen = 1,
                                 .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);
        if (got < 0)
            return -errno;
        *segment = 0;
        for (struct cmsghdr *each = CMSG_FIRSTHDR(&message); each;
             each = CMSG_NXTHDR(&message, each))
            if (each->cmsg_level == IPPROTO_UDP && each->cmsg_type == GRO)
                memcpy(segment, CMSG_DATA(each), sizeof *segment);
        *from = origin_of(&name);
        int alone = !*segment || *segment >= (size_t)got;
        if (!may_pass || !alone || !pass_in(t, c, buffer, (size_t)got, from))
            return got;
    }
    return -EAGAIN;
}
