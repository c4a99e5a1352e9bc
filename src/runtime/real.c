#include "runtime/real.h"

#include "base/mem.h"
#include "runtime/offload.h"
#include "runtime/stream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

struct real_loop {
    int epoll, event;
    atomic_bool asleep; /* or about to be: a poster must ring */
    pthread_t thread;
};

/* Turns in a row that may go without a look at the sockets, while posts or fibers wait. */
enum { EVENTS_MAX = 256, TURNS_MAX = 8 };

static void read_clocks(struct loop *l)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    l->now = (struct when){(int64_t)t.tv_sec * NS_PER_S + t.tv_nsec};
    clock_gettime(CLOCK_REALTIME, &t);
    l->date = (struct date){(int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS};
}

/* ---- watches ---- */

static struct real_loop *own(void)
{
    struct loop *l = loop_self();

    must(l != NULL);
    must_not(l->world->ops->simulated);
    return l->backend;
}

static void epoll_change(int op, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};

    must(epoll_ctl(own()->epoll, op, w->fd, &e) == 0);
}

void watch_init(struct watch *w, int fd, unsigned ready)
{
    *w = (struct watch){.fd = fd, .ready = ready};
    epoll_change(EPOLL_CTL_ADD, w, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

void watch_done(struct watch *w)
{
    must(w->waiting == NULL);
    epoll_change(EPOLL_CTL_DEL, w, 0);
}

struct watch *watch_open(int fd)
{
    struct watch *w = MEM_NEW(struct watch);

    w->fd = fd;
    w->one_shot = true;
    epoll_change(EPOLL_CTL_ADD, w, EPOLLONESHOT);
    return w;
}

void watch_close(struct watch *w)
{
    watch_done(w);
    mem_free(w);
}

struct err watch_wait(struct watch *w, unsigned want, const char *what, struct when by)
{
    struct err e = ERR_OK;

    if (w->one_shot) {
        w->ready = 0;
        epoll_change(EPOLL_CTL_MOD, w,
                     EPOLLONESHOT | (want & WANT_READ ? (uint32_t)EPOLLIN : 0) |
                         (want & WANT_WRITE ? (uint32_t)EPOLLOUT : 0));
    }
    must(w->waiting == NULL);
    w->waiting = fiber_self();
    w->wanted = want;
    while (e.code == OK && !(w->ready & want)) {
        e = fiber_wait(what, by);
    }
    w->waiting = NULL;
    return e;
}

static void watch_event(struct watch *w, uint32_t events)
{
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
        w->ready |= WANT_READ;
    }
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
        w->ready |= WANT_WRITE;
    }
    w->ended = w->ended || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (w->waiting != NULL && w->ready & w->wanted) {
        fiber_wake_with(w->waiting, OK);
    }
}

/* ---- running ---- */

static void sleep_until(struct loop *l, struct when next)
{
    struct real_loop *r = l->backend;
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {0}, *timeout = &wait;
    int count;

    atomic_store(&r->asleep, true);
    if (!loop_has_work(l)) {
        if (when_is_never(next)) {
            timeout = NULL;
        } else if (next.ns > l->now.ns) {
            wait.tv_sec = (next.ns - l->now.ns) / NS_PER_S;
            wait.tv_nsec = (next.ns - l->now.ns) % NS_PER_S;
        }
    }
    count = epoll_pwait2(r->epoll, events, EVENTS_MAX, timeout, NULL);
    atomic_store(&r->asleep, false);
    must(count >= 0 || errno == EINTR);
    read_clocks(l);
    for (int i = 0; i < count; i++) {
        /* The bell is edge-triggered and never read: each ring is a new edge. */
        if (events[i].data.ptr != NULL) {
            watch_event(events[i].data.ptr, events[i].events);
        }
    }
}

static void *loop_thread(void *arg)
{
    struct loop *l = arg;

    loop_enter(l);
    read_clocks(l);
    loop_start_main(l);
    for (unsigned turns = 0; !loop_is_over(l);) {
        loop_turn(l);
        if (loop_is_over(l)) {
            break;
        }
        if (++turns < TURNS_MAX && loop_has_work(l)) {
            read_clocks(l);
        } else {
            sleep_until(l, loop_next_timer(l));
            turns = 0;
        }
    }
    loop_leave();
    return NULL;
}

static void real_run(struct world *w)
{
    char name[16];

    for (unsigned i = 1; i < w->loop_count; i++) {
        struct real_loop *r = w->loops[i]->backend;

        must(pthread_create(&r->thread, NULL, loop_thread, w->loops[i]) == 0);
        strncpy(name, w->loops[i]->name, sizeof name - 1);
        name[sizeof name - 1] = 0;
        pthread_setname_np(r->thread, name);
    }
    if (w->loop_count > 0) {
        loop_thread(w->loops[0]);
    }
    for (unsigned i = 1; i < w->loop_count; i++) {
        struct real_loop *r = w->loops[i]->backend;

        must(pthread_join(r->thread, NULL) == 0);
    }
}

static void real_wake(struct loop *l)
{
    struct real_loop *r = l->backend;

    if (atomic_exchange(&r->asleep, false)) {
        must(eventfd_write(r->event, 1) == 0);
    }
}

static void real_loop_new(struct loop *l)
{
    struct real_loop *r = MEM_NEW(struct real_loop);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(r->epoll >= 0);
    must(r->event >= 0);
    must(epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->event, &e) == 0);
    l->backend = r;
    read_clocks(l);
}

static void real_loop_free(struct loop *l)
{
    struct real_loop *r = l->backend;

    close(r->epoll);
    close(r->event);
    mem_free(r);
}

static void real_random(struct loop *l, uint64_t *at, uint32_t count)
{
    (void)l;
    random_system(at, count);
}

static void real_free(struct world *w)
{
    world_done(w);
    mem_free(w);
}

const struct world_ops real_ops = {
    .simulated = false,
    .loop_new = real_loop_new,
    .loop_free = real_loop_free,
    .run = real_run,
    .wake = real_wake,
    .random = real_random,
    .offload = real_offload,
    .connect = tcp_connect,
    .listen = tcp_listen,
    .disk_open = real_disk_open,
    .free = real_free,
};

struct world *world_new(void)
{
    struct world *w = MEM_NEW(struct world);

    world_init(w, &real_ops);
    return w;
}

void run_alone(const char *name, void (*fn)(void *), void *arg)
{
    struct world *w = world_new();

    loop_main(world_loop(w, name), fn, arg);
    world_run(w);
    world_free(w);
}

/* ---- signals ---- */

static void signals_set(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
}

void signals_block(void)
{
    sigset_t set;

    signals_set(&set);
    must(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
    signal(SIGPIPE, SIG_IGN);
}

struct err signals_wait(int *ret, struct when by)
{
    sigset_t set;
    struct signalfd_siginfo info;
    struct watch *w;
    struct err e;
    int fd;

    signals_set(&set);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_sys(ERR_SYSTEM, errno);
    }
    w = watch_open(fd);
    do {
        e = watch_wait(w, WANT_READ, "a signal", by);
    } while (e.code == OK && read(fd, &info, sizeof info) != sizeof info);
    watch_close(w);
    close(fd);
    if (e.code == OK) {
        *ret = (int)info.ssi_signo;
    }
    return e;
}
