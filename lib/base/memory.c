/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
#include "lib/base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "lib/base/check.h"

static _Thread_local weft_faults *plan;

bool weft_mem_strikes(void)
{
    if (LIKELY(!plan))
        return false;
    uint64_t n = ++plan->count;
    if (!plan->fail_at || n < plan->fail_at || (n > plan->fail_at && !plan->fail_after))
        return false;
    plan->struck = true;
    return true;
}

weft_faults *weft_mem_set_faults(weft_faults *faults)
{
    weft_faults *former = plan;
    plan = faults;
    return former;
}

void *weft_mem_alloc(size_t size)
{
    return weft_mem_strikes() ? NULL : malloc(size);
}

void *weft_mem_calloc(size_t count, size_t size)
{
    return weft_mem_strikes() ? NULL : calloc(count, size);
}

void *weft_mem_realloc(void *p, size_t size)
{
    return weft_mem_strikes() ? NULL : realloc(p, size);
}

void weft_mem_free(void *p)
{
    free(p);
}

void *weft_mem_map(size_t size)
{
    if (weft_mem_strikes())
        return NULL;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
#ifdef MADV_NOHUGEPAGE
    madvise(p, size, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses: just as well */
#endif
    return p;
}

void weft_mem_unmap(void *p, size_t size)
{
    CHECK(munmap(p, size) == 0);
}
