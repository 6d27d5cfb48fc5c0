/* ChaCha20-Poly1305, borrowed by address from a library that is in this process anyway.
 *
 * OpenSSL's, which Python's ssl module brings along: twice as fast on packets where the processor has
 * AVX-512, and as fast elsewhere. Its provider is asked for the functions themselves (OpenSSL 3,
 * provider-cipher(7), core_dispatch.h), because the EVP calls around them look up parameters by name,
 * several times a packet, which is a fifth of the time a packet takes. Or libsodium's, which PyNaCl
 * brings along. So neither headers nor a second copy of either are needed. A packet's tag stands behind it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG = 16, KEY = 32, NONCE_SIZE = 12 };
enum { OP_CIPHER = 2, OCTET_STRING = 5 }; /* OSSL_OP_CIPHER, OSSL_PARAM_OCTET_STRING */
enum { NEWCTX = 1, ENCRYPT_INIT, DECRYPT_INIT, UPDATE, FINAL, FREECTX = 7, GET_CTX = 10, SET_CTX };

struct param { const char *key; unsigned type; void *data; size_t size, returned; };
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
    void *seal_context, *open_context; /* OpenSSL's, or null */
    void *(*make)(void *);
    int (*seal_init)(void *, const uint8_t *, size_t, const uint8_t *, size_t, struct param *);
    int (*open_init)(void *, const uint8_t *, size_t, const uint8_t *, size_t, struct param *);
    int (*update)(void *, uint8_t *, size_t *, size_t, const uint8_t *, size_t);
    int (*final)(void *, uint8_t *, size_t *, size_t);
    int (*get)(void *, struct param *), (*set)(void *, struct param *);
    void (*release)(void *);
} cipher;

static cipher *libsodium_cipher(uintptr_t seal, uintptr_t open)
{
    cipher *c = calloc(1, sizeof *c);
    if (c) {
        memcpy(&c->sodium_seal, &seal, sizeof seal);
        memcpy(&c->sodium_open, &open, sizeof open);
    }
    return c;
}

static void free_cipher(cipher *c)
{
    if (c && c->release) {
        c->release(c->seal_context);
        c->release(c->open_context);
    }
    free(c);
}

/* Whether all functions are there. */
static int take(cipher *c, const struct dispatch *functions)
{
    struct { int number; void *where; } wanted[] = {
        {NEWCTX, &c->make}, {ENCRYPT_INIT, &c->seal_init}, {DECRYPT_INIT, &c->open_init},
        {UPDATE, &c->update}, {FINAL, &c->final}, {FREECTX, &c->release}, {GET_CTX, &c->get},
        {SET_CTX, &c->set},
    };
    size_t count = sizeof wanted / sizeof *wanted, found = 0;
    for (; functions->number; functions++)
        for (size_t i = 0; i < count; i++)
            if (functions->number == wanted[i].number) {
                memcpy(wanted[i].where, &functions->function, sizeof functions->function);
                found++;
            }
    return found == count;
}

/* Null where the library is older than OpenSSL 3, or has no such cipher. */
static const struct dispatch *functions_in(void *library, void **context)
{
    void *(*load)(void *, const char *, int), *(*context_of)(const void *);
    const struct algorithm *(*query)(const void *, int, int *), *each;
    struct { void *where; const char *name; } wanted[] = {
        {&load, "OSSL_PROVIDER_try_load"}, {&query, "OSSL_PROVIDER_query_operation"},
        {&context_of, "OSSL_PROVIDER_get0_provider_ctx"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (!found)
            return 0;
        memcpy(wanted[i].where, &found, sizeof found);
    }
    int no_cache = 0;
    void *provider = load(0, "default", 1);
    if (!provider || !(each = query(provider, OP_CIPHER, &no_cache)))
        return 0;
    *context = context_of(provider);
    for (; each->names; each++)
        if (!strcmp(each->names, "ChaCha20-Poly1305"))
            return each->functions;
    return 0;
}

/* `linked` is a library that is loaded and linked with OpenSSL; null if that is not so. */
static cipher *openssl_cipher(const char *linked)
{
    void *library = dlopen(linked, RTLD_NOLOAD | RTLD_LAZY), *context = 0;
    const struct dispatch *functions = library ? functions_in(library, &context) : 0;
    cipher *c = functions ? calloc(1, sizeof *c) : 0;
    if (!c || !take(c, functions)) {
        free(c);
        return 0;
    }
    c->seal_context = c->make(context);
    c->open_context = c->make(context);
    if (c->seal_context && c->open_context)
        return c;
    free_cipher(c);
    return 0;
}

/* Once for each batch, before its packets. */
static void use_key(cipher *c, const uint8_t *key)
{
    if (c->seal_context) {
        c->seal_init(c->seal_context, key, KEY, 0, 0, 0);
        c->open_init(c->open_context, key, KEY, 0, 0, 0);
    }
}

static void seal(cipher *c, uint8_t *text, size_t length, const uint8_t *nonce, const uint8_t *key)
{
    size_t done = 0, rest = 0;
    if (!c->seal_context) {
        c->sodium_seal(text, 0, text, length, 0, 0, 0, nonce, key);
        return;
    }
    struct param tag[] = {{"tag", OCTET_STRING, text + length, TAG, 0}, {0}};
    c->seal_init(c->seal_context, 0, 0, nonce, NONCE_SIZE, 0);
    if (length)
        c->update(c->seal_context, text, &done, length, text, length);
    c->final(c->seal_context, text + done, &rest, length - done);
    c->get(c->seal_context, tag);
}

/* To the same place or to another one. Whether it is authentic; if not, nothing of it is there. */
static int unseal(cipher *c, uint8_t *to, const uint8_t *text, size_t length, const uint8_t *nonce,
                  const uint8_t *key)
{
    size_t done = 0, rest = 0;
    if (!c->open_context)
        return !c->sodium_open(to, 0, 0, text, length + TAG, 0, 0, nonce, key);
    struct param tag[] = {{"tag", OCTET_STRING, (void *)(text + length), TAG, 0}, {0}};
    if (c->open_init(c->open_context, 0, 0, nonce, NONCE_SIZE, 0) == 1 &&
        c->set(c->open_context, tag) == 1 &&
        (!length || c->update(c->open_context, to, &done, length, text, length) == 1) &&
        c->final(c->open_context, to + done, &rest, length - done) == 1)
        return 1;
    memset(to, 0, length);
    return 0;
}
