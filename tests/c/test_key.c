/* sg_key against keys that the library xxhash gave; tests/test_core_rows.py compares them at every length. Bytes are in
 * blocks of their own, so that a sanitizer sees a read beyond them. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "sg_key.h"

int main(void) {
    static const struct {
        size_t n;
        uint64_t seed, key;
    } known[] = {
        {1, 0, 0x5fbb498e55810a1a},   {1, 2, 0xd69d204d17309754},   {2, 0, 0x34d16538bbe53ca9},
        {2, 2, 0x65ac9d4a5729e6cf},   {3, 0, 0x9cc1fec95ebf51c9},   {3, 2, 0x555032d5fd4fef4a},
        {4, 0, 0xe289e0721e42670e},   {4, 2, 0x1a97c0da2a0d7ebf},   {5, 0, 0xa7aa22d83e303645},
        {5, 2, 0x3e8fe4604f427886},   {8, 0, 0x0f4df05e42c440ac},   {8, 2, 0x570ddf12b5ec8a11},
        {9, 0, 0xfc6f25f0a75407fa},   {9, 2, 0xf23f8b3891701b5a},   {12, 0, 0x8eb739a3d670a63c},
        {12, 2, 0xa06aa2b6f42749c4},  {16, 0, 0xaf2f2989b55e898e},  {16, 2, 0x042f74cd3bddbdf5},
        {17, 0, 0x87602ff5764fdc30},  {17, 2, 0x46e55ed536c54ac5},  {32, 0, 0xbfa728994e1cc63f},
        {32, 2, 0x29b2a91ae0a45004},  {33, 0, 0xb6d8b523db9b284c},  {33, 2, 0x6883f93b8a28cbd3},
        {36, 0, 0xc11556b75c154862},  {36, 2, 0xa9ca59d4f027e69c},  {64, 0, 0x23c0c756473daa5b},
        {64, 2, 0xb992c2ce85f2eb26},  {65, 0, 0xb278f84532b363b6},  {65, 2, 0x06222653d0c4b947},
        {96, 0, 0x67528c3f5594c586},  {96, 2, 0x5a68791cd8445652},  {97, 0, 0x708b93f2da8013e5},
        {97, 2, 0x6925bc35d38735e4},  {127, 0, 0x3545211bcd3c2578}, {127, 2, 0x57d7406251b124bb},
        {128, 0, 0xd9503cf840d6ec05}, {128, 2, 0xc12fdd8a8cd03a80},
    };
    for (size_t x = 0; x < sizeof known / sizeof *known; x++) {
        unsigned char *bytes = malloc(known[x].n);
        CHECK(bytes != NULL);
        for (size_t i = 0; i < known[x].n; i++) bytes[i] = (unsigned char)(i * 7 + 33);
        CHECK(sg_key(bytes, known[x].n, known[x].seed) == known[x].key);
        free(bytes);
    }
    for (size_t n = 1; n <= SG_KEY_LONGEST; n++) {
        unsigned char *bytes = calloc(n, 1);
        CHECK(bytes != NULL);
        uint64_t before = sg_key(bytes, n, 2);
        for (size_t i = 0; i < n; i++) { /* every byte counts */
            bytes[i] = 1;
            CHECK(sg_key(bytes, n, 2) != before);
            bytes[i] = 0;
        }
        CHECK(sg_key(bytes, n, 2) == before && sg_key(bytes, n, 3) != before);
        free(bytes);
    }
    return 0;
}
