#include "main/limits.h"

#include "base/str.h"

#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

uint64_t descriptors_raise(void)
{
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
        return 1024;
    }
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
    (void)getrlimit(RLIMIT_NOFILE, &r);
    return r.rlim_cur;
}

/* A limit written in a file, as control groups do; UINT64_MAX when there is none ("max"). */
static uint64_t limit_in(const char *path)
{
    FILE *file = fopen(path, "re");
    char line[64];
    uint64_t bytes = UINT64_MAX;

    if (file != NULL) {
        if (fgets(line, sizeof line, file) != NULL &&
            !str_to_u64(str_trim_ws(str_of(line)), &bytes)) {
            bytes = UINT64_MAX;
        }
        fclose(file);
    }
    return bytes;
}

uint64_t memory_half(void)
{
    uint64_t all = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t v2 = limit_in("/sys/fs/cgroup/memory.max");
    uint64_t v1 = limit_in("/sys/fs/cgroup/memory/memory.limit_in_bytes");

    all = v2 < all ? v2 : all;
    all = v1 < all ? v1 : all;
    return all / 2;
}

unsigned processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return count > 0 ? (unsigned)count : 1;
}
