#include "play/server.h"

#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"

static const int64_t rest_ms = 100;

struct arrival {
    struct post post;
    struct guest *guest;
    struct play_lane *lane;
};

static void converse(void *arg)
{
    struct arrival *a = arg;
    struct stream *s = guest_stream(a->guest);

    (void)play_serve(&a->lane->peer, s, WHEN_NEVER); /* its counts tell what became of it */
    stream_close(s);
    mem_free(a);
}

static void arrive(struct post *p)
{
    struct arrival *a = CONTAINER_OF(p, struct arrival, post);

    if (group_spawn_now(&a->lane->group, "peer", converse, a).code) {
        guest_refuse(a->guest, STR("421 4.3.2 Closing\r\n"));
        mem_free(a);
    }
}

void play_lane_init(struct play_lane *l, const struct play_peer *peer, struct loop *loop)
{
    l->loop = loop;
    l->peer = *peer;
    group_init(&l->group, "peers", 0);
}

void play_lane_close(struct play_lane *l, struct when by)
{
    group_cancel(&l->group);
    (void)group_join(&l->group, by);
    play_peer_done(&l->peer);
}

struct err play_accept(struct listener *l, struct play_lane *lanes, unsigned count, struct when by)
{
    unsigned next = 0;

    for (;;) {
        struct guest *g;
        struct arrival *a;
        struct err e = listener_accept(l, &g, by);

        if (e.code == ERR_CANCELLED || e.code == ERR_TIMEOUT) {
            return e;
        }
        if (e.code) { /* out of descriptors, or a client that left early: never spin */
            e = fiber_sleep(when_after(rest_ms), by);
            if (e.code) {
                return e;
            }
            continue;
        }
        a = MEM_NEW(struct arrival);
        a->guest = g;
        a->lane = &lanes[next++ % count];
        a->post.run = arrive;
        loop_post(a->lane->loop, &a->post);
    }
}
