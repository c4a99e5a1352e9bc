#include "base/mem.h"
#include "runtime/real.h"
#include "runtime/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct tcp {
    struct transport transport;
    struct watch watch;
};

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un path;
};

/* ---- addresses ---- */

static socklen_t to_system(struct addr a, union any_address *ret)
{
    memset(ret, 0, sizeof *ret);
    if (a.family == 4) {
        ret->v4.sin_family = AF_INET;
        ret->v4.sin_port = htons(a.port);
        memcpy(&ret->v4.sin_addr, a.ip, 4);
        return sizeof ret->v4;
    }
    ret->v6.sin6_family = AF_INET6;
    ret->v6.sin6_port = htons(a.port);
    memcpy(&ret->v6.sin6_addr, a.ip, 16);
    return sizeof ret->v6;
}

static struct addr from_system(const union any_address *a)
{
    struct addr ret = {0};

    if (a->any.sa_family == AF_INET) {
        ret.family = 4;
        ret.port = ntohs(a->v4.sin_port);
        memcpy(ret.ip, &a->v4.sin_addr, 4);
    } else if (a->any.sa_family == AF_INET6) {
        ret.family = 6;
        ret.port = ntohs(a->v6.sin6_port);
        memcpy(ret.ip, &a->v6.sin6_addr, 16);
    }
    return ret;
}

static struct addr own_address(int fd)
{
    union any_address a = {0};
    socklen_t size = sizeof a;

    return getsockname(fd, &a.any, &size) == 0 ? from_system(&a) : (struct addr){0};
}

static bool is_gone(int sys)
{
    return sys == ECONNRESET || sys == EPIPE || sys == ENOTCONN;
}

/* ---- the transport ---- */

static struct err tcp_try_recv(struct transport *t, char *at, size_t size, size_t *got,
                               unsigned *want)
{
    struct tcp *c = CONTAINER_OF(t, struct tcp, transport);
    ssize_t n;

    *got = 0;
    *want = WANT_READ;
    if (!(c->watch.ready & WANT_READ)) {
        return ERR_OK;
    }
    do {
        n = recv(c->watch.fd, at, size, 0);
    } while (n < 0 && errno == EINTR);
    if (n == 0) {
        return err_of(ERR_CLOSED);
    }
    if (n < 0) {
        if (errno == EAGAIN) {
            c->watch.ready &= ~(unsigned)WANT_READ;
            return ERR_OK;
        }
        return err_sys(ERR_NETWORK, errno);
    }
    if ((size_t)n < size && !c->watch.ended) {
        c->watch.ready &= ~(unsigned)WANT_READ; /* drained: the next byte makes a new edge */
    }
    *got = (size_t)n;
    return ERR_OK;
}

static struct err tcp_try_send(struct transport *t, const struct iovec *iov, unsigned count,
                               size_t *sent, unsigned *want)
{
    struct tcp *c = CONTAINER_OF(t, struct tcp, transport);
    struct msghdr m = {0};
    ssize_t n;

    *sent = 0;
    *want = WANT_WRITE;
    if (!(c->watch.ready & WANT_WRITE)) {
        return ERR_OK;
    }
    m.msg_iov = (struct iovec *)(uintptr_t)iov;
    m.msg_iovlen = count;
    do {
        n = sendmsg(c->watch.fd, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (errno == EAGAIN) {
            c->watch.ready &= ~(unsigned)WANT_WRITE;
            return ERR_OK;
        }
        return err_sys(is_gone(errno) ? ERR_CLOSED : ERR_NETWORK, errno);
    }
    *sent = (size_t)n;
    return ERR_OK;
}

static struct err tcp_wait(struct transport *t, unsigned want, const char *what, struct when by)
{
    return watch_wait(&CONTAINER_OF(t, struct tcp, transport)->watch, want, what, by);
}

static void tcp_close(struct transport *t)
{
    struct tcp *c = CONTAINER_OF(t, struct tcp, transport);

    watch_done(&c->watch);
    close(c->watch.fd);
    mem_free(c);
}

static const struct transport_ops tcp_ops = {tcp_try_recv, tcp_try_send, tcp_wait, tcp_close};

struct transport *tcp_transport(int fd)
{
    struct tcp *c = MEM_NEW(struct tcp);

    c->transport.ops = &tcp_ops;
    /* Writable at once; whether there is something to read, the first edge will tell. */
    watch_init(&c->watch, fd, WANT_WRITE);
    return &c->transport;
}

/* ---- connecting ---- */

static struct err finish_connect(struct transport *t, const char *what, struct when by)
{
    struct tcp *c = CONTAINER_OF(t, struct tcp, transport);
    socklen_t size = sizeof(int);
    int sys = 0;
    struct err e;

    c->watch.ready = 0;
    e = watch_wait(&c->watch, WANT_WRITE, what, by);
    if (e.code != OK) {
        return e;
    }
    must(getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &sys, &size) == 0);
    return sys ? err_sys(ERR_NETWORK, sys) : ERR_OK;
}

static struct err connect_socket(int fd, const union any_address *to, socklen_t size,
                                 struct transport **ret, struct when by)
{
    bool pending = false;
    struct err e = ERR_OK;

    if (connect(fd, &to->any, size) != 0) {
        if (errno != EINPROGRESS) {
            e = err_sys(ERR_NETWORK, errno);
            close(fd);
            return e;
        }
        pending = true;
    }
    *ret = tcp_transport(fd);
    if (pending) {
        e = finish_connect(*ret, "a connection", by);
    }
    if (e.code != OK) {
        (*ret)->ops->close(*ret);
    }
    return e;
}

struct err tcp_connect(struct addr to, struct addr from, struct transport **ret, struct addr *local,
                       struct when by)
{
    union any_address there, here;
    socklen_t size = to_system(to, &there);
    int fd = socket(there.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    struct err e;

    if (fd < 0) {
        return err_sys(errno == EMFILE || errno == ENFILE ? ERR_LIMIT : ERR_NETWORK, errno);
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (from.family != 0) {
        from.port = 0;
        (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
        if (bind(fd, &here.any, to_system(from, &here)) != 0) {
            e = errno == EADDRNOTAVAIL ? err_of(ERR_SOURCE) : err_sys(ERR_NETWORK, errno);
            close(fd);
            return e;
        }
    }
    e = connect_socket(fd, &there, size, ret, by);
    if (e.code == OK) {
        *local = own_address(CONTAINER_OF(*ret, struct tcp, transport)->watch.fd);
    }
    return e;
}

struct err stream_connect_path(struct str path, struct stream **ret, struct when by)
{
    union any_address there = {.path.sun_family = AF_UNIX};
    struct transport *t;
    struct err e;
    int fd;

    if (path.len == 0 || path.len >= sizeof there.path.sun_path) {
        return err_sys(ERR_NETWORK, ENAMETOOLONG);
    }
    memcpy(there.path.sun_path, path.ptr, path.len);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return err_sys(ERR_NETWORK, errno);
    }
    e = connect_socket(fd, &there, sizeof there.path, &t, by);
    if (e.code == OK) {
        *ret = stream_new(t, (struct addr){0}, (struct addr){0});
    }
    return e;
}

/* ---- accepting ---- */

struct tcp_listener {
    struct listener listener;
    struct watch watch;
};

struct tcp_guest {
    struct guest guest;
    int fd;
};

static struct transport *guest_transport(struct guest *g)
{
    struct tcp_guest *t = CONTAINER_OF(g, struct tcp_guest, guest);
    int fd = t->fd;

    mem_free(t);
    return tcp_transport(fd);
}

static void guest_turn_away(struct guest *g, struct str farewell)
{
    struct tcp_guest *t = CONTAINER_OF(g, struct tcp_guest, guest);

    (void)send(t->fd, farewell.ptr, farewell.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(t->fd);
    mem_free(t);
}

static const struct guest_ops tcp_guest_ops = {guest_transport, guest_turn_away};

static struct err tcp_accept(struct listener *l, struct guest **ret, struct when by)
{
    struct tcp_listener *t = CONTAINER_OF(l, struct tcp_listener, listener);

    for (;;) {
        union any_address from = {0};
        socklen_t size = sizeof from;
        int fd = accept4(t->watch.fd, &from.any, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct err e;

        if (fd >= 0) {
            struct tcp_guest *g = MEM_NEW(struct tcp_guest);

            g->guest = (struct guest){&tcp_guest_ops, from_system(&from), own_address(fd)};
            g->fd = fd;
            *ret = &g->guest;
            return ERR_OK;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            return err_sys(ERR_LIMIT, errno);
        }
        if (errno != EAGAIN) {
            continue; /* the guest has gone, or brought an error of its own (accept(2)) */
        }
        t->watch.ready = 0;
        e = watch_wait(&t->watch, WANT_READ, "a guest", by);
        if (e.code != OK) {
            return e;
        }
    }
}

static void tcp_listener_close(struct listener *l)
{
    struct tcp_listener *t = CONTAINER_OF(l, struct tcp_listener, listener);

    watch_done(&t->watch);
    close(t->watch.fd);
    mem_free(t);
}

static const struct listener_ops tcp_listener_ops = {tcp_accept, tcp_listener_close};

struct err tcp_listen(struct addr at, struct listener **ret)
{
    union any_address here;
    socklen_t size = to_system(at, &here);
    int fd = socket(here.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct tcp_listener *t;
    int on = 1;

    if (fd < 0) {
        return err_sys(ERR_NETWORK, errno);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* guests inherit it */
    if (at.family == 6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (bind(fd, &here.any, size) != 0 || listen(fd, 4096) != 0) {
        struct err e = err_sys(ERR_NETWORK, errno);

        close(fd);
        return e;
    }
    t = MEM_NEW(struct tcp_listener);
    t->listener = (struct listener){&tcp_listener_ops, own_address(fd)};
    watch_init(&t->watch, fd, WANT_READ);
    *ret = &t->listener;
    return ERR_OK;
}
