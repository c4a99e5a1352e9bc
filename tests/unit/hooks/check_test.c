#include "base/check.h"
#include "sample.h"

static struct err check(struct hook_outcome *o, const struct hook_view *v, struct arena *a,
                        struct buf *why)
{
    return hook_outcome_check(o, v, &sample_bounds, a, why);
}

/* CL-54's neighbours: what 3.14 of the reference allows where. */
static void an_action_is_one_of_the_stage(void **state)
{
    static const char *rows[HOOK_STAGES] = {
        /* accept quarantine reject discard disconnect continue cancel */
        [HOOK_CONNECT] = "1010100", [HOOK_EHLO] = "1010100",     [HOOK_AUTH] = "1010100",
        [HOOK_MAIL] = "1111100",    [HOOK_RCPT] = "1111100",     [HOOK_DATA] = "1111100",
        [HOOK_ROUTE] = "0000011",   [HOOK_DELIVERY] = "0000011", [HOOK_DEFER] = "0000011",
        [HOOK_DSN] = "0000011",
    };

    (void)state;
    for (int s = 0; s < HOOK_STAGES; s++) {
        for (int n = 0; n < HOOK_ACTIONS; n++) {
            struct arena a ARENA_LOCAL = {0};
            struct buf why BUF_LOCAL = {0};
            struct hook_view v = sample_view((enum hook_stage)s, &a);
            struct hook_outcome o = {.action = (enum hook_action)n};

            assert_int_equal(check(&o, &v, &a, &why).code == OK, rows[s][n] == '1');
            assert_int_equal(why.len > 0, rows[s][n] == '0');
        }
    }
}

static void an_edit_is_one_of_the_stage(void **state)
{
    static const struct {
        enum hook_stage stage;
        enum hook_edit_kind kind;
        bool is_good;
    } rows[] = {
        {HOOK_DATA, HOOK_EDIT_SENDER, true},      {HOOK_RCPT, HOOK_EDIT_SENDER, false},
        {HOOK_MAIL, HOOK_EDIT_SENDER, false},     {HOOK_DATA, HOOK_EDIT_BODY, true},
        {HOOK_RCPT, HOOK_EDIT_BODY, false},       {HOOK_DSN, HOOK_EDIT_BODY, true},
        {HOOK_DELIVERY, HOOK_EDIT_BODY, false},   {HOOK_DSN, HOOK_EDIT_DSN_DROP, true},
        {HOOK_DEFER, HOOK_EDIT_DSN_DROP, false},  {HOOK_DATA, HOOK_EDIT_MESSAGE, true},
        {HOOK_DELIVERY, HOOK_EDIT_SENDER, false}, {HOOK_EHLO, HOOK_EDIT_FIELDS, false},
        {HOOK_DATA, HOOK_EDIT_FIELDS, true},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view v = sample_view(rows[i].stage, &a);
        struct hook_outcome o = {.action = hook_stage_is_outbound(rows[i].stage) ? HOOK_CONTINUE
                                                                                 : HOOK_ACCEPT};

        hook_edit_add(&o, &a, rows[i].kind);
        assert_int_equal(check(&o, &v, &a, &why).code == OK, rows[i].is_good);
    }
}

/* SE-05 and section 6.4 of the reference; CL-46 and PT-08: no recipient twice. */
static void envelopes_are_those_a_client_could_have_sent(void **state)
{
    static const struct {
        enum hook_edit_kind kind;
        const char *address, *key, *value;
        const char *want; /* NULL: refused */
    } rows[] = {
        {HOOK_EDIT_SENDER, "dan@A.Example", NULL, NULL,
         "dan@a.example SIZE=88 > bo@example.net, Cy@example.net"},
        {HOOK_EDIT_SENDER, "", NULL, NULL, " SIZE=88 > bo@example.net, Cy@example.net"},
        {HOOK_EDIT_SENDER, "", "ENVID", "abc", " ENVID=abc > bo@example.net, Cy@example.net"},
        {HOOK_EDIT_SENDER, "d\xc3\xa9@a.example", "SMTPUTF8", NULL,
         "d\xc3\xa9@a.example SMTPUTF8 > bo@example.net, Cy@example.net"},
        {HOOK_EDIT_SENDER, "d\xc3\xa9@a.example", NULL, NULL, NULL},
        {HOOK_EDIT_SENDER, "dan", NULL, NULL, NULL},
        {HOOK_EDIT_SENDER, "<dan@a.example>", NULL, NULL, NULL},
        {HOOK_EDIT_SENDER, "dan@a.example", "RET", "SOME", NULL},
        {HOOK_EDIT_SENDER, "dan@a.example", "X Y", "1", NULL},
        {HOOK_EDIT_SENDER, "dan@a.example", "RET", "FULL BODY=8BITMIME", NULL},
        {HOOK_EDIT_SENDER, "dan@a.example", "RET", "FULL\r\nRCPT", NULL},
        {HOOK_EDIT_RCPT_ADD, "dan@a.example", NULL, NULL,
         "Ann@a.example SIZE=88 > bo@example.net, Cy@example.net, dan@a.example"},
        {HOOK_EDIT_RCPT_ADD, "dan@a.example", "NOTIFY", "NEVER",
         "Ann@a.example SIZE=88 > bo@example.net, Cy@example.net, dan@a.example NOTIFY=NEVER"},
        {HOOK_EDIT_RCPT_ADD, "BO@Example.NET", NULL, NULL,
         "Ann@a.example SIZE=88 > bo@example.net, Cy@example.net"},
        {HOOK_EDIT_RCPT_ADD, "dan@a.example", "SIZE", "1", NULL},
        {HOOK_EDIT_RCPT_ADD, "", NULL, NULL, NULL},
        {HOOK_EDIT_RCPT_ADD, "a@b>\r\nRCPT TO:<c@d", NULL, NULL, NULL},
        {HOOK_EDIT_RCPT_ADD, "a@b> NOTIFY=NEVER", NULL, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, got BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o = {.action = HOOK_ACCEPT};
        struct hook_edit *e = hook_edit_add(&o, &a, rows[i].kind);
        struct hook_param param = {str_of(rows[i].key), str_of(rows[i].value),
                                   rows[i].value != NULL};
        uint32_t next_id = 100;

        e->text = str_of(rows[i].address);
        e->has_params = rows[i].key != NULL;
        e->params = (struct hook_params){&param, rows[i].key != NULL};
        if (check(&o, &v, &a, &why).code != OK) {
            assert_null(rows[i].want);
            continue;
        }
        assert_non_null(rows[i].want);
        hook_view_apply(&v, &o, &next_id, &a, &after);
        sample_show_envelope(&after, &got);
        EXPECT_STR(buf_str(&got), rows[i].want);
    }
}

static void recipients_come_and_go_within_the_bounds(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, got BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o = {.action = HOOK_ACCEPT};
    uint32_t next_id = 100;

    (void)state;
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_REMOVE)->target = 10;
    for (int i = 0; i < 5; i++) {
        hook_edit_add(&o, &a, HOOK_EDIT_RCPT_ADD)->text = arena_printf(&a, "d%d@a.example", i);
    }
    /* Behind the last there is room for nothing is parsed. */
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_ADD)->text = STR("no address");
    assert_int_equal(check(&o, &v, &a, &why).code, OK);
    assert_int_equal(o.notes.count, 3);
    hook_view_apply(&v, &o, &next_id, &a, &after);
    sample_show_envelope(&after, &got);
    EXPECT_STR(buf_str(&got),
               "Ann@a.example SIZE=88 > Cy@example.net, d0@a.example, d1@a.example, d2@a.example");
    assert_int_equal(after.to[1].id, 100);
    assert_int_equal(after.to[3].id, 102);
    assert_int_equal(v.to_count, 2);
}

/* CL-48 */
static void a_message_without_recipients_is_discarded(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a);
    struct hook_outcome o = {.action = HOOK_ACCEPT};

    (void)state;
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_REMOVE)->target = 10;
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_REMOVE)->target = 11;
    assert_int_equal(check(&o, &v, &a, &why).code, OK);
    assert_int_equal(o.action, HOOK_DISCARD);
    assert_int_equal(o.edit_count, 0);
    o = (struct hook_outcome){.action = HOOK_ACCEPT};
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_REMOVE)->target = 10;
    hook_edit_add(&o, &a, HOOK_EDIT_RCPT_REMOVE)->target = 10;
    assert_int_equal(check(&o, &v, &a, &why).code, ERR_PROTOCOL);
}

/* Q19, SE-01: a mistake counts, what is merely mixed does not. */
static void behind_the_last_action_there_are_no_edits(void **state)
{
    static const enum hook_action last[] = {HOOK_REJECT, HOOK_DISCARD, HOOK_DISCONNECT};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(last); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a);
        struct hook_outcome o = {.action = last[i]};

        hook_edit_add(&o, &a, HOOK_EDIT_BODY)->text = STR("x\r\n");
        assert_int_equal(check(&o, &v, &a, &why).code, OK);
        assert_int_equal(o.edit_count, 0);
    }
}

/* What a check says of new fields and bodies, and what the message looks like behind it. */
static void a_message_stays_one_within_the_bounds(void **state)
{
    static char large[4096];
    static const struct {
        const char *name, *value, *body, *message;
        const char *want; /* NULL: refused */
        uint64_t bytes;
    } rows[] = {
        {"X-A", "1", NULL, NULL, "X-A: 1|From: ann@a.examp", 8 + 21 + 2 + 13},
        {"X-A", " 1\r\n", NULL, NULL, "X-A: 1|From: ann@a.examp", 8 + 21 + 2 + 13},
        {"X-A", "1\r\n\t2", NULL, NULL, "X-A: 1\r\n\t2|From: ann@a.examp", 12 + 21 + 2 + 13},
        {"X-A", "1\r\nX-B: 2", NULL, NULL, NULL, 0},
        {"X:A", "1", NULL, NULL, NULL, 0},
        {NULL, NULL, "new\r\n", NULL, "From: ann@a.examp", 21 + 2 + 5},
        {NULL, NULL, "", NULL, "From: ann@a.examp", 21 + 2},
        {NULL, NULL, large, NULL, NULL, 0},
        {NULL, NULL, NULL, "A: 1\r\nB: 2\r\n\r\nbody", "A: 1|B: 2", 18},
        {NULL, NULL, NULL, "\r\nA: 1", "", 6},
        {NULL, NULL, NULL, "no header", "", 9},
        {NULL, NULL, NULL, "", "", 0},
        {NULL, NULL, NULL, large, NULL, 0},
    };

    (void)state;
    memset(large, 'x', sizeof large - 1);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, got BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o = {.action = HOOK_ACCEPT};
        struct hook_field fields[2];
        uint32_t next_id = 100;

        sample_message(&v, STR("From: ann@a.example\r\n"), STR(SAMPLE_BODY), &a);
        if (rows[i].name != NULL) {
            struct hook_edit *e = hook_edit_add(&o, &a, HOOK_EDIT_FIELDS);

            fields[0] = (struct hook_field){str_of(rows[i].name), str_of(rows[i].value), STR_EMPTY};
            fields[1] = v.fields[0];
            e->fields = fields;
            e->field_count = 2;
        }
        if (rows[i].body != NULL) {
            hook_edit_add(&o, &a, HOOK_EDIT_BODY)->text = str_of(rows[i].body);
        }
        if (rows[i].message != NULL) {
            hook_edit_add(&o, &a, HOOK_EDIT_MESSAGE)->text = str_of(rows[i].message);
        }
        if (check(&o, &v, &a, &why).code != OK) {
            assert_null(rows[i].want);
            continue;
        }
        assert_non_null(rows[i].want);
        hook_view_apply(&v, &o, &next_id, &a, &after);
        sample_show_fields(&after, &got);
        EXPECT_STR(buf_str(&got), rows[i].want);
        assert_int_equal(after.message_bytes, rows[i].bytes);
    }
}

static void too_many_fields_are_refused(void **state)
{
    for (uint32_t count = 20; count <= 21; count++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a);
        struct hook_outcome o = {.action = HOOK_ACCEPT};
        struct hook_edit *e = hook_edit_add(&o, &a, HOOK_EDIT_FIELDS);
        struct hook_field *list = arena_array(&a, count, sizeof(*list));

        for (uint32_t i = 0; i < count; i++) {
            list[i] = (struct hook_field){STR("X"), STR("y"), STR_EMPTY};
        }
        e->fields = list;
        e->field_count = count;
        assert_int_equal(check(&o, &v, &a, &why).code, count == 20 ? OK : ERR_PROTOCOL);
    }
    (void)state;
}

/* A sender who goes right up to what we take, in fields or in bytes, does not keep a filter from
 * adding a field or from putting the content into another. */
static void what_came_at_the_bounds_can_still_be_added_to(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a);
    struct hook_outcome o = {.action = HOOK_QUARANTINE};
    struct hook_edit *e = hook_edit_add(&o, &a, HOOK_EDIT_FIELDS);
    struct hook_field *list = arena_array(&a, v.field_count + 1, sizeof(*list));
    struct hook_bounds at = {.fields_max = v.field_count,
                             .recipients_max = 4,
                             .header_bytes_max = v.message_bytes - v.body.size,
                             .message_bytes_max = v.message_bytes},
                       over;

    (void)state;
    memcpy(list + 1, v.fields, v.field_count * sizeof(*list));
    list[0] = (struct hook_field){STR("X-Spam"), STR("yes"), STR_EMPTY};
    e->fields = list;
    e->field_count = v.field_count + 1;
    over = hook_bounds_over(&at, &v);
    assert_int_equal(hook_outcome_check(&o, &v, &over, &a, &why).code, OK);
    assert_int_equal(o.edit_count, 1);

    assert_int_equal(over.fields_max, v.field_count + 4096);
    assert_int_equal(over.recipients_max, 4);
    assert_int_equal(over.header_bytes_max, at.header_bytes_max + 65536);
    assert_true(over.message_bytes_max >= v.message_bytes * 4 / 3 + 1000000);
    /* What came may lie over the bounds: our own trace is in it later, and settings change. */
    at = (struct hook_bounds){.fields_max = 1, .header_bytes_max = 1, .message_bytes_max = 1};
    over = hook_bounds_over(&at, &v);
    assert_int_equal(over.fields_max, v.field_count + 4096);
    assert_true(over.header_bytes_max > v.message_bytes - v.body.size);
    assert_true(over.message_bytes_max > v.message_bytes);
    at = (struct hook_bounds){UINT32_MAX, 1, UINT64_MAX, UINT64_MAX};
    over = hook_bounds_over(&at, &v);
    assert_true(over.fields_max == UINT32_MAX && over.message_bytes_max == UINT64_MAX);
}

/* Mail with raw 8-bit text in its header, of no dialect in particular. */
static void raw_text_in_a_header_does_not_spoil_an_answer(void **state)
{
    static const struct {
        const char *name, *value;
        bool utf8;
        const char *want; /* NULL: refused */
    } rows[] = {
        /* what came so may be changed so, in any case of its name, UTF-8 or not */
        {"SUBJECT", "[spam] caf\xe9", false, "SUBJECT: [spam] caf\xe9\r\n"},
        {"Subject", " [spam] caf\xc3\xa9", false, "Subject: [spam] caf\xc3\xa9\r\n"},
        {"Subject", "caf\xe9", true, "Subject: caf\xe9\r\n"},
        {"Subject", "caf\xe9\r\nBcc: x", false, NULL},
        {"Subject", "caf\xe9\x01", false, NULL},
        /* what did not is encoded where it is text */
        {"X-A", "caf\xc3\xa9", false, "X-A: =?UTF-8?B?Y2Fmw6k=?=\r\n"},
        {"Comments", " caf\xc3\xa9\r\n x", false, "Comments: =?UTF-8?B?Y2Fmw6kgeA==?=\r\n"},
        {"X-A", "caf\xe9", false, "X-A: =?UTF-8?B?Y2Fm77+9?=\r\n"},
        {"X-A", "caf\xe9", true, "X-A: =?UTF-8?B?Y2Fm77+9?=\r\n"},
        {"X-A", "caf\xc3\xa9", true, "X-A: caf\xc3\xa9\r\n"},
        {"X-A", "caf\xc3\xa9\nBcc: x", false, NULL},
        {"To", "caf\xc3\xa9", false, NULL},
        {"To", "caf\xc3\xa9", true, "To: caf\xc3\xa9\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o = {.action = HOOK_QUARANTINE};
        struct hook_edit *e = hook_edit_add(&o, &a, HOOK_EDIT_FIELDS);
        struct hook_field field = {str_of(rows[i].name), str_of(rows[i].value), STR_EMPTY};
        uint32_t next_id = 100;

        v.smtputf8 = rows[i].utf8;
        sample_message(&v, STR("From: a\r\nTo: b\r\nSubject: caf\xe9\r\n"), STR_EMPTY, &a);
        e->fields = &field;
        e->field_count = 1;
        if (check(&o, &v, &a, &why).code != OK) {
            assert_null(rows[i].want);
            continue;
        }
        assert_non_null(rows[i].want);
        hook_view_apply(&v, &o, &next_id, &a, &after);
        EXPECT_STR(after.fields[0].whole, rows[i].want);
    }
}

/* A message whose header section ended without an empty line gets one when it is changed: a new
 * body never becomes header. */
static void a_new_body_never_becomes_header(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o = {.action = HOOK_ACCEPT};
    uint32_t next_id = 100;

    (void)state;
    sample_message(&v, STR("A: 1"), STR_EMPTY, &a);
    v.no_separator = true;
    hook_edit_add(&o, &a, HOOK_EDIT_BODY)->text = STR("Bcc: e@evil\r\n");
    assert_int_equal(check(&o, &v, &a, &why).code, OK);
    hook_view_apply(&v, &o, &next_id, &a, &after);
    assert_false(after.no_separator);
    EXPECT_STR(after.fields[0].whole, "A: 1\r\n");
    assert_int_equal(after.message_bytes, 6 + 2 + 13);
}

/* 3.16 of the reference. */
static void a_status_changes_only_as_it_may(void **state)
{
    static const char *rows[] = {
        /* to: pending delivered deferred failed failed-silent */
        [HOOK_PENDING] = "00111", [HOOK_DELIVERED] = "00000",     [HOOK_DEFERRED] = "00011",
        [HOOK_FAILED] = "00101",  [HOOK_FAILED_SILENT] = "00000",
    };

    (void)state;
    for (int from = 0; from <= HOOK_FAILED_SILENT; from++) {
        for (int to = 0; to <= HOOK_FAILED_SILENT; to++) {
            struct arena a ARENA_LOCAL = {0};
            struct buf why BUF_LOCAL = {0};
            struct hook_view v = sample_view(HOOK_DELIVERY, &a), after;
            struct hook_rcpt r = v.to[0];
            struct hook_outcome o = {.action = HOOK_CONTINUE};
            struct hook_edit *e = hook_edit_add(&o, &a, HOOK_EDIT_RCPT_STATUS);
            uint32_t next_id = 100;
            bool may = rows[from][to] == '1';

            r.status = (enum hook_rcpt_status)from;
            v.to = &r;
            v.to_count = 1;
            e->target = r.id;
            e->status = (enum hook_rcpt_status)to;
            assert_int_equal(check(&o, &v, &a, &why).code, OK);
            assert_int_equal(o.edit_count, may);
            assert_int_equal(o.notes.count, !may);
            hook_view_apply(&v, &o, &next_id, &a, &after);
            assert_int_equal(after.to[0].status, may ? to : from);
        }
    }
}

static void times_are_for_recipients_that_are_tried_again(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DEFER, &a), after;
    struct hook_rcpt r[2] = {v.to[0], v.to[1]};
    struct hook_outcome o = {.action = HOOK_CONTINUE};
    struct hook_edit *e;
    uint32_t next_id = 100;

    (void)state;
    r[0].status = HOOK_FAILED;
    r[1].status = HOOK_FAILED;
    v.to = r;
    v.at.ms = 1000;
    v.expires.ms = 2000;
    e = hook_edit_add(&o, &a, HOOK_EDIT_RCPT_STATUS);
    e->target = 10;
    e->status = HOOK_DEFERRED;
    for (uint32_t id = 10; id <= 11; id++) {
        e = hook_edit_add(&o, &a, HOOK_EDIT_RCPT_TIMES);
        e->target = id;
        e->has_attempt = true;
        e->next_attempt.ms = 1500;
    }
    assert_int_equal(check(&o, &v, &a, &why).code, OK);
    assert_int_equal(o.edit_count, 2);
    hook_view_apply(&v, &o, &next_id, &a, &after);
    assert_int_equal(after.to[0].next_attempt.ms, 1500);
    assert_int_equal(after.to[1].next_attempt.ms, 0);
    v.at.ms = 2000; /* it has expired: nothing brings it back */
    o = (struct hook_outcome){.action = HOOK_CONTINUE};
    e = hook_edit_add(&o, &a, HOOK_EDIT_RCPT_STATUS);
    e->target = 10;
    e->status = HOOK_DEFERRED;
    assert_int_equal(check(&o, &v, &a, &why).code, OK);
    assert_int_equal(o.edit_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_action_is_one_of_the_stage),
        cmocka_unit_test(an_edit_is_one_of_the_stage),
        cmocka_unit_test(envelopes_are_those_a_client_could_have_sent),
        cmocka_unit_test(recipients_come_and_go_within_the_bounds),
        cmocka_unit_test(a_message_without_recipients_is_discarded),
        cmocka_unit_test(behind_the_last_action_there_are_no_edits),
        cmocka_unit_test(a_message_stays_one_within_the_bounds),
        cmocka_unit_test(too_many_fields_are_refused),
        cmocka_unit_test(what_came_at_the_bounds_can_still_be_added_to),
        cmocka_unit_test(raw_text_in_a_header_does_not_spoil_an_answer),
        cmocka_unit_test(a_new_body_never_becomes_header),
        cmocka_unit_test(a_status_changes_only_as_it_may),
        cmocka_unit_test(times_are_for_recipients_that_are_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
