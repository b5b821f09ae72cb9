#include "core/lib/drbg.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define BLOCK 64

static const uint32_t no_nonce[3];

static inline uint32_t rotate(uint32_t value, uint32_t by)
{
    return value << by | value >> (32 - by);
}

static inline void quarter(uint32_t s[16], uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b];
    s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d];
    s[b] = rotate(s[b] ^ s[c], 7);
}

static void twenty_rounds(uint32_t s[16])
{
    for (uint32_t i = 0; i < 10; i++) {
        for (uint32_t n = 0; n < 4; n++)
            quarter(s, n, 4 + n, 8 + n, 12 + n);
        for (uint32_t n = 0; n < 4; n++)
            quarter(s, n, 4 + (n + 1) % 4, 8 + (n + 2) % 4, 12 + (n + 3) % 4);
    }
}

void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, s[16];

    memcpy(start + 4, key, 32);
    start[12] = counter;
    memcpy(start + 13, nonce, 12);
    memcpy(s, start, sizeof(s));
    twenty_rounds(s);
    for (uint32_t i = 0; i < 16; i++)
        put_le32(out + 4 * i, s[i] + start[i]);
}

/* Gives `len` bytes, at most half a block, and has the other half be the new key. */
static void drbg_step(struct drbg *drbg, uint8_t *out, size_t len)
{
    uint8_t block[BLOCK];

    chacha20_block(drbg->key, 0, no_nonce, block);
    memcpy(drbg->key, block, DRBG_SEED);
    memcpy(out, block + DRBG_SEED, len);
    memset(block, 0, sizeof(block));
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* it is cleared although nobody looks */
}

void drbg_seed(struct drbg *drbg, const uint8_t seed[DRBG_SEED])
{
    uint8_t none;

    for (uint32_t i = 0; i < DRBG_SEED / 4; i++)
        drbg->key[i] ^= get_le32(seed + 4 * i);
    drbg_step(drbg, &none, 0);
}

void drbg_fill(struct drbg *drbg, void *buf, size_t len)
{
    for (uint8_t *out = buf; len;) {
        size_t part = MIN(len, (size_t)BLOCK - DRBG_SEED);

        drbg_step(drbg, out, part);
        out += part;
        len -= part;
    }
}
