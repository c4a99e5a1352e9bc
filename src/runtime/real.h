/*
 * real: the real world's loops; for files of runtime/ only. Sockets are watched edge-triggered,
 * once for their life, so that waiting costs no system call; `ready` remembers the edges.
 */
#pragma once

#include "runtime/world.h"

struct watch {
    int fd;
    unsigned ready;  /* WANT_READ, WANT_WRITE: may be worth trying */
    unsigned wanted; /* by `waiting` */
    bool ended;      /* the other side has shut down: reading never blocks again */
    bool one_shot;   /* an outside library's descriptor: armed anew for each wait */
    struct fiber *waiting;
};

void watch_init(struct watch *w, int fd, unsigned ready);
/* Level-triggered, for reading: it is told until nothing is left. */
void watch_init_level(struct watch *w, int fd);
void watch_done(struct watch *w);
/* A one-shot watch: its next readiness is awaited from here on. */
void watch_arm(struct watch *w, unsigned want);

/* WANT_READ and WANT_WRITE as the kernel's events, and back: all of them when a connection broke. */
uint32_t watch_events(unsigned want);
unsigned watch_ready(uint32_t events);

extern const struct world_ops real_ops;

struct err tcp_connect(struct addr to, struct addr from, struct transport **ret, struct addr *local,
                       struct when by);
struct err tcp_listen(struct addr at, struct listener **ret);
/* A transport over a connected non-blocking socket, which it owns. */
struct transport *tcp_transport(int fd);

struct err real_disk_open(struct str path, struct disk **ret, struct when by);

void real_offload(const char *what, void (*fn)(void *), void *arg, struct when by);
void real_offload_settle(void); /* before a world is freed, whose jobs are all done */
