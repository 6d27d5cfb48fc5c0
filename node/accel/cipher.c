/* ChaCha20-Poly1305, borrowed by address from a library that is in this process anyway.
 *
 * OpenSSL's, which Python's ssl module brings along: twice as fast on packets where the processor has
 * AVX-512, and as fast elsewhere. Or libsodium's, which PyNaCl brings along. So neither headers nor a
 * second copy of either are needed. A packet is sealed and opened in place, its tag behind it.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { TAG = 16, GET_TAG = 0x10, SET_TAG = 0x11 }; /* EVP_CTRL_AEAD_GET_TAG, EVP_CTRL_AEAD_SET_TAG */

typedef struct cipher {
    int (*sodium_seal)(unsigned char *, unsigned long long *, const unsigned char *,
                       unsigned long long, const unsigned char *, unsigned long long,
                       const unsigned char *, const unsigned char *, const unsigned char *);
    int (*sodium_open)(unsigned char *, unsigned long long *, unsigned char *,
                       const unsigned char *, unsigned long long, const unsigned char *,
                       unsigned long long, const unsigned char *, const unsigned char *);
    void *seal_context, *open_context; /* OpenSSL's, or null */
    int (*seal_init)(void *, const void *, void *, const uint8_t *, const uint8_t *);
    int (*open_init)(void *, const void *, void *, const uint8_t *, const uint8_t *);
    int (*seal_update)(void *, uint8_t *, int *, const uint8_t *, int);
    int (*open_update)(void *, uint8_t *, int *, const uint8_t *, int);
    int (*seal_final)(void *, uint8_t *, int *);
    int (*open_final)(void *, uint8_t *, int *);
    int (*control)(void *, int, int, void *);
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

/* `linked` is a library that is loaded and linked with OpenSSL; null if that is not so. */
static cipher *openssl_cipher(const char *linked)
{
    void *library = dlopen(linked, RTLD_NOLOAD | RTLD_LAZY), *(*make)(void);
    const void *(*algorithm)(void);
    cipher *c = library ? calloc(1, sizeof *c) : 0;
    if (!c)
        return 0;
    struct { void *where; const char *name; } wanted[] = {
        {&make, "EVP_CIPHER_CTX_new"}, {&algorithm, "EVP_chacha20_poly1305"},
        {&c->seal_init, "EVP_EncryptInit_ex"}, {&c->open_init, "EVP_DecryptInit_ex"},
        {&c->seal_update, "EVP_EncryptUpdate"}, {&c->open_update, "EVP_DecryptUpdate"},
        {&c->seal_final, "EVP_EncryptFinal_ex"}, {&c->open_final, "EVP_DecryptFinal_ex"},
        {&c->control, "EVP_CIPHER_CTX_ctrl"}, {&c->release, "EVP_CIPHER_CTX_free"},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        void *found = dlsym(library, wanted[i].name);
        if (!found) {
            free(c);
            return 0;
        }
        memcpy(wanted[i].where, &found, sizeof found);
    }
    c->seal_context = make();
    c->open_context = make();
    if (c->seal_context && c->open_context &&
        c->seal_init(c->seal_context, algorithm(), 0, 0, 0) == 1 &&
        c->open_init(c->open_context, algorithm(), 0, 0, 0) == 1)
        return c;
    free_cipher(c);
    return 0;
}

/* Once for each batch, before its packets. */
static void use_key(cipher *c, const uint8_t *key)
{
    if (c->seal_context) {
        c->seal_init(c->seal_context, 0, 0, key, 0);
        c->open_init(c->open_context, 0, 0, key, 0);
    }
}

static void seal(cipher *c, uint8_t *text, size_t length, const uint8_t *nonce, const uint8_t *key)
{
    int done = 0, rest = 0;
    if (!c->seal_context) {
        c->sodium_seal(text, 0, text, length, 0, 0, 0, nonce, key);
        return;
    }
    c->seal_init(c->seal_context, 0, 0, 0, nonce);
    if (length)
        c->seal_update(c->seal_context, text, &done, text, (int)length);
    c->seal_final(c->seal_context, text + done, &rest);
    c->control(c->seal_context, GET_TAG, TAG, text + length);
}

/* Whether it is authentic; if not, nothing of it is left. */
static int unseal(cipher *c, uint8_t *text, size_t length, const uint8_t *nonce,
                  const uint8_t *key)
{
    int done = 0, rest = 0;
    if (!c->open_context)
        return !c->sodium_open(text, 0, 0, text, length + TAG, 0, 0, nonce, key);
    if (c->open_init(c->open_context, 0, 0, 0, nonce) == 1 &&
        c->control(c->open_context, SET_TAG, TAG, text + length) == 1 &&
        (!length || c->open_update(c->open_context, text, &done, text, (int)length) == 1) &&
        c->open_final(c->open_context, text + done, &rest) == 1)
        return 1;
    memset(text, 0, length);
    return 0;
}
