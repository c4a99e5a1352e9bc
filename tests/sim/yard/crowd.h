/*
 * crowd: mail in numbers: senders at a steady rate, mail that is there at once, and how long it
 * took.
 *
 * Owns      struct times owns its samples, until times_done.
 */
#pragma once

#include "client.h"

struct times {
    int64_t *began_us, *took_us; /* by number; 0: not yet */
    unsigned size, done;
};

void times_init(struct times *t, unsigned size);
void times_done(struct times *t);
void times_began(struct times *t, unsigned number);
/* The first time counts. */
void times_took(struct times *t, unsigned number);
/* Of those that are done; percent 0 to 100. */
int64_t times_percentile(const struct times *t, unsigned percent);

/* Number n of "u17@site.example" when the address begins with `kind`; false else. */
bool crowd_number(struct str address, char kind, unsigned *ret);

/* One message by the queue's door, past SMTP: a DSN, a report, mail of a tenant. Waits until it is
 * stored. */
void crowd_inject(struct machine *m, enum source source, int priority, const char *from,
                  const char *to, struct when by);

/* `count` messages to be had from `next` (false: no more), by so many clients over SMTP, one each
 * `each_us`. Returns when all were answered; the machine's ctx is for `next`. */
struct crowd {
    struct machine *machine;
    unsigned count, given;
    int64_t each_us;
    bool (*next)(struct machine *m, unsigned n, char to[64]);
};
void crowd_send(struct crowd *c, unsigned clients, struct when by);
