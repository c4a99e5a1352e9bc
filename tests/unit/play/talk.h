/*
 * talk: dialogues with a scripted peer through a listener, in a real and in a simulated world.
 *
 * A dialogue is lines: "C: x" is sent with CR LF, "R: x" as it is; "S: x" must be the next line
 * that comes; "E:" takes a whole EHLO reply; "X:" the connection must end. All that stands between
 * two checks is sent at once.
 */
#pragma once

#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "play/server.h"
#include "runtime/clock.h"
#include "runtime/sim.h"
#include "runtime/stream.h"

struct talk {
    const char *words[8]; /* of the behaviour */
    const char *script;
    bool lmtp;
    struct play_counts counts;
    struct buf content;  /* of the last message that was taken */
    struct buf envelope; /* "sender params > rcpt params, …" */
    unsigned messages, unanswered;
};

static inline struct err talk_message(void *ctx, const struct play_message *m, struct when by)
{
    struct talk *t = ctx;

    (void)by;
    buf_clear(&t->content);
    buf_put(&t->content, m->content);
    buf_clear(&t->envelope);
    buf_printf(&t->envelope, "%.*s %.*s>", STR_ARG(m->sender), STR_ARG(m->params));
    for (struct play_rcpt *r = m->to; r != NULL; r = r->next) {
        buf_printf(&t->envelope, " %.*s %.*s%s", STR_ARG(r->address), STR_ARG(r->params),
                   r->refused ? "!" : "");
    }
    t->messages++;
    t->unanswered += m->unanswered;
    return ERR_OK;
}

static inline struct str talk_line(struct stream *s, struct buf *line)
{
    buf_clear(line);
    for (;;) {
        struct str in = stream_buffered(s);
        size_t lf = str_find(in, '\n');

        if (lf != STR_NONE) {
            buf_put(line, str_head(in, lf + 1));
            stream_take(s, lf + 1);
            if (str_ends(buf_str(line), STR("\r\n"))) {
                line->len -= 2;
            }
            return buf_str(line);
        }
        if (stream_fill(s, "a line", when_after(60 * 1000)).code) {
            buf_put(line, in);
            buf_put(line, STR("(end)"));
            return buf_str(line);
        }
    }
}

static inline void talk_step(struct stream *s, struct str step, struct buf *line)
{
    struct str rest = str_skip(step, 3);

    switch (step.ptr[0]) {
    case 'C':
        assert_int_equal(stream_put(s, rest, WHEN_NEVER).code, OK);
        assert_int_equal(stream_put(s, STR("\r\n"), WHEN_NEVER).code, OK);
        return;
    case 'R':
        assert_int_equal(stream_put(s, rest, WHEN_NEVER).code, OK);
        return;
    case 'S':
        expect_str(talk_line(s, line), rest, __FILE__, __LINE__);
        return;
    case 'E':
        do {
            (void)talk_line(s, line);
            assert_true(str_starts(buf_str(line), STR("250")));
        } while (line->ptr[3] == '-');
        return;
    default:
        EXPECT_STR(talk_line(s, line), "(end)");
    }
}

static inline void talk_accept(void *arg)
{
    void **both = arg;

    (void)play_accept(both[0], both[1], 1, WHEN_NEVER);
}

static inline void talk_fiber(void *arg)
{
    struct talk *t = arg;
    struct play_peer peer = {.hostname = STR("sink.example"),
                             .lmtp = t->lmtp,
                             .counts = &t->counts,
                             .message = talk_message,
                             .ctx = t};
    struct buf why BUF_LOCAL = {0}, line BUF_LOCAL = {0};
    struct str script = str_of(t->script), step;
    struct addr at = {.family = 4, .ip = {127, 0, 0, 1}};
    struct listener *l;
    struct play_lane lane;
    struct stream *s;
    struct group g;

    for (size_t i = 0; i < COUNT_OF(t->words) && t->words[i] != NULL; i++) {
        if (!play_behave(&peer.behaviour, str_of(t->words[i]), &why)) {
            print_error("%.*s\n", STR_ARG(buf_str(&why)));
            fail();
        }
    }
    assert_int_equal(listener_open(at, &l).code, OK);
    play_lane_init(&lane, &peer, loop_self());
    group_init(&g, "talk", 0);
    assert_int_equal(group_spawn_now(&g, "accept", talk_accept, (void *[]){l, &lane}).code, OK);
    assert_int_equal(stream_connect(listener_addr(l), (struct addr){0}, &s, WHEN_NEVER).code, OK);
    while (script.len > 0) {
        str_cut(&script, '\n', &step);
        talk_step(s, step, &line);
    }
    stream_close(s);
    group_cancel(&g);
    assert_int_equal(group_join(&g, WHEN_NEVER).code, OK);
    play_lane_close(&lane, WHEN_NEVER);
    listener_close(l);
}

static inline void talk_done(struct talk *t)
{
    buf_done(&t->content);
    buf_done(&t->envelope);
}

static inline void talk_simulated(struct talk *t)
{
    struct world *w = sim_world(NULL);

    loop_main(world_loop(w, "talk"), talk_fiber, t);
    world_run(w);
    assert_int_equal(sim_end(w), SIM_OVER);
    world_free(w);
}
