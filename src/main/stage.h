/*
 * stage: one step of start and end that a loop's main fiber takes when home says so, and tells when
 * it is done. A zeroed stage is not open and not done.
 */
#pragma once

#include "runtime/loop.h"

#include <stdbool.h>

struct stage {
    struct post open_post, done_post;
    struct loop *loop, *home;
    struct fiber *waits, *waits_done;
    bool opened, done;
    bool told; /* home's */
};

/* On home: loop and home are set. Once more is harmless. */
void stage_open(struct stage *s);
/* On the loop: until opened; firm, because the end comes by stages too. */
void stage_wait(struct stage *s, struct when by);
void stage_done(struct stage *s); /* on the loop */
/* On home. */
struct err stage_join(struct stage *s, const char *what, struct when by);
