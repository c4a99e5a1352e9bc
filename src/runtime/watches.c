/*
 * An epoll inside the loop's epoll. The inner one is level-triggered: a library may leave bytes for
 * later, and then wants to be told again.
 */
#include "runtime/watches.h"

#include "base/mem.h"
#include "runtime/real.h"
#include "runtime/stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { TAKE_MAX = 64 };

struct watches {
    int epoll;
    struct watch *watch; /* of `epoll`, by the loop */
    bool woken;
};

struct watches *watches_open(void)
{
    struct watches *w = MEM_NEW(struct watches);

    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    must(w->epoll >= 0);
    w->watch = watch_open(w->epoll);
    return w;
}

void watches_close(struct watches *w)
{
    watch_close(w->watch);
    close(w->epoll);
    mem_free(w);
}

/* A library may close first and tell later: then the kernel has forgotten it already. */
void watches_set(struct watches *w, int fd, unsigned want)
{
    struct epoll_event e = {.data.fd = fd};

    if (want == 0) {
        must(epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL) == 0 || errno == ENOENT ||
             errno == EBADF);
        return;
    }
    e.events = (want & WANT_READ ? (uint32_t)EPOLLIN : 0) |
               (want & WANT_WRITE ? (uint32_t)EPOLLOUT : 0);
    if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, fd, &e) != 0) {
        must(errno == ENOENT);
        must(epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e) == 0);
    }
}

struct err watches_wait(struct watches *w, const char *what, struct when by)
{
    struct err e = ERR_OK;

    must(w->watch->waiting == NULL);
    watch_arm(w->watch, WANT_READ);
    w->watch->waiting = fiber_self();
    while (e.code == OK && !w->woken && !(w->watch->ready & WANT_READ)) {
        e = fiber_wait(what, by);
    }
    w->watch->waiting = NULL;
    w->woken = false;
    return e;
}

void watches_wake(struct watches *w)
{
    w->woken = true;
    if (w->watch->waiting != NULL) {
        fiber_wake(w->watch->waiting);
    }
}

size_t watches_take(struct watches *w, struct watches_event *at, size_t max)
{
    struct epoll_event events[TAKE_MAX];
    int count = epoll_wait(w->epoll, events, max < TAKE_MAX ? (int)max : TAKE_MAX, 0);

    must(count >= 0 || errno == EINTR);
    for (int i = 0; i < count; i++) {
        uint32_t got = events[i].events;
        bool broke = got & (EPOLLHUP | EPOLLERR);

        at[i] = (struct watches_event){.fd = events[i].data.fd,
                                       .ready = (got & EPOLLIN || broke ? WANT_READ : 0u) |
                                                (got & EPOLLOUT || broke ? WANT_WRITE : 0u)};
    }
    return count < 0 ? 0 : (size_t)count;
}
