/*
 * inside: looks into the queue between two turns of its loop, and judges what must always hold
 * (queue.c rules 1 to 6, turns.h, shares.h): slots, the ready set, counts, times, and that whatever
 * can go on does.
 *
 * Owns      Nothing between two looks but struct inside, which the caller zeroes for each life.
 */
#pragma once

#include "machine.h"

enum { INSIDE_QUEUES_MAX = 16 };

struct inside {
    uint64_t looks;
    struct inside_queue {
        uint32_t running, slots; /* at the look before */
        bool held;
        int64_t stuck_ms; /* since when a share with room keeps berths back; 0: it does not */
    } queues[INSIDE_QUEUES_MAX];
};

/* From the outside loop, where no turn of the queue is under way. */
void inside_look(struct inside *i, struct machine *m);
