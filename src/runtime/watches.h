/*
 * watches: many descriptors of an outside library behind one wait, so that a thousand of its
 * sockets need one fiber. Real worlds only.
 *
 * Owns      The library owns the descriptors. One fiber waits, and belongs to the loop that opened
 *           the set.
 * Errors    watches_wait: ERR_TIMEOUT, ERR_CANCELLED.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"
#include "runtime/transport.h"

struct watches;

struct watches_event {
    int fd;
    unsigned ready; /* WANT_READ, WANT_WRITE; both when the connection broke */
};

struct watches *watches_open(void);
void watches_close(struct watches *w);
/* From now on `want` of this descriptor; 0: nothing any more, and before it is closed. */
void watches_set(struct watches *w, int fd, unsigned want);
/* Until a descriptor stirs or watches_wake was called. */
struct err watches_wait(struct watches *w, const char *what, struct when by);
void watches_wake(struct watches *w); /* same loop */
/* What is ready now, at most `max`; it is told again until the library has taken it. */
size_t watches_take(struct watches *w, struct watches_event *at, size_t max);
