/*
 * transport: what carries the bytes of a stream: a socket, a simulated connection, or a TLS session
 * over another transport. A layer implements these four and is given to stream_layer.
 *
 * try_recv and try_send never suspend. OK with 0 bytes means "not now": *want then says what wait
 * should wait for. ERR_CLOSED from try_recv is the orderly end. Only wait suspends.
 * close frees the transport and everything below it; never suspends.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"

#include <stddef.h>
#include <sys/uio.h>

enum { WANT_READ = 1, WANT_WRITE = 2 };

struct transport;

struct transport_ops {
    struct err (*try_recv)(struct transport *t, char *at, size_t size, size_t *got, unsigned *want);
    struct err (*try_send)(struct transport *t, const struct iovec *iov, unsigned count,
                           size_t *sent, unsigned *want);
    struct err (*wait)(struct transport *t, unsigned want, const char *what, struct when by);
    void (*close)(struct transport *t);
};

struct transport {
    const struct transport_ops *ops;
};
