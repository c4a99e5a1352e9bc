/*
 * broken: invariants (log.c) switched off one by one, so that simulations and the crash harness can
 * prove that they would see it. Nothing but a test or a build with -Dfault=… sets these.
 *
 * Owns      Nothing.
 */
#pragma once

enum store_broken {
    BROKEN_LEFTOVERS = 1 << 1,        /* 1: what lies behind the end is believed */
    BROKEN_FRESH_BLOCK = 1 << 2,      /* 2: a batch goes on in the block of the last one */
    BROKEN_ACK_BEFORE_FLUSH = 1 << 3, /* 2: the answer promises what is not yet done */
    BROKEN_NO_FLUSH = 1 << 4,         /* P1: written is not durable */
    BROKEN_RECYCLE_EARLY = 1 << 5,    /* 3: results thrown away while they still kill messages */
    BROKEN_MOVE_UNFLUSHED = 1 << 6,   /* 4: the place is freed before the copy is durable */
    BROKEN_SILENT_DAMAGE = 1 << 7,    /* 5: what cannot be read is passed over */
    BROKEN_FLUSH_AGAIN = 1 << 8,      /* 6: a failed flush is tried again, and believed */
    BROKEN_NO_RESERVE = 1 << 9,       /* 7: mail may fill the disk to the end */
    BROKEN_NO_DIR_SYNC = 1 << 10,     /* 8: a name that a power cut takes away */
    BROKEN_NO_LOCK = 1 << 11,         /* 9: two servers at once */
    BROKEN_ID_LIMIT = 1 << 12         /* ids start again from the clock */
};

#if defined(FAULT_NO_FLUSH)
#define BROKEN_BY_BUILD BROKEN_NO_FLUSH
#elif defined(FAULT_NO_DIR_SYNC)
#define BROKEN_BY_BUILD BROKEN_NO_DIR_SYNC
#elif defined(FAULT_ACK_BEFORE_FLUSH)
#define BROKEN_BY_BUILD BROKEN_ACK_BEFORE_FLUSH
#elif defined(FAULT_RECYCLE_EARLY)
#define BROKEN_BY_BUILD BROKEN_RECYCLE_EARLY
#else
#define BROKEN_BY_BUILD 0
#endif
