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

/* A thread and the loops that live on it: one, or several that share it (loop_share). They share
 * the sockets' watch and the bell too, and turn one after the other. */
struct real_thread {
    int epoll, event;
    atomic_bool asleep; /* or about to be: a poster must ring */
    int64_t longest_ns;
    pthread_t thread;
    unsigned count;
    struct loop *loops[LOOPS_MAX];
};

/* Turns in a row that may go without a look at the sockets, while posts or fibers wait. */
enum { EVENTS_MAX = 256, TURNS_MAX = 8 };

static void read_clocks(struct real_thread *r)
{
    struct timespec mono, real;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    clock_gettime(CLOCK_REALTIME, &real);
    for (unsigned i = 0; i < r->count; i++) {
        r->loops[i]->now = (struct when){(int64_t)mono.tv_sec * NS_PER_S + mono.tv_nsec};
        r->loops[i]->date = (struct date){(int64_t)real.tv_sec * 1000 + real.tv_nsec / NS_PER_MS};
    }
}

/* ---- watches ---- */

static struct real_thread *own(void)
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

void watch_init_level(struct watch *w, int fd)
{
    *w = (struct watch){.fd = fd};
    epoll_change(EPOLL_CTL_ADD, w, EPOLLIN);
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

uint32_t watch_events(unsigned want)
{
    return (want & WANT_READ ? (uint32_t)EPOLLIN : 0) |
           (want & WANT_WRITE ? (uint32_t)EPOLLOUT : 0);
}

unsigned watch_ready(uint32_t events)
{
    return (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR) ? WANT_READ : 0u) |
           (events & (EPOLLOUT | EPOLLHUP | EPOLLERR) ? WANT_WRITE : 0u);
}

void watch_arm(struct watch *w, unsigned want)
{
    w->ready = 0;
    w->wanted = want;
    epoll_change(EPOLL_CTL_MOD, w, EPOLLONESHOT | watch_events(want));
}

struct err watch_wait(struct watch *w, unsigned want, const char *what, struct when by)
{
    struct err e = ERR_OK;

    if (w->one_shot) {
        watch_arm(w, want);
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
    w->ready |= watch_ready(events);
    w->ended = w->ended || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    if (w->waiting != NULL && w->ready & w->wanted) {
        fiber_wake_with(w->waiting, OK);
    }
}

/* ---- running ---- */

static bool is_over(const struct real_thread *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (!loop_is_over(r->loops[i])) {
            return false;
        }
    }
    return true;
}

static bool has_work(const struct real_thread *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (!loop_is_over(r->loops[i]) && loop_has_work(r->loops[i])) {
            return true;
        }
    }
    return false;
}

static struct when next_timer(const struct real_thread *r)
{
    struct when next = WHEN_NEVER;

    for (unsigned i = 0; i < r->count; i++) {
        next = when_earlier(next, loop_next_timer(r->loops[i]));
    }
    return next;
}

static void turn(struct real_thread *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        if (!loop_is_over(r->loops[i])) {
            loop_enter(r->loops[i]);
            loop_turn(r->loops[i]);
        }
    }
    loop_leave();
}

static int64_t monotonic_ns(void)
{
    struct timespec mono;

    clock_gettime(CLOCK_MONOTONIC, &mono);
    return (int64_t)mono.tv_sec * NS_PER_S + mono.tv_nsec;
}

/* Of one turn of all loops here, which is how long a post or a socket may have waited for it. */
static void note_turn(struct real_thread *r, int64_t took_ns)
{
    bool is_long = took_ns > LOOP_TURN_LONG_MS * NS_PER_MS;

    if (took_ns <= r->longest_ns && !is_long) {
        return;
    }
    r->longest_ns = took_ns > r->longest_ns ? took_ns : r->longest_ns;
    for (unsigned i = 0; i < r->count; i++) {
        atomic_store(&r->loops[i]->longest_ns, r->longest_ns);
        atomic_fetch_add(&r->loops[i]->long_turns, is_long);
    }
}

/* epoll_pwait2 came with Linux 5.11, and Valgrind knows it from 3.21 on. Without it waits are whole
 * milliseconds, rounded up: never early, at most one late. */
static int wait_events(int epoll, struct epoll_event *events, const struct timespec *timeout)
{
    static atomic_bool is_absent;
    const int64_t ms_max = 60 * 1000;
    int64_t ms;

    if (!atomic_load_explicit(&is_absent, memory_order_relaxed)) {
        int count = epoll_pwait2(epoll, events, EVENTS_MAX, timeout, NULL);

        if (count >= 0 || errno != ENOSYS) {
            return count;
        }
        atomic_store(&is_absent, true);
    }
    if (timeout == NULL) {
        return epoll_wait(epoll, events, EVENTS_MAX, -1);
    }
    ms = timeout->tv_sec >= ms_max / 1000
             ? ms_max
             : timeout->tv_sec * 1000 + (timeout->tv_nsec + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(epoll, events, EVENTS_MAX, (int)ms);
}

/* Until a socket stirs, the bell rings, or the next deadline; not at all when there is work. */
static void rest(struct real_thread *r)
{
    struct epoll_event events[EVENTS_MAX];
    struct timespec wait = {0}, *timeout = &wait;
    struct when next = next_timer(r), now = r->loops[0]->now;
    int count;

    atomic_store(&r->asleep, true);
    if (!has_work(r)) {
        if (when_is_never(next)) {
            timeout = NULL;
        } else if (next.ns > now.ns) {
            wait.tv_sec = (next.ns - now.ns) / NS_PER_S;
            wait.tv_nsec = (next.ns - now.ns) % NS_PER_S;
        }
    }
    count = wait_events(r->epoll, events, timeout);
    atomic_store(&r->asleep, false);
    must(count >= 0 || errno == EINTR);
    read_clocks(r);
    for (int i = 0; i < count; i++) {
        /* The bell is edge-triggered and never read: each ring is a new edge. */
        if (events[i].data.ptr != NULL) {
            watch_event(events[i].data.ptr, events[i].events);
        }
    }
}

static void *run_thread(void *arg)
{
    struct real_thread *r = arg;

    read_clocks(r);
    for (unsigned i = 0; i < r->count; i++) {
        loop_enter(r->loops[i]);
        loop_start_main(r->loops[i]);
    }
    for (unsigned turns = 0; !is_over(r);) {
        int64_t began_ns = r->loops[0]->now.ns;

        turn(r);
        if (is_over(r)) {
            break;
        }
        if (++turns < TURNS_MAX && has_work(r)) {
            read_clocks(r);
            note_turn(r, r->loops[0]->now.ns - began_ns);
        } else {
            note_turn(r, monotonic_ns() - began_ns);
            rest(r);
            turns = 0;
        }
    }
    loop_leave();
    return NULL;
}

/* The first loop of each thread stands for it. */
static bool leads(const struct loop *l)
{
    return ((const struct real_thread *)l->backend)->loops[0] == l;
}

static void real_run(struct world *w)
{
    char name[16];

    for (unsigned i = 1; i < w->loop_count; i++) {
        struct real_thread *r = w->loops[i]->backend;

        if (leads(w->loops[i]) && w->loops[0]->backend != r) {
            must(pthread_create(&r->thread, NULL, run_thread, r) == 0);
            strncpy(name, w->loops[i]->name, sizeof name - 1);
            name[sizeof name - 1] = 0;
            pthread_setname_np(r->thread, name);
        }
    }
    if (w->loop_count > 0) {
        run_thread(w->loops[0]->backend);
    }
    for (unsigned i = 1; i < w->loop_count; i++) {
        struct real_thread *r = w->loops[i]->backend;

        if (leads(w->loops[i]) && w->loops[0]->backend != r) {
            must(pthread_join(r->thread, NULL) == 0);
        }
    }
}

static void real_wake(struct loop *l)
{
    struct real_thread *r = l->backend;

    if (atomic_exchange(&r->asleep, false)) {
        must(eventfd_write(r->event, 1) == 0);
    }
}

static struct real_thread *thread_new(void)
{
    struct real_thread *r = MEM_NEW(struct real_thread);
    struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};

    r->epoll = epoll_create1(EPOLL_CLOEXEC);
    r->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    must(r->epoll >= 0);
    must(r->event >= 0);
    must(epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->event, &e) == 0);
    return r;
}

static void thread_free(struct real_thread *r)
{
    close(r->epoll);
    close(r->event);
    mem_free(r);
}

static void real_loop_new(struct loop *l)
{
    struct real_thread *r = thread_new();

    r->loops[r->count++] = l;
    l->backend = r;
    read_clocks(r);
}

static void real_loop_share(struct loop *l, struct loop *with)
{
    struct real_thread *own_thread = l->backend, *r = with->backend;

    must(own_thread != r);
    must(own_thread->count == 1);
    thread_free(own_thread);
    r->loops[r->count++] = l;
    l->backend = r;
}

static void real_loop_free(struct loop *l)
{
    struct real_thread *r = l->backend;

    if (--r->count == 0) {
        thread_free(r);
    }
}

static void real_random(struct loop *l, uint64_t *at, uint32_t count)
{
    (void)l;
    random_system(at, count);
}

static void real_free(struct world *w)
{
    real_offload_settle();
    world_done(w);
    mem_free(w);
}

const struct world_ops real_ops = {
    .simulated = false,
    .loop_new = real_loop_new,
    .loop_share = real_loop_share,
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
