#include "../unit.h"
#include "base/check.h"
#include "store/record.h"
#include "store/tlv.h"
#include "store/wire.h"

#include <stdlib.h>

static struct recipient two[2];

static struct message sample(void)
{
    two[0] = (struct recipient){
        .address = STR("a@example.org"),
        .orcpt = STR("rfc822;A@example.org"),
        .notify = NOTIFY_SUCCESS | NOTIFY_DELAY,
        .state = {
            .version = 1,
            .next = {1000},
            .notice = DATE_NEVER,
            .expires = {5000},
            .deadline = DATE_NEVER,
            .queue = STR("remote"),
            .site = STR("mx example.org"),
            .last = {.error = LAST_REPLY, .code = 451, .esc = {4, 3, 2}, .text = STR("busy")}}};
    two[1] = (struct recipient){.address = STR("b@example.net"),
                                .state = {.version = 7,
                                          .status = RCPT_FAILED,
                                          .owed = OWED_FAILED,
                                          .notice = {3},
                                          .expires = DATE_NEVER,
                                          .hold_end = {7},
                                          .by_notice = {8},
                                          .deadline = {9}}};
    return (struct message){.id = 0x123456789abcdef0,
                            .arrived = {1767225600000},
                            .source = SOURCE_AUTHENTICATED,
                            .is_trusted = true,
                            .sender = STR("s@example.com"),
                            .ret = RET_HDRS,
                            .body = BODY_8BIT,
                            .priority = -9,
                            .by = BY_RETURN,
                            .by_trace = true,
                            .by_date = {123456},
                            .size = 100000,
                            .header_bytes = 300,
                            .to = two,
                            .to_count = 2};
}

static void a_message_comes_back_as_it_was(void **state)
{
    struct message m = sample(), back;
    struct piece pieces[2] = {{1, 4096, 65496}, {2, 8192, 100}}, *found;
    struct buf out BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    uint32_t count;

    (void)state;
    wire_put_message(&out, &m, pieces, 2);
    assert_int_equal(wire_message(buf_str(&out), &a, &back, &found, &count).code, OK);
    assert_int_equal(back.id, m.id);
    assert_int_equal(back.arrived.ms, m.arrived.ms);
    assert_int_equal(back.source, SOURCE_AUTHENTICATED);
    assert_true(back.is_trusted);
    EXPECT_STR(back.sender, "s@example.com");
    EXPECT_STR(back.envid, "");
    assert_int_equal(back.ret, RET_HDRS);
    assert_int_equal(back.priority, -9);
    assert_int_equal(back.by, BY_RETURN);
    assert_true(back.by_trace);
    assert_int_equal(back.by_date.ms, 123456);
    assert_int_equal(back.size, 100000);
    assert_int_equal(back.to_count, 2);
    EXPECT_STR(back.to[0].orcpt, "rfc822;A@example.org");
    assert_int_equal(back.to[0].notify, NOTIFY_SUCCESS | NOTIFY_DELAY);
    assert_int_equal(back.to[0].state.expires.ms, 5000);
    assert_true(date_is_never(back.to[0].state.notice));
    EXPECT_STR(back.to[0].state.site, "mx example.org");
    assert_int_equal(back.to[0].state.last.esc.detail, 2);
    EXPECT_STR(back.to[0].state.last.text, "busy");
    assert_int_equal(back.to[1].state.version, 7);
    assert_int_equal(back.to[1].state.owed, OWED_FAILED);
    assert_true(date_is_never(back.to[1].state.expires));
    assert_int_equal(back.to[1].state.deadline.ms, 9);
    assert_int_equal(back.to[1].state.hold_end.ms, 7);
    assert_int_equal(back.to[1].state.by_notice.ms, 8);
    assert_int_equal(count, 2);
    assert_int_equal(found[1].offset, 8192);
}

static void what_filters_said_of_queueing_comes_back(void **state)
{
    const struct message_meta meta[] = {
        {STR_INIT("campaign"), META_STRING, STR_INIT("spring"), 0},
        {STR_INIT("weight"), META_INTEGER, STR_INIT(""), -3},
        {STR_INIT("bulk"), META_BOOLEAN, STR_INIT(""), 1},
    };
    const struct message_policy policy = {STR("slow"), STR_EMPTY, meta, COUNT_OF(meta)};
    struct message m = sample(), back;
    struct piece *found;
    struct buf out BUF_LOCAL = {0}, wrong BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    uint32_t count;

    (void)state;
    wire_put_message(&out, &m, NULL, 0);
    assert_int_equal(wire_message(buf_str(&out), &a, &back, &found, &count).code, OK);
    assert_null(back.policy); /* also in a store of before */
    m.policy = &policy;
    buf_clear(&out);
    wire_put_message(&out, &m, NULL, 0);
    assert_int_equal(wire_message(buf_str(&out), &a, &back, &found, &count).code, OK);
    EXPECT_STR(back.policy->schedule, "slow");
    EXPECT_STR(back.policy->queue, "");
    assert_int_equal(back.policy->meta_count, 3);
    EXPECT_STR(message_meta(&back, STR("campaign"))->text, "spring");
    assert_int_equal(message_meta(&back, STR("weight"))->number, -3);
    assert_int_equal(message_meta(&back, STR("bulk"))->kind, META_BOOLEAN);
    assert_null(message_meta(&back, STR("other")));
    buf_put(&wrong, buf_str(&out));
    tlv_put(&wrong, 102, STR("\144\006\002\001\007\001\001n")); /* of a kind that is none */
    assert_int_equal(wire_message(buf_str(&wrong), &a, &back, &found, &count).code, ERR_CORRUPT);
}

static void tags_of_a_later_version_survive_a_move(void **state)
{
    struct message m = sample(), back;
    struct piece moved = {9, 4096, 100}, *found;
    struct buf out BUF_LOCAL = {0}, again BUF_LOCAL = {0};
    struct arena a ARENA_LOCAL = {0};
    struct tlv_reader reader;
    struct tlv item;
    uint32_t count;
    bool has_it = false;

    (void)state;
    wire_put_message(&out, &m, NULL, 0);
    tlv_put(&out, 120, STR("from tomorrow"));
    wire_put_message_moved(&again, buf_str(&out), &moved, 1);
    assert_int_equal(wire_message(buf_str(&again), &a, &back, &found, &count).code, OK);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].generation, 9);
    reader = tlv_read(buf_str(&again));
    while (tlv_next(&reader, &item)) {
        has_it = has_it || (item.tag == 120 && str_eq(item.value, STR("from tomorrow")));
    }
    assert_true(has_it);
}

static void states_come_back_one_by_one(void **state)
{
    struct message m = sample();
    struct buf out BUF_LOCAL = {0};
    struct wire_states states;
    struct rcpt_state s;
    struct str raw;
    uint32_t index;

    (void)state;
    wire_put_states(&out, m.id);
    wire_put_state(&out, 5, &m.to[0].state);
    wire_put_state(&out, 6, &m.to[1].state);
    assert_int_equal(wire_states(buf_str(&out), &states).code, OK);
    assert_int_equal(states.id, m.id);
    assert_int_equal(wire_states_next(&states, &index, &raw).code, OK);
    assert_int_equal(index, 5);
    assert_int_equal(wire_states_next(&states, &index, &raw).code, OK);
    assert_int_equal(index, 6);
    assert_int_equal(wire_state(raw, &s).code, OK);
    assert_int_equal(s.status, RCPT_FAILED);
    assert_int_equal(wire_states_next(&states, &index, &raw).code, ERR_NOT_FOUND);
}

static void every_cut_of_a_message_is_refused_or_whole(void **state)
{
    struct message m = sample(), back;
    struct buf out BUF_LOCAL = {0};
    struct piece *found;
    uint32_t count, refused = 0;

    (void)state;
    wire_put_message(&out, &m, NULL, 0);
    for (size_t len = 0; len < out.len; len++) {
        struct arena a ARENA_LOCAL = {0};

        refused += wire_message(str_head(buf_str(&out), len), &a, &back, &found, &count).code ==
                   ERR_CORRUPT;
    }
    assert_true(refused > out.len / 2);
}

static void numbers_out_of_bounds_are_corrupt(void **state)
{
    static const struct {
        uint8_t tag;
        uint64_t n;
    } bad[] = {{2, 4}, {3, 99}, {4, 70000}, {19, 200}, {21, 256}};
    struct rcpt_state s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct buf out BUF_LOCAL = {0};

        tlv_put_num(&out, bad[i].tag, bad[i].n);
        assert_int_equal(wire_state(buf_str(&out), &s).code, ERR_CORRUPT);
    }
}

static void a_record_is_only_itself_at_its_own_place(void **state)
{
    char at[RECORD_HEAD_BYTES + 8];
    struct record r = {.generation = 3, .offset = 4096, .meta_bytes = 5, .kind = RECORD_MESSAGE};
    struct record back;
    struct str meta;
    uint64_t need;

    (void)state;
    record_encode(&r, STR("hello"), at);
    memcpy(at + RECORD_HEAD_BYTES, "hello", 5);
    assert_int_equal(record_decode(str_make(at, sizeof at), 3, 4096, &back, &meta, &need),
                     RECORD_FOUND);
    EXPECT_STR(meta, "hello");
    assert_int_equal(record_decode(str_make(at, sizeof at), 4, 4096, &back, &meta, &need),
                     RECORD_NONE);
    assert_int_equal(record_decode(str_make(at, sizeof at), 3, 8192, &back, &meta, &need),
                     RECORD_NONE);
    assert_int_equal(record_decode(str_make(at, 42), 3, 4096, &back, &meta, &need), RECORD_MORE);
    assert_int_equal(need, RECORD_HEAD_BYTES + 5);
    for (size_t i = 0; i < RECORD_HEAD_BYTES + 5; i++) {
        at[i] = (char)(at[i] ^ 1);
        assert_int_not_equal(record_decode(str_make(at, sizeof at), 3, 4096, &back, &meta, &need),
                             RECORD_FOUND);
        at[i] = (char)(at[i] ^ 1);
    }
}

static void a_segment_of_a_newer_format_is_refused(void **state)
{
    static char block[BLOCK_BYTES];
    struct segment_head h = {.format = STORE_FORMAT, .generation = 5, .previous = 4}, back;

    (void)state;
    segment_head_encode(&h, block);
    assert_int_equal(segment_head_decode(str_make(block, sizeof block), 5, &back), SEGMENT_FOUND);
    assert_int_equal(back.previous, 4);
    assert_int_equal(segment_head_decode(str_make(block, sizeof block), 6, &back),
                     SEGMENT_NOT_BEGUN);
    h.format = STORE_FORMAT + 1;
    segment_head_encode(&h, block);
    assert_int_equal(segment_head_decode(str_make(block, sizeof block), 5, &back), SEGMENT_NEWER);
    memset(block + 16, 0xff, 200); /* whatever a newer frame looks like */
    assert_int_equal(segment_head_decode(str_make(block, sizeof block), 5, &back), SEGMENT_NEWER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_back_as_it_was),
        cmocka_unit_test(what_filters_said_of_queueing_comes_back),
        cmocka_unit_test(tags_of_a_later_version_survive_a_move),
        cmocka_unit_test(states_come_back_one_by_one),
        cmocka_unit_test(every_cut_of_a_message_is_refused_or_whole),
        cmocka_unit_test(numbers_out_of_bounds_are_corrupt),
        cmocka_unit_test(a_record_is_only_itself_at_its_own_place),
        cmocka_unit_test(a_segment_of_a_newer_format_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
