/*
 * An epoll inside the loop's epoll, so that a library's mistakes with descriptors stay its own. Both
 * are level-triggered: a library may leave bytes for later, and then wants to be told again.
 *
 *   1. The kernel is asked for all that is wanted, and perhaps still for reading that is not wanted
 *      any more: between two requests over one connection nothing has to be changed for that.
 *   2. What stirs unwanted is told to nobody, and the kernel not asked for it from then on: it stirs
 *      once. Writing is never asked for beyond what is wanted, since it would stir always.
 *   3. What we believe the kernel is asked for ends with the descriptor: when it is closed here, or at
 *      the latest when its number is a new descriptor's. A library may close some by itself, and tell
 *      later that it wants nothing of them: the kernel has forgotten those already.
 */
#include "runtime/watches.h"

#include "base/mem.h"
#include "runtime/real.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TAKE_MAX = 64, FDS_LEAST = 64 };

struct place {
    uint8_t wanted, asked; /* by the library; of the kernel */
};

struct watches {
    int epoll;
    struct watch watch;   /* of `epoll`, by the loop */
    struct place *places; /* by descriptor */
    size_t size;
    bool woken;
};

struct watches *watches_open(void)
{
    struct watches *w = MEM_NEW(struct watches);

    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(w->epoll >= 0);
    watch_init_level(&w->watch, w->epoll);
    return w;
}

void watches_close(struct watches *w)
{
    watch_done(&w->watch);
    close(w->epoll);
    mem_free(w->places);
    mem_free(w);
}

static struct place *place_of(struct watches *w, int fd)
{
    size_t size = w->size < FDS_LEAST ? FDS_LEAST : w->size;

    must(fd >= 0);
    while (size <= (size_t)fd) {
        size *= 2;
    }
    if (size > w->size) {
        w->places = mem_grow(w->places, size, sizeof *w->places);
        memset(w->places + w->size, 0, (size - w->size) * sizeof *w->places);
        w->size = size;
    }
    return &w->places[fd];
}

static void forget(struct watches *w, int fd)
{
    must(epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL) == 0 || errno == ENOENT || errno == EBADF);
}

static void ask(struct watches *w, int fd, struct place *p, unsigned want)
{
    struct epoll_event e = {.data.fd = fd};
    unsigned before = p->asked;

    p->asked = (uint8_t)want;
    if (before == want) {
        return;
    }
    if (want == 0) {
        forget(w, fd);
        return;
    }
    e.events = watch_events(want);
    if (epoll_ctl(w->epoll, before == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &e) != 0) {
        must(errno == EEXIST || errno == ENOENT);
        must(epoll_ctl(w->epoll, errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &e) == 0);
    }
}

void watches_begin(struct watches *w, int fd)
{
    struct place *p = place_of(w, fd);

    p->asked = 0;
    ask(w, fd, p, p->wanted);
}

void watches_set(struct watches *w, int fd, unsigned want)
{
    struct place *p = place_of(w, fd);

    p->wanted = (uint8_t)want;
    ask(w, fd, p, want | (p->asked & WANT_READ));
}

void watches_end(struct watches *w, int fd)
{
    struct place *p = place_of(w, fd);

    ask(w, fd, p, 0);
    p->wanted = 0;
    close(fd);
}

struct err watches_wait(struct watches *w, const char *what, struct when by)
{
    struct err e = ERR_OK;

    must(w->watch.waiting == NULL);
    w->watch.ready = 0;
    w->watch.wanted = WANT_READ;
    w->watch.waiting = fiber_self();
    while (e.code == OK && !w->woken && !(w->watch.ready & WANT_READ)) {
        e = fiber_wait(what, by);
    }
    w->watch.waiting = NULL;
    w->woken = false;
    return e;
}

void watches_wake(struct watches *w)
{
    w->woken = true;
    if (w->watch.waiting != NULL) {
        fiber_wake(w->watch.waiting);
    }
}

size_t watches_take(struct watches *w, struct watches_event *at, size_t max)
{
    struct epoll_event events[TAKE_MAX];
    size_t count = 0;
    int got;

    if (!(w->watch.ready & WANT_READ)) {
        return 0; /* it was woken, or it is late */
    }
    got = epoll_wait(w->epoll, events, max < TAKE_MAX ? (int)max : TAKE_MAX, 0);
    must(got >= 0 || errno == EINTR);
    for (int i = 0; i < got; i++) {
        int fd = events[i].data.fd;
        struct place *p = place_of(w, fd);
        unsigned ready = watch_ready(events[i].events) & p->wanted;

        if (ready != 0) {
            at[count++] = (struct watches_event){.fd = fd, .ready = ready};
        } else {
            ask(w, fd, p, p->wanted);
        }
    }
    return count;
}
