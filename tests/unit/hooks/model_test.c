#include "base/check.h"
#include "sample.h"

static void stages_and_actions_have_names(void **state)
{
    (void)state;
    for (int s = 0; s < HOOK_STAGES; s++) {
        enum hook_stage found;

        assert_true(hook_stage_find(hook_stage_name((enum hook_stage)s), &found));
        assert_int_equal(found, s);
    }
    assert_false(hook_stage_find(STR("DATA"), &(enum hook_stage){0}));
    EXPECT_STR(hook_action_name(HOOK_QUARANTINE), "quarantine");
    EXPECT_STR(hook_action_name(HOOK_CANCEL), "cancel");
}

/* SE-01, SE-02 and section 6.2 of the reference. */
static void a_field_is_one_field(void **state)
{
    static const struct {
        const char *name, *value;
        const char *left; /* NULL: it is not good */
    } rows[] = {
        {"X-A", "one", "one"},
        {"X-A", "", ""},
        {"X-A", " ", " "},
        {"X-A", "one\r\n", "one"},
        {"X-A", "one\r\n two", "one\r\n two"},
        {"X-A", "one\r\n\ttwo\r\n", "one\r\n\ttwo"},
        {"X-A", "\r\n two", "\r\n two"},
        {"X-A", "a\tb", "a\tb"},
        {"!#$%&'*+-.^_`{|}~", "x", "x"},
        {"X-A", "x\r\nBcc: e@evil", NULL},
        {"X-A", "x\nBcc: e@evil", NULL},
        {"X-A", "x\rBcc: e@evil", NULL},
        {"X-A", "one\r\n\r\n", NULL},
        {"X-A", "one\n", NULL},
        {"X-A", "one\r", NULL},
        {"X-A", "one\r\n \r\n two", NULL},
        {"X-A", "one\r\n \t", NULL},
        {"X-A", "one\r\n ", NULL},
        {"X-A", "a\x01", NULL},
        {"X-A", "a\x7f", NULL},
        {"X-A", "a\x1b[2J", NULL},
        {"X-A", "\xc3\xa9", NULL},
        {"X Y", "x", NULL},
        {"X:", "x", NULL},
        {"", "x", NULL},
        {"X\xc3\xa9", "x", NULL},
        {"X\r\nY", "x", NULL},
        {"X\x7f", "x", NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str value = str_of(rows[i].value);
        bool is_good = hook_field_is_good(str_of(rows[i].name), &value, false);

        assert_int_equal(is_good, rows[i].left != NULL);
        if (is_good) {
            EXPECT_STR(value, rows[i].left);
        }
    }
}

static void a_field_may_have_utf8_where_the_message_may(void **state)
{
    struct str good = STR("\xc3\xa9"), bad = STR("\xc3"), nul = STR("a\0b");

    (void)state;
    assert_true(hook_field_is_good(STR("X"), &good, true));
    assert_false(hook_field_is_good(STR("X"), &bad, true));
    assert_false(hook_field_is_good(STR("X"), &nul, true));
}

static void no_line_of_a_field_has_more_than_998_octets(void **state)
{
    static char line[2000];
    static const struct {
        size_t len;
        bool is_good;
    } rows[] = {{994, true}, {995, false}};

    (void)state;
    memset(line, 'x', sizeof line);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str value = str_make(line, rows[i].len); /* "X-: " before it */

        assert_int_equal(hook_field_is_good(STR("X-"), &value, false), rows[i].is_good);
    }
    memcpy(line + 900, "\r\n ", 3);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct str value = str_make(line, 902 + 4 + rows[i].len);

        assert_int_equal(hook_field_is_good(STR("X-"), &value, false), rows[i].is_good);
    }
}

static void notes_are_not_without_end(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_outcome o = {0};

    (void)state;
    for (int i = 0; i < 100; i++) {
        hook_note(&o, &a, "note %d", i);
    }
    assert_int_equal(o.notes.count, 16);
    EXPECT_STR(o.notes.items[14], "note 14");
    EXPECT_STR(o.notes.items[15], "and more of the kind");
}

/* SE-03, SE-04, CL-29, CL-30 and section 6.3 of the reference. */
static void a_reply_is_one_good_line_that_fits(void **state)
{
    static const struct {
        enum hook_stage stage;
        enum hook_action action;
        uint16_t code;
        struct enhanced esc;
        const char *text;
        const char *want; /* NULL: none is left */
        uint32_t notes;
    } rows[] = {
        {HOOK_DATA, HOOK_REJECT, 554, {5, 7, 1}, "no", "554 5.7.1 no", 0},
        {HOOK_DATA, HOOK_REJECT, 451, {4, 3, 5}, "later", "451 4.3.5 later", 0},
        {HOOK_DATA, HOOK_REJECT, 550, {0}, "no", "550 0.0.0 no", 0},
        {HOOK_DATA, HOOK_REJECT, 321, {3, 1, 1}, "Test", NULL, 1},
        {HOOK_DATA, HOOK_REJECT, 250, {2, 0, 0}, "ok", NULL, 1},
        {HOOK_DATA, HOOK_REJECT, 600, {0}, "no", NULL, 1},
        {HOOK_DATA, HOOK_REJECT, 199, {0}, "no", NULL, 1},
        {HOOK_DATA, HOOK_REJECT, 65535, {0}, "no", NULL, 1},
        {HOOK_DATA, HOOK_DISCARD, 550, {0}, "no", NULL, 1},
        {HOOK_DATA, HOOK_DISCARD, 250, {2, 6, 0}, "taken", "250 2.6.0 taken", 0},
        {HOOK_DATA, HOOK_QUARANTINE, 354, {0}, "go", NULL, 1},
        {HOOK_CONNECT, HOOK_ACCEPT, 250, {0}, "hello", NULL, 1},
        {HOOK_CONNECT, HOOK_ACCEPT, 220, {0}, "hello", "220 0.0.0 hello", 0},
        {HOOK_CONNECT, HOOK_DISCONNECT, 421, {4, 7, 0}, "bye", "421 4.7.0 bye", 0},
        {HOOK_DELIVERY, HOOK_CONTINUE, 250, {0}, "ok", NULL, 1},
        {HOOK_DATA, HOOK_REJECT, 550, {4, 7, 1}, "no", "550 0.0.0 no", 1},
        {HOOK_DATA, HOOK_REJECT, 550, {5, 1000, 1}, "no", "550 0.0.0 no", 1},
        {HOOK_DATA, HOOK_REJECT, 550, {0}, "no\r\n250 ok", "550 0.0.0 Refused", 1},
        {HOOK_DATA, HOOK_REJECT, 451, {0}, "no\n", "451 0.0.0 Try again later", 1},
        {HOOK_DATA, HOOK_REJECT, 550, {0}, "a\tb", "550 0.0.0 a b", 0},
        {HOOK_DATA, HOOK_REJECT, 550, {0}, "", "550 0.0.0 Refused", 0},
        {HOOK_DATA, HOOK_REJECT, 550, {0}, "f\xc3\xbcr", "550 0.0.0 f??r", 1},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct hook_view v = sample_view(rows[i].stage, &a);
        struct hook_outcome o = {.action = rows[i].action,
                                 .reply = {rows[i].code, rows[i].esc, str_of(rows[i].text)}};

        hook_reply_check(&o, &v, &a);
        if (o.reply.code != 0) {
            buf_printf(&got, "%u %u.%u.%u %.*s", o.reply.code, o.reply.esc.class,
                       o.reply.esc.subject, o.reply.esc.detail, STR_ARG(o.reply.text));
        }
        EXPECT_STR(buf_str(&got), rows[i].want != NULL ? rows[i].want : "");
        assert_int_equal(o.notes.count, rows[i].notes);
    }
}

static void a_long_reply_is_cut_between_characters(void **state)
{
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a);
    static char text[10000];
    struct hook_outcome o = {.action = HOOK_REJECT, .reply = {550, {5, 7, 1}, {text, 10000}}};

    (void)state;
    text[0] = text[sizeof text - 1] = 'x';
    for (size_t i = 1; i + 1 < sizeof text; i += 2) {
        memcpy(text + i, "\xc3\xa9", 2);
    }
    v.smtputf8 = true;
    hook_reply_check(&o, &v, &a);
    assert_true(o.reply.text.len > 480);
    assert_true(o.reply.text.len + strlen("550 5.123.123 \r\n") <= 512);
    assert_true(str_is_utf8(o.reply.text));
    hook_reply_check(&o, &v, &a); /* once more changes nothing */
    assert_int_equal(o.notes.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_and_actions_have_names),
        cmocka_unit_test(a_field_is_one_field),
        cmocka_unit_test(a_field_may_have_utf8_where_the_message_may),
        cmocka_unit_test(no_line_of_a_field_has_more_than_998_octets),
        cmocka_unit_test(notes_are_not_without_end),
        cmocka_unit_test(a_reply_is_one_good_line_that_fits),
        cmocka_unit_test(a_long_reply_is_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
