/*
 * The server: its listening sockets, and the fibers that run the library's loops.
 *
 * The library polls nothing and starts no thread: it hands us its epoll descriptor. Of two fibers a
 * listening socket one watches that, the other lets the library work: when there are events, when
 * its timer says so, and when a handler has resumed a connection, which makes no event. It works on
 * the big stack, since what it needs of a stack was never measured.
 */
#include "base/mem.h"
#include "http/part.h"
#include "runtime/clock.h"
#include "runtime/socket.h"
#include "runtime/stream.h"
#include "runtime/transport.h"

#include <stdlib.h>

enum { IDLE_S = 30, HEAD_BYTES_MAX = 32 * 1024 };

static void run_daemon(void *arg)
{
    struct door *d = arg;

    (void)MHD_run(d->daemon);
}

/* Looks at the library's descriptor, and not again before the library has worked. */
static void look_out(void *arg)
{
    struct door *d = arg;

    while (watch_wait(d->watch, WANT_READ, "HTTP requests", WHEN_NEVER).code == OK) {
        door_has_work(d);
        while (d->has_work) {
            if (signal_wait(&d->worked, "the HTTP server to work", WHEN_NEVER).code != OK) {
                return;
            }
        }
    }
}

void door_has_work(struct door *d)
{
    d->has_work = true;
    signal_raise(&d->work);
}

static void work(void *arg)
{
    struct door *d = arg;
    struct err e = ERR_OK;

    while (e.code == OK || e.code == ERR_TIMEOUT) {
        MHD_UNSIGNED_LONG_LONG ms;
        struct when by = WHEN_NEVER;

        d->has_work = false;
        on_big_stack(run_daemon, d);
        signal_raise(&d->worked);
        if (MHD_get_timeout(d->daemon, &ms) == MHD_YES) {
            by = when_after((int64_t)(ms < 1000 ? ms : 1000));
        }
        if (by.ns <= clock_now().ns) {
            e = fiber_yield(WHEN_NEVER);
            continue;
        }
        e = ERR_OK;
        while (!d->has_work && e.code == OK) {
            e = signal_wait(&d->work, "HTTP requests", by);
        }
    }
}

static void start_daemon(void *arg)
{
    struct door *d = arg;

    d->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, call_access, d,
        MHD_OPTION_LISTEN_SOCKET, d->fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, call_unescape, d, MHD_OPTION_NOTIFY_COMPLETED, call_completed,
        d, MHD_OPTION_END);
    must(d->daemon != NULL);
}

/* From here on the library owns the descriptor. */
static void open_door(struct http_server *s, int fd, struct addr addr)
{
    struct door *d = &s->doors[s->door_count++];
    const union MHD_DaemonInfo *info;

    *d = (struct door){.server = s, .addr = addr, .fd = fd};
    on_big_stack(start_daemon, d);
    info = MHD_get_daemon_info(d->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    must(info != NULL);
    d->watch = watch_open(info->epoll_fd);
    signal_init(&d->work);
    signal_init(&d->worked);
    must(group_spawn_now(&s->fibers, "HTTP look-out", look_out, d).code == OK);
    must(group_spawn_now(&s->fibers, "HTTP server", work, d).code == OK);
}

static struct err refuse(struct buf *why, const char *where, struct err e)
{
    char at[128];
    struct str said = err_say(e, at, sizeof at);

    buf_printf(why, "cannot listen on %s: %.*s", where, STR_ARG(said));
    return err_of(ERR_CONFIG);
}

static struct err open_all(struct http_server *s, const struct http_server_options *o,
                           struct buf *why)
{
    char text[ADDR_BYTES];
    struct addr bound;
    struct err e;
    int fd;

    for (size_t i = 0; i < o->bind_count; i++) {
        e = socket_listen(o->bind[i], &fd, &bound);
        if (e.code != OK) {
            (void)addr_print(&o->bind[i], text);
            return refuse(why, text, e);
        }
        open_door(s, fd, bound);
    }
    if (o->socket.len > 0) {
        e = socket_listen_path(o->socket, o->socket_mode, &fd);
        if (e.code != OK) {
            struct arena a ARENA_LOCAL = {0};

            return refuse(why, arena_z(&a, o->socket), e);
        }
        s->socket = str_make(mem_dup_z(o->socket.ptr, o->socket.len), o->socket.len);
        open_door(s, fd, (struct addr){0});
    }
    return ERR_OK;
}

struct err http_server_open(const struct http_server_options *options, struct http_server **ret,
                            struct buf *why)
{
    struct http_server *s = MEM_NEW(struct http_server);
    struct err e;

    s->options = *options;
    s->doors = mem_array(options->bind_count + 1, sizeof *s->doors);
    group_init(&s->fibers, "HTTP server", 0);
    group_init(&s->handlers, "HTTP requests", HTTP_HANDLERS_MAX);
    e = open_all(s, options, why);
    if (e.code != OK) {
        http_server_close(s, WHEN_NEVER);
        return e;
    }
    *ret = s;
    return ERR_OK;
}

struct addr http_server_addr(const struct http_server *s, size_t index)
{
    must(index < s->door_count);
    return s->doors[index].addr;
}

static void stop_daemon(void *arg)
{
    struct door *d = arg;

    (void)MHD_run(d->daemon); /* what handlers answered last */
    MHD_stop_daemon(d->daemon);
}

void http_server_close(struct http_server *s, struct when by)
{
    (void)by; /* says that this suspends; children are always joined */
    group_cancel(&s->fibers);
    (void)group_join(&s->fibers, WHEN_NEVER);
    group_cancel(&s->handlers);
    (void)group_join(&s->handlers, WHEN_NEVER);
    for (size_t i = 0; i < s->door_count; i++) {
        watch_close(s->doors[i].watch);
        on_big_stack(stop_daemon, &s->doors[i]);
    }
    if (s->socket.len > 0) {
        socket_remove_path(s->socket);
        mem_free((void *)(uintptr_t)s->socket.ptr);
    }
    mem_free(s->doors);
    mem_free(s);
}
