/*
 * A generator of random bytes from a seed: ChaCha20 (RFC 8439) whose key is replaced with its own first output for each
 * request, so that what was given out can't be found again from the state. Pure.
 */
#pragma once

#include "core/lib/types.h"

#define DRBG_SEED 32

struct drbg {
    uint32_t key[DRBG_SEED / 4];
};

/* One block of the cipher: RFC 8439, 2.3. */
void chacha20_block(const uint32_t key[8], uint32_t counter, const uint32_t nonce[3], uint8_t out[64]);
/* Adds a seed to what is there already; all zeros to begin with. */
void drbg_seed(struct drbg *drbg, const uint8_t seed[DRBG_SEED]);
void drbg_fill(struct drbg *drbg, void *buf, size_t len);
