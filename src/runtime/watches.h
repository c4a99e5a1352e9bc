/*
 * watches: many descriptors of an outside library behind one wait, so that a thousand of its
 * sockets need one fiber. Real worlds only.
 *
 * Owns      The library opens the descriptors and says when each shall be closed: watches_end. It
 *           may close some by itself, if it tells of each new one: watches_begin.
 *           One fiber waits, and belongs to the loop that opened the set.
 * Errors    watches_wait: ERR_TIMEOUT, ERR_CANCELLED.
 */
#pragma once

#include "base/date.h"
#include "base/err.h"
#include "runtime/transport.h"

struct watches;

struct watches_event {
    int fd;
    unsigned ready; /* of what is wanted: WANT_READ, WANT_WRITE; when the connection broke, all */
};

struct watches *watches_open(void);
void watches_close(struct watches *w);
/* A descriptor is new: nothing is left of another that had its number. */
void watches_begin(struct watches *w, int fd);
/* From now on `want` of this descriptor; 0: nothing for now. */
void watches_set(struct watches *w, int fd, unsigned want);
/* Closes a descriptor, whether it was ever set or not. */
void watches_end(struct watches *w, int fd);
/* Until a descriptor stirs or watches_wake was called. */
struct err watches_wait(struct watches *w, const char *what, struct when by);
void watches_wake(struct watches *w); /* same loop */
/* What is ready now, at most `max`; it is told again until the library has taken it. */
size_t watches_take(struct watches *w, struct watches_event *at, size_t max);
