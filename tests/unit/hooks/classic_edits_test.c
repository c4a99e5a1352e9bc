/* The classic dialect: what the answers of a stage do to a message, all together. */
#include "base/check.h"
#include "sample.h"

#define ADD(name, value) "{\"type\":\"addHeader\",\"name\":\"" name "\",\"value\":\"" value "\"}"
#define INSERT(index, name, value)                                                                 \
    "{\"type\":\"insertHeader\",\"index\":" #index ",\"name\":\"" name "\",\"value\":\"" value "\"}"
#define CHANGE(index, name, value)                                                                 \
    "{\"type\":\"changeHeader\",\"index\":" #index ",\"name\":\"" name "\",\"value\":\"" value "\"}"
#define DELETE(index, name) "{\"type\":\"deleteHeader\",\"index\":" #index ",\"name\":\"" name "\"}"
#define BODY(value)         "{\"type\":\"replaceContents\",\"value\":\"" value "\"}"
#define FROM(value, rest)   "{\"type\":\"changeFrom\",\"value\":\"" value "\"" rest "}"
#define TO(value, rest)     "{\"type\":\"addRecipient\",\"value\":\"" value "\"" rest "}"
#define NOT_TO(value)       "{\"type\":\"deleteRecipient\",\"value\":\"" value "\"}"
#define PARAMS(members)     ",\"parameters\":{" members "}"

/* Answers of one stage, one after the other; then the outcome is checked and applied. */
static void play(const char *const *answers, struct hook_view *v, const struct hook_bounds *bounds,
                 struct arena *a, struct hook_outcome *ret, struct hook_view *after)
{
    const struct hook_terms terms = {.answer_bytes_max = 1 << 20};
    struct hook_pending pending = {0};
    struct buf why BUF_LOCAL = {0};
    uint32_t next_id = 100;

    for (size_t i = 0; answers[i] != NULL; i++) {
        struct hook_answer answer = {200, STR_EMPTY, STR_EMPTY};

        answer.body = arena_printf(a, "{\"action\":%s]}", answers[i]);
        if (hook_classic.decode(&answer, v, &terms, &pending, a, ret, &why).code != OK) {
            fail_msg("%.*s: %.*s", STR_ARG(answer.body), STR_ARG(buf_str(&why)));
        }
    }
    hook_classic.finish(&pending, v, a, ret);
    if (hook_outcome_check(ret, v, bounds, a, &why).code != OK) {
        fail_msg("%s: %.*s", answers[0], STR_ARG(buf_str(&why)));
    }
    hook_view_apply(v, ret, &next_id, a, after);
}

#define ACCEPT(list)     "\"accept\",\"modifications\":[" list
#define QUARANTINE(list) "\"quarantine\",\"modifications\":[" list

#define TAIL "To: bo@example.|X-Tag: one|Subject: invoice|X-Tag: two"
#define REST "From: ann@a.examp|" TAIL
#define BASE "Received: from a.exam|" REST

/* V1 to V10; CL-31 to CL-36, CL-40, Q23. */
static void header_fields_are_changed_by_name_and_place(void **state)
{
    static const struct {
        const char *answers[3];
        const char *want;
    } rows[] = {
        /* V1 */
        {{ACCEPT(ADD("X-A", "1") "," ADD("X-B", "2"))}, "X-A: 1|X-B: 2|" BASE},
        /* V2 */
        {{ACCEPT(ADD("X-A", "1") "," ADD("X-B", "2") "," DELETE(9, "X-Tag"))},
         "X-B: 2|X-A: 1|" BASE},
        /* V3 */
        {{ACCEPT(DELETE(1, "x-tag") "," CHANGE(1, "X-TAG", "three"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|Subject: invoice|X-Tag: three"},
        /* V4 */
        {{ACCEPT(DELETE(1, "Subject") "," CHANGE(1, "Subject", "again"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|X-Tag: one|X-Tag: two"},
        /* V5 */
        {{ACCEPT(INSERT(2, "X-Tag", "mid"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|X-Tag: one|Subject: invoice|"
         "X-Tag: mid|X-Tag: two"},
        /* V6 */
        {{ACCEPT(INSERT(7, "X-Tag", "late"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|X-Tag: one|Subject: invoice|"
         "X-Tag: late|X-Tag: two"},
        /* V7 */
        {{ACCEPT(INSERT(0, "X-Tag", "top"))}, "X-Tag: top|" BASE},
        {{ACCEPT(INSERT(3, "X-New", "top"))}, "X-New: top|" BASE},
        /* V8 */
        {{ACCEPT(CHANGE(3, "X-New", "fresh"))}, "X-New: fresh|" BASE},
        /* V9 */
        {{ACCEPT(CHANGE(3, "X-Tag", "none"))}, BASE},
        {{ACCEPT(CHANGE(0, "X-Tag", "none"))}, BASE},
        /* V10 */
        {{ACCEPT(CHANGE(1, "Subject", " spaced"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|X-Tag: one|Subject: spaced|"
         "X-Tag: two"},
        /* a change to nothing deletes, and is a rewrite even where there is nothing */
        {{ACCEPT(CHANGE(1, "Received", ""))}, REST},
        {{ACCEPT(ADD("X-A", "1") "," ADD("X-B", "2") "," CHANGE(1, "X-New", ""))},
         "X-B: 2|X-A: 1|" BASE},
        /* deletions shift the counts of what follows */
        {{ACCEPT(DELETE(1, "X-Tag") "," DELETE(1, "X-Tag"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|Subject: invoice"},
        {{ACCEPT(DELETE(1, "X-Tag") "," DELETE(2, "X-Tag"))},
         "Received: from a.exam|From: ann@a.examp|To: bo@example.|Subject: invoice|X-Tag: two"},
        /* one pass over all answers: the second makes the first one's additions turn round */
        {{ACCEPT(ADD("X-A", "1") "," ADD("X-B", "2")), ACCEPT(DELETE(9, "X-Tag"))},
         "X-B: 2|X-A: 1|" BASE},
        {{ACCEPT(ADD("X-A", "1")), ACCEPT(ADD("X-B", "2"))}, "X-A: 1|X-B: 2|" BASE},
        /* CL-27 */
        {{QUARANTINE("")}, "X-Quarantine: true|" BASE},
        {{ACCEPT(ADD("X-A", "1")), QUARANTINE(ADD("X-B", "2"))},
         "X-Quarantine: true|X-A: 1|X-B: 2|" BASE},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o;

        play(rows[i].answers, &v, &sample_bounds, &a, &o, &after);
        sample_show_fields(&after, &got);
        EXPECT_STR(buf_str(&got), rows[i].want);
        assert_int_equal(o.edit_count, strcmp(rows[i].want, BASE) != 0);
        for (uint32_t n = 0; n < after.field_count; n++) {
            assert_true(str_ends(after.fields[n].whole, STR("\r\n")));
        }
    }
}

/* 2.7.3 of the reference: one blank, one CR LF; what nobody changed keeps its bytes. */
static void fields_are_written_with_one_blank_and_one_end(void **state)
{
    static const char *const answers[] = {
        ACCEPT(ADD("X-A", "1\\r\\n") "," ADD("X-B", "\\tb\\r\\n c")), NULL};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o;

    (void)state;
    play(answers, &v, &sample_bounds, &a, &o, &after);
    EXPECT_STR(after.fields[0].whole, "X-A: 1\r\n");
    EXPECT_STR(after.fields[1].whole, "X-B:\tb\r\n c\r\n");
    for (uint32_t i = 0; i < v.field_count; i++) {
        assert_ptr_equal(after.fields[i + 2].whole.ptr, v.fields[i].whole.ptr);
    }
    assert_int_equal(after.message_bytes, v.message_bytes + 8 + 12);
}

/* Section 6.2 of the reference: UTF-8 as it is in mail with SMTPUTF8, else in words of RFC 2047. */
static void a_value_beyond_ascii_is_encoded_where_it_is_text(void **state)
{
    static const char *const answers[] = {
        ACCEPT(CHANGE(1, "Subject", " caf\\u00e9\\r\\n two") "," ADD("X-A", "1")), NULL};

    (void)state;
    for (int utf8 = 0; utf8 < 2; utf8++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o;

        v.smtputf8 = utf8 > 0;
        play(answers, &v, &sample_bounds, &a, &o, &after);
        EXPECT_STR(after.fields[5].whole, utf8 > 0 ? "Subject: caf\xc3\xa9\r\n two\r\n"
                                                   : "Subject: =?UTF-8?B?Y2Fmw6kgdHdv?=\r\n");
    }
}

/* What came raw may be changed raw: the message needs 8-bit text already. */
static void raw_text_that_came_can_be_changed(void **state)
{
    static const char *const answers[] = {
        QUARANTINE(CHANGE(1, "From", "[x] caf\\u00e9 <a@b>") "," CHANGE(1, "X-T", "\\u00e9")),
        NULL};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o;

    (void)state;
    sample_message(&v, STR("X-T: x\r\nFrom: caf\xe9 <a@b>\r\n"), STR(SAMPLE_BODY), &a);
    play(answers, &v, &sample_bounds, &a, &o, &after);
    assert_int_equal(o.action, HOOK_QUARANTINE);
    EXPECT_STR(after.fields[after.field_count - 1].whole, "From: [x] caf\xc3\xa9 <a@b>\r\n");
    EXPECT_STR(after.fields[after.field_count - 2].whole, "X-T: =?UTF-8?B?w6k=?=\r\n");
}

/* V11, V12; CL-37 to CL-39, 2.7.2 of the reference. */
static void the_last_answer_that_has_a_body_gives_it(void **state)
{
    static const struct {
        const char *answers[4];
        const char *want;
    } rows[] = {
        {{ACCEPT(BODY("one ") "," BODY("two\\r\\n"))}, "one two\r\n"},
        {{ACCEPT(BODY(""))}, SAMPLE_BODY},
        {{ACCEPT(BODY("") "," BODY("x") "," BODY(""))}, "x"},
        {{ACCEPT(BODY("a")), ACCEPT(BODY("b") "," BODY("c"))}, "bc"},
        {{ACCEPT(BODY("a") "," BODY("b")), ACCEPT(""), ACCEPT(BODY("c"))}, "c"},
        {{ACCEPT(BODY("a")), ACCEPT(BODY(""))}, "a"},
        {{ACCEPT(BODY("a")), ACCEPT(ADD("X", "y"))}, "a"},
        {{ACCEPT(BODY("\\n.\\r\\u00e9"))}, "\n.\r\xc3\xa9"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o;

        play(rows[i].answers, &v, &sample_bounds, &a, &o, &after);
        EXPECT_STR(after.body.whole, rows[i].want);
        assert_int_equal(after.body.size, strlen(rows[i].want));
        assert_int_equal(after.message_bytes - after.body.size,
                         v.message_bytes - v.body.size + (i == 6 ? 6 : 0));
    }
}

/* CL-42 to CL-48, CL-56; 2.7.1 of the reference, Q7, Q10, Q11, Q24. */
static void the_envelope_is_changed_address_by_address(void **state)
{
    static const struct {
        const char *answers[3];
        const char *want;
        uint32_t notes;
    } rows[] = {
        {{ACCEPT(FROM("<>", ""))}, " BODY=8BITMIME > bo@example.net, Cy@example.net", 0},
        {{ACCEPT(FROM("", ""))}, " BODY=8BITMIME > bo@example.net, Cy@example.net", 0},
        {{ACCEPT(FROM(" <Dan@B.Example> ", ""))},
         "Dan@b.example BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("<>", PARAMS("\"ENVID\":\"abc\",\"RET\":\"HDRS\"")))},
         " ENVID=abc RET=HDRS BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("<>", PARAMS("\"body\":\"7BIT\"")))},
         " body=7BIT > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("<>", PARAMS("\"SIZE\":54321")))},
         " SIZE=54321 BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("<>", ",\"parameters\":null"))},
         " BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("dan@b.example", PARAMS("\"RET\":\"SOME\"")))},
         "dan@b.example BODY=8BITMIME > bo@example.net, Cy@example.net",
         1},
        {{ACCEPT(FROM("dan@b.example", PARAMS("\"X\":true")))},
         "dan@b.example BODY=8BITMIME > bo@example.net, Cy@example.net",
         1},
        {{ACCEPT(FROM("dan", ""))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net",
         1},
        {{ACCEPT(FROM("a@b.example", "") "," FROM("c@d.example", ""))},
         "c@d.example BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("a@b.example", "")), ACCEPT(FROM("c@d.example", ""))},
         "c@d.example BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(FROM("d\\u00e9@b.example", ""))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net",
         1},
        {{ACCEPT(FROM("d\\u00e9@b.example", PARAMS("\"SMTPUTF8\":null")))},
         "d\xc3\xa9@b.example SMTPUTF8 BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
        {{ACCEPT(TO("dan@b.example", "") "," TO("eve@b.example", PARAMS("\"NOTIFY\":\"NEVER\"")))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net, dan@b.example, "
         "eve@b.example NOTIFY=NEVER",
         0},
        {{ACCEPT(TO("<dan@b.example>", "") "," TO("DAN@b.example",
                                                  "") "," TO("<>", "") "," TO("dan", ""))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net, dan@b.example",
         3},
        {{ACCEPT(TO("BO@Example.net", ""))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net",
         1},
        {{ACCEPT(TO("dan@b.example", PARAMS("\"NOTIFY\":\"SOMETIMES\"")))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net, dan@b.example",
         1},
        {{ACCEPT(NOT_TO("BO@Example.NET"))},
         "Ann@a.example ENVID=old BODY=8BITMIME > Cy@example.net",
         0},
        {{ACCEPT(NOT_TO("cy@example.net") "," NOT_TO("cy@example.net") "," NOT_TO("<>"))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net",
         0},
        {{ACCEPT(
             NOT_TO("bo@example.net") "," TO("bo@example.net", PARAMS("\"NOTIFY\":\"NEVER\"")))},
         "Ann@a.example ENVID=old BODY=8BITMIME > Cy@example.net, bo@example.net NOTIFY=NEVER",
         0},
        {{ACCEPT(TO("dan@b.example", "")), ACCEPT(NOT_TO("dan@b.example"))},
         "Ann@a.example ENVID=old BODY=8BITMIME > bo@example.net, Cy@example.net",
         0},
    };
    static const struct hook_param params[] = {{STR_INIT("ENVID"), STR_INIT("old"), true},
                                               {STR_INIT("BODY"), STR_INIT("8BITMIME"), true}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf got BUF_LOCAL = {0};
        struct hook_view v = sample_view(HOOK_DATA, &a), after;
        struct hook_outcome o;

        v.sender_params = (struct hook_params){params, 2};
        play(rows[i].answers, &v, &sample_bounds, &a, &o, &after);
        sample_show_envelope(&after, &got);
        EXPECT_STR(buf_str(&got), rows[i].want);
        assert_int_equal(o.notes.count, rows[i].notes);
    }
}

/* A scanner names recipients as it was shown them. */
static void a_recipient_is_known_by_the_name_it_was_shown_with(void **state)
{
    static const char *const answers[] = {ACCEPT(NOT_TO("bo@xn--bcher-kva.example")), NULL};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_rcpt to[2] = {v.to[0], v.to[1]};
    struct hook_outcome o;

    (void)state;
    to[0].address = STR("Bo@b\xc3\xbc"
                        "cher.example");
    v.to = to;
    v.smtputf8 = true;
    play(answers, &v, &sample_bounds, &a, &o, &after);
    assert_int_equal(after.to_count, 1);
    EXPECT_STR(after.to[0].address, "Cy@example.net");
}

/* CL-48 */
static void a_message_all_of_whose_recipients_are_deleted_is_discarded(void **state)
{
    static const char *const answers[] = {
        ACCEPT(NOT_TO("bo@example.net") "," NOT_TO("cy@example.net")), NULL};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o;

    (void)state;
    play(answers, &v, &sample_bounds, &a, &o, &after);
    assert_int_equal(o.action, HOOK_DISCARD);
}

/* CL-21 */
static void an_answer_that_wants_nothing_changes_nothing(void **state)
{
    static const char *const answers[] = {ACCEPT(""), ACCEPT(""), NULL};
    struct arena a ARENA_LOCAL = {0};
    struct hook_view v = sample_view(HOOK_DATA, &a), after;
    struct hook_outcome o;

    (void)state;
    play(answers, &v, &sample_bounds, &a, &o, &after);
    assert_int_equal(o.edit_count, 0);
    assert_ptr_equal(after.fields, v.fields);
    assert_ptr_equal(after.to, v.to);
    assert_int_equal(after.message_bytes, v.message_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_fields_are_changed_by_name_and_place),
        cmocka_unit_test(fields_are_written_with_one_blank_and_one_end),
        cmocka_unit_test(a_value_beyond_ascii_is_encoded_where_it_is_text),
        cmocka_unit_test(raw_text_that_came_can_be_changed),
        cmocka_unit_test(the_last_answer_that_has_a_body_gives_it),
        cmocka_unit_test(the_envelope_is_changed_address_by_address),
        cmocka_unit_test(a_recipient_is_known_by_the_name_it_was_shown_with),
        cmocka_unit_test(a_message_all_of_whose_recipients_are_deleted_is_discarded),
        cmocka_unit_test(an_answer_that_wants_nothing_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
