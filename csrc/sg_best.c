#include "sg_best.h"

static void swap(sg_candidate *a, sg_candidate *b) {
    sg_candidate c = *a;
    *a = *b;
    *b = c;
}

void sg_best_first(const uint64_t *keys, sg_candidate *c, size_t n, size_t k) {
    while (n > 12 && k > 0) {
        sg_candidate *mid = c + n / 2, *last = c + n - 1;
        if (sg_better(keys, *mid, *c)) swap(mid, c);
        if (sg_better(keys, *last, *c)) swap(last, c);
        if (sg_better(keys, *last, *mid)) swap(last, mid);
        sg_candidate pivot = *mid;
        size_t i = 0, j = n - 1;
        for (;;) {
            while (sg_better(keys, c[i], pivot)) i++;
            while (sg_better(keys, pivot, c[j])) j--;
            if (i >= j) break;
            swap(&c[i++], &c[j--]);
        }
        size_t left = j + 1; /* none in c[left..] is better than one in c[..left] */
        sg_best_first(keys, c, left, k);
        c += left;
        n -= left;
        k -= k < left ? k : left;
    }
    for (size_t i = 1; i < n && k > 0; i++) {
        sg_candidate moving = c[i];
        size_t at = i;
        for (; at > 0 && sg_better(keys, moving, c[at - 1]); at--) c[at] = c[at - 1];
        c[at] = moving;
    }
}
