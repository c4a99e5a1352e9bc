#include "../unit.h"
#include "base/buf.h"
#include "hooks/milter_part.h"

/* Fields with the values A, B, …: "To: A" and so on. */
static const struct hook_field before[] = {
    {STR_INIT("Received"), STR_INIT(" one"), STR_INIT("Received: one\r\n")},
    {STR_INIT("To"), STR_INIT("\ta,\r\n b"), STR_INIT("To:\ta,\r\n b\r\n")},
    {STR_INIT("X-A"), STR_INIT(" 1"), STR_INIT("X-A: 1\r\n")},
    {STR_INIT("x-a"), STR_INIT(" 2"), STR_INIT("x-a: 2\r\n")},
};
static const struct hook_rcpt people[] = {
    {.address = STR_INIT("a@x.example"), .id = 3},
    {.address = STR_INIT("b@x.example"), .id = 4},
    {.address = STR_INIT("a@X.example"), .id = 9},
};
static const struct hook_view view = {.stage = HOOK_DATA,
                                      .fields = before,
                                      .field_count = 4,
                                      .to = people,
                                      .to_count = 3,
                                      .has_message = true};
static const struct milter_terms all = {.version = 6, .rights = MILTER_RIGHTS},
                                 leading = {.version = 6,
                                            .rights = MILTER_RIGHTS,
                                            .steps = MILTER_LEADING_SPACE};

struct edit {
    enum milter_word word;
    uint32_t index;
    const char *name, *value;
};

/* The outcome of edits, or what is wrong with them. */
static struct err run(const struct edit *edits, const struct milter_terms *terms, struct arena *a,
                      struct hook_outcome *ret, const char **why)
{
    struct milter_edits e;
    struct err r = ERR_OK;

    *ret = (struct hook_outcome){.action = HOOK_ACCEPT};
    milter_edits_init(&e, &view, terms, a);
    for (; edits->word != 0 && r.code == OK; edits++) {
        struct milter_reply reply = {.word = edits->word,
                                     .index = edits->index,
                                     .name = str_of(edits->name),
                                     .value = str_of(edits->value)};

        r = milter_edits_add(&e, &reply, why);
    }
    if (r.code == OK) {
        r = milter_edits_finish(&e, ret, why);
    }
    milter_edits_done(&e);
    return r;
}

static const struct hook_edit *find(const struct hook_outcome *o, enum hook_edit_kind kind)
{
    for (uint32_t i = 0; i < o->edit_count; i++) {
        if (o->edits[i].kind == kind) {
            return &o->edits[i];
        }
    }
    return NULL;
}

/* "Name:value|" for each; what kept its own bytes is marked. */
static struct str shown(const struct hook_edit *e, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    for (uint32_t i = 0; i < e->field_count; i++) {
        buf_printf(&out, "%s%.*s:%.*s|", e->fields[i].whole.len > 0 ? "=" : "",
                   STR_ARG(e->fields[i].name), STR_ARG(e->fields[i].value));
    }
    return arena_dup(a, buf_str(&out));
}

#define R "=Received: one|"
#define T "=To:\ta,\r\n b|"

static void fields_are_counted_as_other_servers_count_them(void **state)
{
    static const struct {
        struct edit edits[6];
        const char *after;
    } cases[] = {
        {{{MILTER_ADD_HEADER, 0, "N", "v"}}, R T "=X-A: 1|=x-a: 2|N: v|"},
        {{{MILTER_INSERT_HEADER, 0, "N", "v"}}, "N: v|" R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_INSERT_HEADER, 1, "N", "v"}}, "N: v|" R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_INSERT_HEADER, 2, "N", "v"}}, R "N: v|" T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_INSERT_HEADER, 5, "N", "v"}}, R T "=X-A: 1|=x-a: 2|N: v|"},
        {{{MILTER_INSERT_HEADER, 0xffffffff, "N", "v"}}, R T "=X-A: 1|=x-a: 2|N: v|"},
        {{{MILTER_INSERT_HEADER, 1, "N", "1"}, {MILTER_INSERT_HEADER, 1, "N", "2"}},
         "N: 2|N: 1|" R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 1, "X-a", "v"}}, R T "X-a: v|=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 0, "X-A", "v"}}, R T "X-A: v|=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 2, "X-A", "v"}}, R T "=X-A: 1|X-A: v|"},
        {{{MILTER_CHANGE_HEADER, 3, "X-A", "v"}}, R T "=X-A: 1|=x-a: 2|X-A: v|"},
        {{{MILTER_CHANGE_HEADER, 1, "X-A", ""}}, R T "=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 3, "X-A", ""}}, R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 1, "Subject", ""}}, R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_CHANGE_HEADER, 1, "Subject", "s"}}, R T "=X-A: 1|=x-a: 2|Subject: s|"},
        {{{MILTER_CHANGE_HEADER, 2, "X-A", ""}, {MILTER_CHANGE_HEADER, 1, "X-A", ""}}, R T},
        {{{MILTER_CHANGE_HEADER, 1, "X-A", ""}, {MILTER_CHANGE_HEADER, 1, "X-A", "v"}},
         R T "X-A: v|"},
        {{{MILTER_INSERT_HEADER, 1, "X-A", "0"}, {MILTER_CHANGE_HEADER, 1, "X-A", "v"}},
         "X-A: v|" R T "=X-A: 1|=x-a: 2|"},
        {{{MILTER_ADD_HEADER, 0, "N", "a\n\tb\r\n c"}}, R T "=X-A: 1|=x-a: 2|N: a\r\n\tb\r\n c|"},
        {{{MILTER_ADD_HEADER, 0, "N", ""}}, R T "=X-A: 1|=x-a: 2|N: |"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_outcome o;
        const char *why;

        assert_int_equal(run(cases[i].edits, &all, &a, &o, &why).code, OK);
        assert_int_equal(o.edit_count, 1);
        EXPECT_STR(shown(find(&o, HOOK_EDIT_FIELDS), &a), cases[i].after);
    }
}

static void the_blank_behind_the_colon_may_be_the_filters_own(void **state)
{
    static const struct edit edits[] = {{MILTER_ADD_HEADER, 0, "N", "v"},
                                        {MILTER_CHANGE_HEADER, 1, "X-A", "\tw"},
                                        {0, 0, NULL, NULL}};
    struct arena a ARENA_LOCAL = {0};
    struct hook_outcome o;
    const char *why;

    (void)state;
    assert_int_equal(run(edits, &leading, &a, &o, &why).code, OK);
    EXPECT_STR(shown(find(&o, HOOK_EDIT_FIELDS), &a), R T "X-A:\tw|=x-a: 2|N:v|");
}

static void a_body_comes_in_pieces_and_has_whole_line_ends(void **state)
{
    static const struct edit edits[] = {{MILTER_REPLACE_BODY, 0, NULL, "a\nb\r"},
                                        {MILTER_REPLACE_BODY, 0, NULL, "\nc"},
                                        {MILTER_REPLACE_BODY, 0, NULL, "\n\n"},
                                        {0, 0, NULL, NULL}},
                             empty[] = {{MILTER_REPLACE_BODY, 0, NULL, ""}, {0, 0, NULL, NULL}};
    struct arena a ARENA_LOCAL = {0};
    struct hook_outcome o;
    const char *why;

    (void)state;
    assert_int_equal(run(edits, &all, &a, &o, &why).code, OK);
    assert_int_equal(o.edit_count, 1);
    EXPECT_STR(find(&o, HOOK_EDIT_BODY)->text, "a\r\nb\r\nc\r\n\r\n");
    assert_int_equal(run(empty, &all, &a, &o, &why).code, OK);
    EXPECT_STR(find(&o, HOOK_EDIT_BODY)->text, "");
}

/* "-3 +c@y " and the like. */
static struct str shown_people(const struct hook_outcome *o, struct arena *a)
{
    struct buf out BUF_LOCAL = {0};

    for (uint32_t i = 0; i < o->edit_count; i++) {
        const struct hook_edit *e = &o->edits[i];

        if (e->kind == HOOK_EDIT_RCPT_REMOVE) {
            buf_printf(&out, "-%u ", e->target);
        } else if (e->kind == HOOK_EDIT_RCPT_ADD) {
            buf_printf(&out, "+%.*s ", STR_ARG(e->text));
        }
        for (uint32_t p = 0; e->has_params && p < e->params.count; p++) {
            buf_printf(&out, "%.*s%s%.*s ", STR_ARG(e->params.items[p].key),
                       e->params.items[p].has_value ? "=" : "", STR_ARG(e->params.items[p].value));
        }
    }
    return arena_dup(a, buf_str(&out));
}

static void recipients_come_and_go(void **state)
{
    static const struct {
        struct edit edits[4];
        const char *after;
    } cases[] = {
        {{{MILTER_ADD_RCPT, 0, "<c@y.example>", NULL}}, "+c@y.example "},
        {{{MILTER_ADD_RCPT, 0, "c@y.example", NULL}}, "+c@y.example "},
        {{{MILTER_ADD_RCPT, 0, "<b@X.EXAMPLE>", NULL}}, ""},
        {{{MILTER_ADD_RCPT, 0, "<c@y>", NULL}, {MILTER_ADD_RCPT, 0, "<c@Y>", NULL}}, "+c@y "},
        {{{MILTER_DELETE_RCPT, 0, "<b@x.example>", NULL}}, "-4 "},
        {{{MILTER_DELETE_RCPT, 0, "<B@x.example>", NULL}}, ""},
        {{{MILTER_DELETE_RCPT, 0, "<a@x.example>", NULL}}, "-3 -9 "},
        {{{MILTER_DELETE_RCPT, 0, "b@x.example", NULL},
          {MILTER_DELETE_RCPT, 0, "b@x.example", NULL}},
         "-4 "},
        {{{MILTER_ADD_RCPT, 0, "<c@y>", NULL}, {MILTER_DELETE_RCPT, 0, "<c@y>", NULL}}, ""},
        {{{MILTER_DELETE_RCPT, 0, "<b@x.example>", NULL},
          {MILTER_ADD_RCPT, 0, "<b@x.example>", NULL}},
         "-4 +b@x.example "},
        {{{MILTER_ADD_RCPT_PARAMS, 0, "<c@y>", "NOTIFY=NEVER  X"}}, "+c@y NOTIFY=NEVER X "},
        {{{MILTER_DELETE_RCPT, 0, "<nobody@y>", NULL}}, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct arena a ARENA_LOCAL = {0};
        struct hook_outcome o;
        const char *why;

        assert_int_equal(run(cases[i].edits, &all, &a, &o, &why).code, OK);
        EXPECT_STR(shown_people(&o, &a), cases[i].after);
    }
}

static void the_sender_and_quarantine_are_changed(void **state)
{
    static const struct edit edits[] = {{MILTER_CHANGE_SENDER, 0, "<x@y>", NULL},
                                        {MILTER_CHANGE_SENDER, 0, "<>", "BODY=8BITMIME"},
                                        {MILTER_QUARANTINE, 0, NULL, "looks bad\r\n"},
                                        {0, 0, NULL, NULL}},
                             bad[] = {{MILTER_CHANGE_SENDER, 0, "<x@y>", "=1"}, {0, 0, NULL, NULL}};
    struct arena a ARENA_LOCAL = {0};
    struct hook_outcome o;
    const struct hook_edit *e;
    const char *why;

    (void)state;
    assert_int_equal(run(edits, &all, &a, &o, &why).code, OK);
    e = find(&o, HOOK_EDIT_SENDER);
    EXPECT_STR(e->text, "");
    assert_true(e->has_params);
    EXPECT_STR(e->params.items[0].key, "BODY");
    assert_int_equal(o.action, HOOK_QUARANTINE);
    EXPECT_STR(o.reason, "looks bad  ");
    assert_int_equal(run(bad, &all, &a, &o, &why).code, ERR_PROTOCOL);
}

static void an_edit_without_its_right_is_refused(void **state)
{
    static const struct edit edits[][2] = {
        {{MILTER_ADD_HEADER, 0, "N", "v"}},       {{MILTER_INSERT_HEADER, 1, "N", "v"}},
        {{MILTER_CHANGE_HEADER, 1, "To", "v"}},   {{MILTER_REPLACE_BODY, 0, NULL, "v"}},
        {{MILTER_ADD_RCPT, 0, "<a@b>", NULL}},    {{MILTER_ADD_RCPT_PARAMS, 0, "<a@b>", NULL}},
        {{MILTER_DELETE_RCPT, 0, "<a@b>", NULL}}, {{MILTER_CHANGE_SENDER, 0, "<a@b>", NULL}},
        {{MILTER_QUARANTINE, 0, NULL, "x"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        struct arena a ARENA_LOCAL = {0};
        enum milter_right right;
        struct milter_terms less = all;
        struct hook_outcome o;
        const char *why = NULL;

        assert_true(milter_word_is_edit(edits[i][0].word, &right));
        less.rights &= ~(uint32_t)right;
        assert_int_equal(run(edits[i], &less, &a, &o, &why).code, ERR_PROTOCOL);
        assert_non_null(why);
        assert_int_equal(o.edit_count, 0);
        less.rights = (uint32_t)right;
        assert_int_equal(run(edits[i], &less, &a, &o, &why).code, OK);
    }
}

/* A milter that marks a raw subject and quotes it in a field of its own, as many do. */
static void raw_text_is_marked_and_quoted(void **state)
{
    static const struct hook_field raw[] = {
        {STR_INIT("Subject"), STR_INIT(" caf\xe9"), STR_INIT("Subject: caf\xe9\r\n")}};
    static const struct hook_bounds bounds = {10, 10, 1000, 1000};
    static const struct edit edits[] = {{MILTER_CHANGE_HEADER, 1, "Subject", "[spam] caf\xe9"},
                                        {MILTER_ADD_HEADER, 0, "X-Report", "caf\xc3\xa9"},
                                        {MILTER_QUARANTINE, 0, NULL, "spam"},
                                        {0, 0, NULL, NULL}};
    struct arena a ARENA_LOCAL = {0};
    struct buf bad BUF_LOCAL = {0};
    struct hook_view v = {.stage = HOOK_DATA, .fields = raw, .field_count = 1, .message_bytes = 17};
    struct milter_edits e;
    struct hook_outcome o = {.action = HOOK_ACCEPT};
    const char *why;

    (void)state;
    v.has_message = true;
    milter_edits_init(&e, &v, &all, &a);
    for (const struct edit *i = edits; i->word != 0; i++) {
        const struct milter_reply reply = {
            .word = i->word, .index = i->index, .name = str_of(i->name), .value = str_of(i->value)};

        assert_int_equal(milter_edits_add(&e, &reply, &why).code, OK);
    }
    assert_int_equal(milter_edits_finish(&e, &o, &why).code, OK);
    assert_int_equal(hook_outcome_check(&o, &v, &bounds, &a, &bad).code, OK);
    assert_int_equal(o.action, HOOK_QUARANTINE);
    EXPECT_STR(shown(find(&o, HOOK_EDIT_FIELDS), &a),
               "Subject: [spam] caf\xe9|X-Report: =?UTF-8?B?Y2Fmw6k=?=|");
    milter_edits_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_counted_as_other_servers_count_them),
        cmocka_unit_test(the_blank_behind_the_colon_may_be_the_filters_own),
        cmocka_unit_test(a_body_comes_in_pieces_and_has_whole_line_ends),
        cmocka_unit_test(recipients_come_and_go),
        cmocka_unit_test(the_sender_and_quarantine_are_changed),
        cmocka_unit_test(an_edit_without_its_right_is_refused),
        cmocka_unit_test(raw_text_is_marked_and_quoted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
