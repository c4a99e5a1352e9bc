/*
 * stream: a connection with buffered reading and writing, that goes on reading while it writes, so
 * that two ends that both write cannot wedge.
 *
 * Owns      Its transport and buffers, until stream_close. Buffers come from a pool and go back
 *           when empty, so that an idle stream costs little.
 * Views     stream_buffered and what stream_fill adds stay in place until the next call that may
 *           suspend, or stream_take.
 * Limits    STREAM_READ_MAX unread bytes: stream_fill then says ERR_LIMIT. STREAM_WRITE_MAX unsent
 *           bytes: stream_put then sends first.
 * Errors    ERR_CLOSED (orderly end while reading; any end while writing), ERR_NETWORK with errno,
 *           ERR_SOURCE (stream_connect), ERR_TIMEOUT, ERR_CANCELLED; from a layer also ERR_TLS. A
 *           stream that failed once fails again with the same error.
 */
#pragma once

#include "base/addr.h"
#include "base/date.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

enum { STREAM_READ_MAX = 64 * 1024, STREAM_WRITE_MAX = 32 * 1024 };

struct stream;
struct transport;

/* TCP from a source address (family 0: the kernel chooses; port 0 always). */
struct err stream_connect(struct addr to, struct addr from, struct stream **ret, struct when by);
/* A local (Unix) socket; for the admin socket. */
struct err stream_connect_path(struct str path, struct stream **ret, struct when by);
void stream_close(struct stream *s);

struct addr stream_remote(const struct stream *s);
struct addr stream_local(const struct stream *s);

/* What was read and not yet taken. */
struct str stream_buffered(const struct stream *s);
void stream_take(struct stream *s, size_t n);
/* Waits for more bytes than are buffered now; sends what stands unsent first. */
struct err stream_fill(struct stream *s, const char *what, struct when by);

/* Writes; small pieces gather until flushed, large ones go straight out. */
struct err stream_put(struct stream *s, struct str bytes, struct when by);
struct err stream_flush(struct stream *s, struct when by);
/* How many bytes stand unsent. */
size_t stream_unsent(const struct stream *s);
/* A farewell that cannot suspend: sends what the socket takes at once, forgets the rest. */
void stream_farewell(struct stream *s, struct str bytes);

/* Puts a layer over the stream's transport. The caller has checked that nothing is buffered either
 * way: bytes before a layer must never be read as bytes of the layer. */
struct transport *stream_transport(struct stream *s);
void stream_layer(struct stream *s, struct transport *upper);

/* Counters, for the census and benchmarks. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

struct listener;
struct guest; /* an accepted connection that no loop has taken up yet */

struct err listener_open(struct addr at, struct listener **ret);
/* Where it really listens (port 0 was asked). */
struct addr listener_addr(const struct listener *l);
/* ERR_LIMIT when the process has no descriptor left: rest a while. */
struct err listener_accept(struct listener *l, struct guest **ret, struct when by);
void listener_close(struct listener *l);
struct addr guest_remote(const struct guest *g);
/* On the loop that shall serve it, which may be another than the listener's. Takes the guest. */
struct stream *guest_stream(struct guest *g);
void guest_refuse(struct guest *g, struct str farewell);

/* A descriptor of an outside library, watched by this loop. The library owns the descriptor. */
struct watch;
struct watch *watch_open(int fd);
struct err watch_wait(struct watch *w, unsigned want, const char *what, struct when by);
void watch_close(struct watch *w);
