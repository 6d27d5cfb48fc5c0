/* ChaCha20-Poly1305 (RFC 8439 §2.8), borrowed by address from a library that is in this process anyway.
 *
 * OpenSSL's ChaCha20 and Poly1305, which Python's ssl module brings along: twice as fast on packets as
 * libsodium where the processor has AVX-512, and as fast elsewhere. They are put together here, because
 * OpenSSL's own combination makes the one-time key in a call for one block, which takes as long as one for
 * sixteen: here it is the first block of the packet's own call. The provider is asked for the functions
 * themselves (OpenSSL 3, provider-cipher(7), provider-mac(7), core_dispatch.h), because the EVP calls around
 * them look up parameters by name. Or libsodium's, which PyNaCl brings along. So neither headers nor a second
 * copy of either are needed. A packet is sealed from and opened to one place, `text`, which stays in the
 * processor's nearest cache.
 *
 *     clear     a block of zeros, which becomes the tag's key in the other room | text
 *     sealed    the same | ciphertext | what the tag is made of besides: padding and lengths
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG = 16, KEY = 32, NONCE_SIZE = 12, BLOCK = 64 };
enum { LARGEST = 1 << 16 }; /* bytes of any packet or datagram */
enum { ROOM = BLOCK + LARGEST + 2 * BLOCK };
enum { OP_CIPHER = 2, OP_MAC = 3 }; /* OSSL_OP_ */

struct dispatch { int number; void (*function)(void); };
struct algorithm {
    const char *names, *properties;
    const struct dispatch *functions;
    const char *description;
};

typedef struct cipher {
    int (*sodium_seal)(unsigned char *, unsigned long long *, const unsigned char *,
                       unsigned long long, const unsigned char *, unsigned long long,
                       const unsigned char *, const unsigned char *, const unsigned char *);
    int (*sodium_open)(unsigned char *, unsigned long long *, unsigned char *,
                       const unsigned char *, unsigned long long, const unsigned char *,
                       unsigned long long, const unsigned char *, const unsigned char *);
    void *stream, *mac; /* OpenSSL's contexts, or null */
    int has_key;
    void *(*new_stream)(void *), *(*new_mac)(void *);
    void (*free_stream)(void *), (*free_mac)(void *);
    int (*stream_init)(void *, const uint8_t *, size_t, const uint8_t *, size_t, const void *);
    int (*stream_update)(void *, uint8_t *, size_t *, size_t, const uint8_t *, size_t);
    int (*mac_init)(void *, const uint8_t *, size_t, const void *);
    int (*mac_update)(void *, const uint8_t *, size_t);
    int (*mac_final)(void *, uint8_t *, size_t *, size_t);
    uint8_t *text, clear[ROOM], sealed[ROOM];
} cipher;

static cipher *new_cipher(void)
{
    cipher *c = calloc(1, sizeof *c);
    if (c)
        c->text = c->clear + BLOCK;
    return c;
}

static cipher *libsodium_cipher(uintptr_t seal, uintptr_t open)
{
    cipher *c = new_cipher();
    if (c) {
        memcpy(&c->sodium_seal, &seal, sizeof seal);
        memcpy(&c->sodium_open, &open, sizeof open);
    }
    return c;
}

static void free_cipher(cipher *c)
{
    if (c && c->stream)
        c->free_stream(c->stream);
    if (c && c->mac)
        c->free_mac(c->mac);
    free(c);
}

struct wanted { int number; void *where; };

/* Whether all that is wanted of an algorithm is there; a 0 ends both lists. */
static int take(const struct algorithm *each, const char *name, const struct wanted *wanted)
{
    while (each && each->names && strcmp(each->names, name))
        each++;
    if (!each || !each->names)
        return 0;
    for (; wanted->number; wanted++) {
        const struct dispatch *found = each->functions;
        while (found->number && found->number != wanted->number)
            found++;
        if (!found->number)
            return 0;
        memcpy(wanted->where, &found->function, sizeof found->function);
    }
    return 1;
}

/* False where the library is older than OpenSSL 3, or has no such algorithms. */
static int take_all(cipher *c, void *library)
{
    void *(*load)(void *, const char *, int), *(*context_of)(const void *), *provider;
    const struct algorithm *(*query)(const void *, int, int *);
    struct { void *where; const char *name; } symbols[] = {
        {&load, "OSSL_PROVIDER_try_load"}, {&query, "OSSL_PROVIDER_query_operation"},
        {&context_of, "OSSL_PROVIDER_get0_provider_ctx"},
    };
    struct wanted of_stream[] = {{1, &c->new_stream}, {2, &c->stream_init}, {4, &c->stream_update},
                                 {7, &c->free_stream}, {0}}; /* OSSL_FUNC_CIPHER_ */
    struct wanted of_mac[] = {{1, &c->new_mac}, {3, &c->free_mac}, {4, &c->mac_init},
                              {5, &c->mac_update}, {6, &c->mac_final}, {0}}; /* OSSL_FUNC_MAC_ */
    for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++) {
        void *found = dlsym(library, symbols[i].name);
        if (!found)
            return 0;
        memcpy(symbols[i].where, &found, sizeof found);
    }
    int no_cache = 0;
    if (!(provider = load(0, "default", 1)) ||
        !take(query(provider, OP_CIPHER, &no_cache), "ChaCha20", of_stream) ||
        !take(query(provider, OP_MAC, &no_cache), "POLY1305", of_mac))
        return 0;
    c->stream = c->new_stream(context_of(provider));
    c->mac = c->new_mac(context_of(provider));
    return c->stream && c->mac;
}

/* `linked` is a library that is loaded and linked with OpenSSL; null if that is not so. */
static cipher *openssl_cipher(const char *linked)
{
    void *library = dlopen(linked, RTLD_NOLOAD | RTLD_LAZY);
    cipher *c = library ? new_cipher() : 0;
    if (c && take_all(c, library))
        return c;
    free_cipher(c);
    return 0;
}

/* Once for each batch, before its packets. */
static void use_key(cipher *c, const uint8_t *key)
{
    if (c->stream)
        c->has_key = c->stream_init(c->stream, key, KEY, 0, 0, 0) == 1;
}

/* From one room to the other, where the one-time key of the tag then stands before it. Whether it is done. */
static int run_stream(cipher *c, uint8_t *from, uint8_t *to, size_t length, const uint8_t *nonce)
{
    uint8_t block_and_nonce[4 + NONCE_SIZE] = {0};
    size_t done, size = BLOCK + (length + BLOCK - 1) / BLOCK * BLOCK; /* a part would be a call more */
    memcpy(block_and_nonce + 4, nonce, NONCE_SIZE);
    memset(from, 0, BLOCK);
    return c->has_key &&
           c->stream_init(c->stream, 0, 0, block_and_nonce, sizeof block_and_nonce, 0) == 1 &&
           c->stream_update(c->stream, to, &done, size, from, size) == 1;
}

/* Of what lies in `c->sealed`: with zeros up to a multiple of 16, no further data, this much text. Whether it
 * is done. */
static int tag_of(cipher *c, const uint8_t *key, size_t length, uint8_t *tag)
{
    uint8_t *sealed = c->sealed + BLOCK;
    size_t padded = (length + 15) / 16 * 16, done;
    memset(sealed + length, 0, padded - length + 8);
    for (int i = 0; i < 8; i++)
        sealed[padded + 8 + i] = (uint64_t)length >> 8 * i;
    return c->mac_init(c->mac, key, KEY, 0) == 1 &&
           c->mac_update(c->mac, sealed, padded + 16) == 1 &&
           c->mac_final(c->mac, tag, &done, TAG) == 1;
}

/* What lies in `c->text`, to `to`, and the tag behind it. If OpenSSL fails, which it has no reason to, zeros. */
static void seal(cipher *c, uint8_t *to, size_t length, const uint8_t *nonce, const uint8_t *key)
{
    if (!c->stream) {
        c->sodium_seal(to, 0, c->text, length, 0, 0, 0, nonce, key);
        return;
    }
    if (run_stream(c, c->clear, c->sealed, length, nonce) && tag_of(c, c->sealed, length, to + length))
        memcpy(to, c->sealed + BLOCK, length);
    else
        memset(to, 0, length + TAG);
}

/* To `c->text`. Whether it is authentic; if not, nobody may look there. */
static int unseal(cipher *c, const uint8_t *sealed, size_t length, const uint8_t *nonce,
                  const uint8_t *key)
{
    uint8_t tag[TAG], difference = 0;
    if (!c->stream)
        return !c->sodium_open(c->text, 0, 0, sealed, length + TAG, 0, 0, nonce, key);
    memcpy(c->sealed + BLOCK, sealed, length);
    if (!run_stream(c, c->sealed, c->clear, length, nonce) || !tag_of(c, c->clear, length, tag))
        return 0;
    for (int i = 0; i < TAG; i++)
        difference |= tag[i] ^ sealed[length + i]; /* all of them, whatever comes: RFC 8439 §4 */
    return !difference;
}
