#include "sg_key.h"

#include <string.h>

/* The first 128 bytes of XXH3's secret, as words. */
static const uint64_t SECRET[16] = {
    0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072,
    0x78e5c0cc4ee679cb, 0x2172ffcc7dd05a82, 0x8e2443f7744608b8, 0x4c263a81e69035e0,
    0xcb00c391bb52283c, 0xa32e531b8b65d088, 0x4ef90da297486471, 0xd8acdea946ef1938,
    0x3f349ce33f76faa8, 0x1d4f0bc7c7bbdcf9, 0x3159b4cd4be0518a, 0x647378d9c97e9fc8,
};
static const uint64_t PRIME1 = 0x9e3779b185ebca87, PRIME2 = 0xc2b2ae3d27d4eb4f, PRIME3 = 0x165667b19e3779f9;

static uint64_t word(const unsigned char *at) {
    uint64_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static uint32_t half(const unsigned char *at) {
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

static uint64_t rotated(uint64_t x, int by) { return x << by | x >> (64 - by); }

static uint64_t folded(uint64_t a, uint64_t b) { /* both halves of the product */
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t avalanche(uint64_t h) {
    h = (h ^ h >> 37) * 0x165667919e3779f9;
    return h ^ h >> 32;
}

static uint64_t of_1_to_3(const unsigned char *b, size_t n, uint64_t seed) {
    uint32_t all = (uint32_t)b[0] << 16 | (uint32_t)b[n >> 1] << 24 | b[n - 1] | (uint32_t)n << 8;
    uint64_t h = all ^ (((uint32_t)SECRET[0] ^ (uint32_t)(SECRET[0] >> 32)) + seed);
    h = (h ^ h >> 33) * PRIME2;
    h = (h ^ h >> 29) * PRIME3;
    return h ^ h >> 32;
}

static uint64_t of_4_to_8(const unsigned char *b, size_t n, uint64_t seed) {
    seed ^= (uint64_t)__builtin_bswap32((uint32_t)seed) << 32;
    uint64_t h = (half(b + n - 4) + ((uint64_t)half(b) << 32)) ^ ((SECRET[1] ^ SECRET[2]) - seed);
    h = (h ^ rotated(h, 49) ^ rotated(h, 24)) * 0x9fb21c651e98df25;
    h = (h ^ ((h >> 35) + n)) * 0x9fb21c651e98df25;
    return h ^ h >> 28;
}

static uint64_t of_9_to_16(const unsigned char *b, size_t n, uint64_t seed) {
    uint64_t low = word(b) ^ ((SECRET[3] ^ SECRET[4]) + seed);
    uint64_t high = word(b + n - 8) ^ ((SECRET[5] ^ SECRET[6]) - seed);
    return avalanche(n + __builtin_bswap64(low) + high + folded(low, high));
}

static uint64_t mixed(const unsigned char *b, const uint64_t *secret, uint64_t seed) { /* 16 bytes */
    return folded(word(b) ^ (secret[0] + seed), word(b + 8) ^ (secret[1] - seed));
}

static uint64_t of_17_to_128(const unsigned char *b, size_t n, uint64_t seed) {
    uint64_t h = n * PRIME1;
    for (size_t i = (n - 1) / 32 + 1; i-- > 0;) { /* pairs of 16 bytes, from both ends inwards */
        h += mixed(b + 16 * i, SECRET + 4 * i, seed);
        h += mixed(b + n - 16 * (i + 1), SECRET + 4 * i + 2, seed);
    }
    return avalanche(h);
}

uint64_t sg_key(const unsigned char *bytes, size_t n, uint64_t seed) {
    uint64_t h;
    if (n <= 3) h = of_1_to_3(bytes, n, seed);
    else if (n <= 8) h = of_4_to_8(bytes, n, seed);
    else if (n <= 16) h = of_9_to_16(bytes, n, seed);
    else h = of_17_to_128(bytes, n, seed);
    return h ? h : 1;
}
