/* Linked with --wrap, so that the core's allocations come here first. */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

long fail_after = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_mmap(void *at, size_t size, int protection, int flags, int file, long offset);

static int fails(void) {
    if (fail_after < 0) return 0;
    errno = ENOMEM;
    return fail_after-- == 0;
}

struct sg_pool;
void *__real_sg_pool_take(struct sg_pool *pool, unsigned lg);

void *__wrap_malloc(size_t size) { return fails() ? NULL : __real_malloc(size); }

void *__wrap_calloc(size_t n, size_t size) { return fails() ? NULL : __real_calloc(n, size); }

void *__wrap_realloc(void *block, size_t size) { return fails() ? NULL : __real_realloc(block, size); }

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, long offset) {
    return fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, file, offset);
}

void *__wrap_sg_pool_take(struct sg_pool *pool, unsigned lg) { return fails() ? NULL : __real_sg_pool_take(pool, lg); }
