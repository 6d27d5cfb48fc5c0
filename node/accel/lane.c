/* Lanes: to whom packets may be passed without asking anybody (node/core/lane.py), and what has passed.
 *
 * merge.c stands before this file, and pass.c, which does the passing, behind it.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <time.h>

enum { LANES = 16, MOST_ROWS = 128, SEGMENT = 103 /* UDP_SEGMENT */ };

struct turns { uint64_t count, size; double first, last, since; };

struct lane {
    uint32_t local, remote;
    double until;
    uint64_t next, stop, expected; /* counters */
    size_t address_size;
    uint8_t address[16]; /* the peer's inner one */
    struct origin { uint8_t address[16]; uint32_t size, port; } to;
    int socket, segments; /* whether it takes many datagrams at once */
    uint8_t send_key[KEY], receive_key[KEY];
    struct turns sent, received;
};

typedef struct track {
    int tun, tcp_merges, udp_merges;
    size_t skip, mtu, count; /* `skip` bytes of virtio header before each packet */
    struct lane lanes[LANES]; /* the first `count` are open */
    uint8_t rows[LARGEST + HEAD + TAG], writes[LARGEST];
    uint32_t lengths[MOST_ROWS], upto[MOST_ROWS]; /* of writes */
} track;

static track *new_track(int tun, size_t skip, size_t mtu, int tcp_merges, int udp_merges)
{
    track *t = calloc(1, sizeof *t);
    if (t) {
        t->tun = tun;
        t->skip = skip;
        t->mtu = mtu;
        t->tcp_merges = tcp_merges;
        t->udp_merges = udp_merges;
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

static void note(struct turns *turns, struct turns *other, size_t count, size_t size, double now)
{
    turns->count += count;
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

/* The open lane to the address of a packet from the TUN interface, or null. */
static struct lane *lane_to(track *t, const uint8_t *packet, size_t length, double now)
{
    for (size_t i = 0; i < t->count; i++)
        if (has_address(&t->lanes[i], packet, length, 16, 24))
            return now < t->lanes[i].until ? &t->lanes[i] : 0;
    return 0;
}

/* The open lane that a datagram belongs to, if it comes from where it should, or null. */
static struct lane *lane_from(track *t, const uint8_t *datagram, size_t length,
                              const struct origin *from, double now)
{
    struct lane *lane = length > HEAD + TAG ? lane_of(t, get32le(datagram + 4)) : 0;
    if (!lane || now >= lane->until || from->size != lane->to.size ||
        from->port != lane->to.port || memcmp(from->address, lane->to.address, from->size))
        return 0;
    return lane;
}

/* Rows of `size` bytes in one call, the last perhaps shorter. Whether the kernel has taken them. */
static int send_to(const struct lane *lane, const uint8_t *rows, size_t length, size_t size)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(lane->to.port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(lane->to.port)};
    memcpy(&six.sin6_addr, lane->to.address, sizeof six.sin6_addr);
    memcpy(&four.sin_addr, lane->to.address, sizeof four.sin_addr);
    int is_four = lane->to.size == 4;
    union { char bytes[CMSG_SPACE(sizeof(uint16_t))]; struct cmsghdr align; } control = {{0}};
    struct iovec vector = {(void *)rows, length};
    struct msghdr message = {.msg_name = is_four ? (void *)&four : (void *)&six,
                             .msg_namelen = is_four ? sizeof four : sizeof six,
                             .msg_iov = &vector, .msg_iovlen = 1};
    if (length > size) {
        uint16_t segment = (uint16_t)size;
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.align.cmsg_level = IPPROTO_UDP;
        control.align.cmsg_type = SEGMENT;
        control.align.cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(&control.align), &segment, sizeof segment);
    }
    return sendmsg(lane->socket, &message, MSG_DONTWAIT) == (ssize_t)length;
}
