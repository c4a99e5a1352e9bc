/*
 * rig: a store on a loop of its own and one fiber of another loop that uses it, in a real world on
 * a folder of its own or in a simulated one.
 */
#pragma once

#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/sim.h"
#include "runtime/sim_disk.h"
#include "store/store.h"

#include <stdlib.h>

enum { RIG_SEGMENT = 256 * 1024 };

struct rig {
    struct world *world;
    struct loop *store_loop, *user_loop;
    struct str folder; /* real */
    struct disk *disk; /* simulated: mounted by the caller */
    struct store_options options;
    struct store *store;
    struct err opened;
    struct buf why;
    void (*fn)(struct rig *r);
    void *arg;
};

static void rig_store(void *arg)
{
    struct rig *r = arg;

    store_serve(r->store, &r->opened, &r->why);
}

static void rig_user(void *arg)
{
    struct rig *r = arg;

    if (store_ready(r->store, WHEN_NEVER).code == OK) {
        r->fn(r);
    }
    loop_cancel(r->store_loop);
}

static inline void rig_open_real(void *arg)
{
    struct rig *r = arg;
    struct err e = disk_open(r->folder, &r->disk, WHEN_NEVER);

    assert_int_equal(e.code, OK);
}

static void rig_run(struct rig *r, struct world *w)
{
    r->world = w;
    r->store_loop = world_loop(w, "store");
    r->user_loop = world_loop(w, "user");
    r->store = store_new(r->store_loop, r->disk, &r->options);
    loop_main(r->store_loop, rig_store, r);
    loop_main(r->user_loop, rig_user, r);
    world_run(w);
    store_free(r->store);
    r->store = NULL;
}

/* The same folder each time; the log of one run is found by the next. */
static inline void rig_run_real(struct rig *r)
{
    struct world *w = world_new();

    run_alone("opening", rig_open_real, r);
    rig_run(r, w);
    world_free(w);
    disk_close(r->disk);
    buf_done(&r->why);
}

static struct store_options rig_options(void)
{
    return (struct store_options){.segment_bytes = RIG_SEGMENT,
                                  .min_free_bytes = 1024 * 1024,
                                  .node = 3,
                                  .checkpoint_bytes = 2 * RIG_SEGMENT};
}

/* A message with its id, `to` recipients and `size` bytes of content, of which at most
 * PARCEL_HEAD_MAX in the head. Byte i of the content is content_byte(id, i). */
static inline char content_byte(uint64_t id, uint64_t i)
{
    return (char)('a' + (id * 7 + (id >> 22) + i * 31 + i / 251) % 26);
}

static struct parcel *make_parcel(uint64_t id, uint32_t to, uint64_t size)
{
    struct parcel *p = parcel_new();
    uint64_t head = size < PARCEL_HEAD_MAX ? size : PARCEL_HEAD_MAX;

    p->message = (struct message){
        .id = id,
        .arrived = clock_date(),
        .sender = arena_printf(&p->arena, "s%llx@example.com", (unsigned long long)id),
        .size = size,
        .to = arena_array(&p->arena, to, sizeof(struct recipient)),
        .to_count = to};
    for (uint32_t i = 0; i < to; i++) {
        p->message.to[i] = (struct recipient){
            .address = arena_printf(&p->arena, "r%u@example.org", i),
            .state = {.version = 1,
                      .notice = DATE_NEVER,
                      .expires = DATE_NEVER,
                      .deadline = DATE_NEVER,
                      .queue = STR("remote")},
        };
    }
    for (uint64_t i = 0; i < head; i++) {
        buf_byte(&p->head, content_byte(id, i));
    }
    parcel_settle(p);
    return p;
}

static struct err accept_parcel(struct rig *r, struct parcel *p)
{
    struct store_body *body = NULL;
    struct store_commit c = {.messages = &p, .bodies = &body, .message_count = 1};
    struct buf some = {0};
    struct err e = ERR_OK;

    if (!parcel_is_whole(p)) {
        body = store_body_open(r->store);
        for (uint64_t i = p->head.len; !e.code && i < p->message.size;) {
            buf_clear(&some);
            while (i < p->message.size && some.len < 40000) {
                buf_byte(&some, content_byte(p->message.id, i++));
            }
            e = store_body_add(body, buf_str(&some), WHEN_NEVER);
        }
        buf_done(&some);
        if (e.code) {
            store_body_abandon(body);
            return e;
        }
    }
    return store_commit(r->store, &c, WHEN_NEVER);
}

static struct err change_state(struct rig *r, uint64_t id, uint32_t index, uint32_t expected,
                               enum rcpt_status status, bool lazy)
{
    struct rcpt_state s = {.version = expected + 1,
                           .status = status,
                           .attempts = (uint16_t)expected,
                           .notice = DATE_NEVER,
                           .expires = DATE_NEVER,
                           .deadline = DATE_NEVER,
                           .queue = STR("remote"),
                           .last = {.error = LAST_REPLY, .code = 451, .text = STR("not now")}};
    struct store_change change = {id, index, expected, &s};
    struct store_commit c = {.changes = &change, .change_count = 1, .lazy = lazy};

    return store_commit(r->store, &c, WHEN_NEVER);
}

/* All content is as content_byte says. */
static inline struct err check_content(struct rig *r, const struct parcel *p, bool *same)
{
    struct buf into = {0};
    struct str run;
    struct err e = ERR_OK;

    *same = true;
    for (uint64_t at = 0; !e.code && at < p->message.size;) {
        e = store_content(r->store, p, at, &into, &run, WHEN_NEVER);
        for (size_t i = 0; !e.code && i < run.len; i++) {
            *same = *same && run.ptr[i] == content_byte(p->message.id, at + i);
        }
        at += e.code ? 0 : run.len;
    }
    buf_done(&into);
    return e;
}
