/*
 * shim: sees, records and disturbs what the real binary does to the disk below one folder, and
 * records what it sends to its sockets. Preloaded by tests/crash/run.
 *
 * Each record says what happens, when, and in which order: a call that changes the disk gives a
 * record before it (the change may or may not be there from now on) and one after it (it is done,
 * or failed). The harness rebuilds from this what a power cut could have left.
 *
 * Source    The environment: SHIM_STORE (the folder), SHIM_LOG (where records go), SHIM_CONTROL (a
 *           file with a struct control, which the harness may change while we run).
 * Owns      The descriptor of its log.
 * Limits    Descriptors up to FDS; others are not seen.
 * Errors    It stops the process when it cannot record: a run that is half seen proves nothing.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { FDS = 65536, SAID_MAX = 16384 };

enum operation {
    OP_OPEN = 1,
    OP_WRITE,
    OP_FLUSH,
    OP_FLUSH_FOLDER,
    OP_ALLOCATE,
    OP_TRUNCATE,
    OP_RENAME,
    OP_UNLINK,
    OP_SEND,
    OP_CLOSE
};

enum phase { BEFORE = 0, AFTER = 1 };

/* Read by tests/crash/shimlog.py: keep both alike. */
struct record {
    uint32_t mark;
    uint8_t operation, phase;
    uint16_t name_bytes; /* a name follows, then a second one up to its end, then data */
    uint16_t other_bytes;
    uint16_t flags;
    int32_t fd;
    int32_t result; /* AFTER: 0 or errno */
    uint32_t data_bytes;
    uint64_t call; /* BEFORE and AFTER of one call have the same number */
    uint64_t offset;
    int64_t time_ns;
};

enum { MARK = 0x4d494853, FLAG_CREATED = 1 };

/* What the harness wants to happen. Written by tests/crash/shimlog.py. */
struct control {
    uint32_t delay_operations; /* bit OP_: is delayed by delay_ms */
    uint32_t delay_ms;
    uint32_t fail_operations; /* bit OP_: fails with fail_errno, fail_count times */
    uint32_t fail_errno;
    uint32_t fail_count;
    uint32_t kill_operation; /* OP_: the process is killed there, when kill_count gets to 0 */
    uint32_t kill_phase;
    uint32_t kill_count;
    uint64_t free_bytes; /* what the disk says it has free; 0: the truth */
    char prefix[32];     /* failures and kills hold for names that begin so */
};

static struct control none;
static struct control *control = &none;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char store[4096];
static int log_fd = -1;
static uint64_t next_call;
static char *names[FDS]; /* below the folder: its name; "." is the folder */

static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);

static void *find(const char *name)
{
    void *at = dlsym(RTLD_NEXT, name);

    if (at == NULL) {
        abort();
    }
    return at;
}

static void begin(void)
{
    const char *path = getenv("SHIM_STORE"), *log = getenv("SHIM_LOG"),
               *wish = getenv("SHIM_CONTROL");

    real_openat = (int (*)(int, const char *, int, ...))find("openat");
    real_close = (int (*)(int))find("close");
    if (path == NULL || log == NULL || strlen(path) >= sizeof store) {
        abort();
    }
    memcpy(store, path, strlen(path));
    log_fd = real_openat(AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) {
        abort();
    }
    if (wish != NULL) {
        int fd = real_openat(AT_FDCWD, wish, O_RDWR | O_CLOEXEC);
        void *at = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

        if (fd < 0 || at == MAP_FAILED) {
            abort();
        }
        control = at;
        real_close(fd);
    }
}

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The caller's errno is not ours to change. */
static void say(struct record *r, const char *name, const char *other, const struct iovec *data,
                int count)
{
    struct iovec iov[67] = {{r, sizeof *r}};
    size_t all = sizeof *r;
    int n = 1, kept = errno;

    r->mark = MARK;
    r->name_bytes = (uint16_t)strlen(name);
    r->other_bytes = (uint16_t)strlen(other);
    r->time_ns = now_ns();
    iov[n++] = (struct iovec){(void *)(uintptr_t)name, r->name_bytes};
    iov[n++] = (struct iovec){(void *)(uintptr_t)other, r->other_bytes};
    for (int i = 0; i < count; i++) {
        iov[n++] = data[i];
        r->data_bytes += (uint32_t)data[i].iov_len;
    }
    all += r->name_bytes + r->other_bytes + r->data_bytes;
    if (syscall(SYS_writev, log_fd, iov, n) != (ssize_t)all) {
        abort();
    }
    errno = kept;
}

static bool is_meant(const char *name)
{
    return strncmp(name, control->prefix, strnlen(control->prefix, sizeof control->prefix)) == 0;
}

static void maybe_kill(enum operation o, enum phase p, const char *name)
{
    if (control->kill_count > 0 && control->kill_operation == o && control->kill_phase == p &&
        is_meant(name) && --control->kill_count == 0) {
        kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    }
}

/* One call that is seen: everything it has in common with the others. */
struct seen {
    struct record r;
    const char *name, *other;
};

static struct seen before(enum operation o, int fd, const char *name, const char *other,
                          uint64_t offset, const struct iovec *data, int count)
{
    struct seen s = {.r = {.operation = (uint8_t)o, .phase = BEFORE, .fd = fd, .offset = offset},
                     .name = name,
                     .other = other};

    pthread_mutex_lock(&lock);
    maybe_kill(o, BEFORE, name);
    s.r.call = ++next_call;
    say(&s.r, name, other, data, count);
    pthread_mutex_unlock(&lock);
    if (control->delay_operations & (1U << o)) {
        struct timespec t = {control->delay_ms / 1000, control->delay_ms % 1000 * 1000000L};

        nanosleep(&t, NULL);
    }
    return s;
}

/* Whether the call is to fail instead of being made; errno says how. */
static bool fails(struct seen *s)
{
    bool yes = false;

    pthread_mutex_lock(&lock);
    if ((control->fail_operations & (1U << s->r.operation)) && control->fail_count > 0 &&
        is_meant(s->name)) {
        control->fail_count -= control->fail_count != UINT32_MAX;
        yes = true;
    }
    pthread_mutex_unlock(&lock);
    if (yes) {
        errno = (int)control->fail_errno;
    }
    return yes;
}

static void after(struct seen *s, bool ok)
{
    int kept = errno;

    pthread_mutex_lock(&lock);
    s->r.phase = AFTER;
    s->r.result = ok ? 0 : kept;
    s->r.data_bytes = 0;
    say(&s->r, s->name, s->other, NULL, 0);
    maybe_kill(s->r.operation, AFTER, s->name);
    pthread_mutex_unlock(&lock);
    errno = kept;
}

static const char *name_of(int fd)
{
    pthread_once(&once, begin);
    return fd >= 0 && fd < FDS ? names[fd] : NULL;
}

static bool is_folder(int fd)
{
    const char *name = name_of(fd);

    return name != NULL && strcmp(name, ".") == 0;
}

static bool is_file(int fd)
{
    return name_of(fd) != NULL && !is_folder(fd);
}

/* ---- names ---- */

static void keep_name(int fd, const char *name)
{
    if (fd >= 0 && fd < FDS) {
        names[fd] = strdup(name);
    }
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    struct seen s;
    bool creates;
    int fd;

    pthread_once(&once, begin);
    if (!is_folder(dir) || strcmp(path, ".") == 0) {
        fd = real_openat(dir, path, flags, mode);
        if (strcmp(path, store) == 0) {
            keep_name(fd, ".");
        }
        return fd;
    }
    creates = (flags & O_CREAT) && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    s = before(OP_OPEN, dir, path, "", 0, NULL, 0);
    fd = fails(&s) ? -1 : real_openat(dir, path, flags, mode);
    s.r.fd = fd;
    s.r.flags = creates && fd >= 0 ? FLAG_CREATED : 0;
    keep_name(fd, path);
    after(&s, fd >= 0);
    return fd;
}

static mode_t mode_in(int flags, va_list more)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
}

/* glibc has a second name of each for large files, and they differ in nothing on 64 bits. */
#define OPEN_BODY(dir)                                                                             \
    va_list more;                                                                                  \
    mode_t mode;                                                                                   \
                                                                                                   \
    va_start(more, flags);                                                                         \
    mode = mode_in(flags, more);                                                                   \
    va_end(more);                                                                                  \
    return open_at(dir, path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int open64(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int openat(int dir, const char *path, int flags, ...)
{
    OPEN_BODY(dir);
}

int openat64(int dir, const char *path, int flags, ...)
{
    OPEN_BODY(dir);
}

/* Fortified callers come in by these doors. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_at(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
    return open_at(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
    return open_at(dir, path, flags, 0);
}

int close(int fd)
{
    if (name_of(fd) != NULL) {
        struct seen s = before(OP_CLOSE, fd, names[fd], "", 0, NULL, 0);

        free(names[fd]);
        names[fd] = NULL;
        (void)s;
    }
    return real_close(fd);
}

int renameat(int dir, const char *from, int to_dir, const char *to)
{
    struct seen s;
    int status;

    if (!is_folder(dir)) {
        return (int)syscall(SYS_renameat, dir, from, to_dir, to);
    }
    s = before(OP_RENAME, dir, from, to, 0, NULL, 0);
    status = fails(&s) ? -1 : (int)syscall(SYS_renameat, dir, from, to_dir, to);
    after(&s, status == 0);
    for (int fd = 0; status == 0 && fd < FDS; fd++) {
        if (names[fd] != NULL && strcmp(names[fd], from) == 0) {
            free(names[fd]);
            names[fd] = strdup(to);
        }
    }
    return status;
}

int unlinkat(int dir, const char *name, int flags)
{
    struct seen s;
    int status;

    if (!is_folder(dir)) {
        return (int)syscall(SYS_unlinkat, dir, name, flags);
    }
    s = before(OP_UNLINK, dir, name, "", 0, NULL, 0);
    status = fails(&s) ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
    after(&s, status == 0);
    return status;
}

/* ---- bytes ---- */

static ssize_t written(int fd, const struct iovec *iov, int count, off_t offset)
{
    struct seen s;
    ssize_t n;

    if (!is_file(fd)) {
        return syscall(SYS_pwritev, fd, iov, count, (long)offset, 0L);
    }
    if (count > 64) {
        count = 64; /* a short write is allowed, and keeps the record in one piece */
    }
    s = before(OP_WRITE, fd, names[fd], "", (uint64_t)offset, iov, count);
    n = fails(&s) ? -1 : syscall(SYS_pwritev, fd, iov, count, (long)offset, 0L);
    s.r.offset = n > 0 ? (uint64_t)n : 0;
    after(&s, n >= 0);
    return n;
}

ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return written(fd, iov, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off64_t offset)
{
    return written(fd, iov, count, offset);
}

ssize_t pwrite(int fd, const void *at, size_t size, off_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)at, size};

    return written(fd, &iov, 1, offset);
}

ssize_t pwrite64(int fd, const void *at, size_t size, off64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)at, size};

    return written(fd, &iov, 1, offset);
}

static int flushed(int fd, long call)
{
    struct seen s;
    int status;

    if (name_of(fd) == NULL) {
        return (int)syscall(call, fd);
    }
    s = before(is_folder(fd) ? OP_FLUSH_FOLDER : OP_FLUSH, fd, names[fd], "", 0, NULL, 0);
    status = fails(&s) ? -1 : (int)syscall(call, fd);
    after(&s, status == 0);
    return status;
}

int fdatasync(int fd)
{
    return flushed(fd, SYS_fdatasync);
}

int fsync(int fd)
{
    return flushed(fd, SYS_fsync);
}

static int sized(enum operation o, int fd, off_t from, off_t size, int mode)
{
    bool seen = is_file(fd);
    struct seen s;
    int status = -1;

    if (seen) {
        s = before(o, fd, names[fd], "", (uint64_t)(from + size), NULL, 0);
    }
    if (!seen || !fails(&s)) {
        status = (int)(o == OP_ALLOCATE ? syscall(SYS_fallocate, fd, mode, from, size)
                                        : syscall(SYS_ftruncate, fd, size));
    }
    if (seen) {
        after(&s, status == 0);
    }
    return status;
}

int fallocate(int fd, int mode, off_t from, off_t size)
{
    return sized(OP_ALLOCATE, fd, from, size, mode);
}

int fallocate64(int fd, int mode, off64_t from, off64_t size)
{
    return sized(OP_ALLOCATE, fd, from, size, mode);
}

int ftruncate(int fd, off_t size)
{
    return sized(OP_TRUNCATE, fd, 0, size, 0);
}

int ftruncate64(int fd, off64_t size)
{
    return sized(OP_TRUNCATE, fd, 0, size, 0);
}

int fstatvfs(int fd, struct statvfs *ret)
{
    static int (*real)(int, struct statvfs *);

    if (real == NULL) {
        real = (int (*)(int, struct statvfs *))find("fstatvfs");
    }
    if (real(fd, ret) != 0) {
        return -1;
    }
    if (name_of(fd) != NULL && control->free_bytes != 0) {
        ret->f_bavail = control->free_bytes / ret->f_frsize;
    }
    return 0;
}

/* ---- the wire: what is sent is recorded before it leaves ---- */

/* Whether it may answer an end of data; what is delivered is not looked at for long. */
static bool has_answer(const struct iovec *v)
{
    static const char words[] = "queued as ";

    return v->iov_len <= SAID_MAX &&
           memmem(v->iov_base, v->iov_len, words, sizeof words - 1) != NULL;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    pthread_once(&once, begin);
    for (size_t i = 0; i < m->msg_iovlen; i++) {
        if (has_answer(&m->msg_iov[i])) {
            (void)before(OP_SEND, fd, "", "", 0, &m->msg_iov[i], 1);
        }
    }
    return syscall(SYS_sendmsg, fd, m, flags);
}
