#include "draft_view.h"

static const struct str all[] = {STR_INIT("/action"), STR_INIT("/response"), STR_INIT("/envelope"),
                                 STR_INIT("/message"), STR_INIT("/rawMessage")};

struct row {
    const char *id;
    enum hook_stage stage;
    const char *answer;
    const char *want; /* NULL: a bad answer, nothing is applied */
};

static struct err decode(const struct hook_view *view, const struct hook_terms *terms,
                         const char *json, struct arena *a, struct hook_outcome *ret,
                         struct buf *why)
{
    struct hook_answer answer = {200, STR("application/json"), str_of(json)};

    return hook_draft_01.decode(&answer, view, terms, NULL, a, ret, why);
}

static void expect_row(const struct row *row, const struct hook_view *view,
                       const struct hook_terms *terms)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, said BUF_LOCAL = {0};
    struct hook_outcome o = {0};
    struct err e = decode(view, terms, row->answer, &a, &o, &why);

    if ((e.code == OK) != (row->want != NULL)) {
        fail_msg("%s %s: %s %.*s", row->id, row->answer, err_name(e.code), STR_ARG(buf_str(&why)));
    }
    if (row->want == NULL) {
        assert_int_equal(e.code, ERR_PROTOCOL);
        assert_true(why.len > 0);
        return;
    }
    say_outcome(&said, &o);
    if (!str_eq(buf_str(&said), str_of(row->want))) {
        fail_msg("%s %s\ngot  %.*s\nwant %s", row->id, row->answer, STR_ARG(buf_str(&said)),
                 row->want);
    }
}

static void expect_rows(const struct row *rows, size_t count)
{
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));

    for (size_t i = 0; i < count; i++) {
        struct hook_view view = example_view(rows[i].stage);

        expect_row(&rows[i], &view, &terms);
    }
}

#define SET(path, value)       "{\"set\":[{\"path\":\"" path "\",\"value\":" value "}]}"
#define ADD(path, value)       "{\"add\":[{\"path\":\"" path "\",\"value\":" value "}]}"
#define DELETE(path)           "{\"delete\":[{\"path\":\"" path "\"}]}"
#define HEADER(name, value)    "{\"name\":\"" name "\",\"value\":\"" value "\"}"
#define OP(path, value)        "{\"path\":\"" path "\",\"value\":" value "}"
#define OP_AT(path, value, at) "{\"path\":\"" path "\",\"value\":" value ",\"index\":" at "}"
#define GONE(path)             "{\"path\":\"" path "\"}"

static void actions_and_replies(void **state)
{
    static const struct row rows[] = {
        {"DR-26", HOOK_DATA, "{}", "accept"},
        {"DR-26", HOOK_DATA, "{\"set\":null,\"add\":null,\"delete\":null}", "accept"},
        {"DR-26", HOOK_DATA, "{\"set\":[],\"add\":[],\"delete\":[]}", "accept"},
        {"DR-26", HOOK_DATA, "{\"unknown\":1}", "accept"},
        {"DR-32", HOOK_DATA, SET("/action", "\"reject\""), REFUSED},
        {"DR-33", HOOK_RCPT,
         "{\"set\":[" OP("/action", "\"reject\"") "," OP("/response/code", "451") "," OP(
             "/response/message", "\"later\"") "]}",
         "reject 451 later"},
        {"3.12", HOOK_DATA,
         "{\"set\":[" OP("/action", "\"reject\"") "," OP(
             "/response",
             "{\"code\":554,\"enhancedCode\":\"5.7.1\",\"message\":\"not wanted\"}") "]}",
         "reject 554 5.7.1 not wanted"},
        {"3.14", HOOK_DATA,
         "{\"set\":[" OP("/response/code", "451") "," OP("/response/enhancedCode",
                                                         "\"5.7.1\"") "]}",
         "accept; 2 noted"},
        {"3.14", HOOK_DATA, SET("/response/message", "\"only text\""), "accept; 1 noted"},
        {"3.13", HOOK_DATA, SET("/response/code", "700"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, SET("/response/code", "\"550\""), "accept; 1 noted"},
        {"3.13", HOOK_DATA, SET("/response/enhancedCode", "\"5.7\""), "accept; 1 noted"},
        {"DR-35", HOOK_DATA, SET("/action", "\"discard\""), "discard"},
        {"DR-35", HOOK_RCPT, SET("/action", "\"discard\""), "discard"},
        {"DR-36", HOOK_DATA, SET("/action", "\"quarantine\""), "quarantine"},
        {"DR-36", HOOK_MAIL, SET("/action", "\"quarantine\""), "quarantine"},
        {"3.14", HOOK_CONNECT, SET("/action", "\"reject\""), "reject 554 5.7.1 Refused by policy"},
        {"DR-38", HOOK_EHLO, SET("/action", "\"disconnect\""),
         "disconnect 421 4.7.0 Closing connection"},
        {"DR-39", HOOK_CONNECT, SET("/action", "\"discard\""), NULL},
        {"DR-39", HOOK_EHLO, SET("/action", "\"quarantine\""), NULL},
        {"DR-40", HOOK_DATA, SET("/action", "\"bogus\""), NULL},
        {"DR-40", HOOK_DATA, SET("/action", "null"), NULL},
        {"DR-40", HOOK_DATA, SET("/action", "\"continue\""), NULL},
        {"DR-40", HOOK_DELIVERY, SET("/action", "\"reject\""), NULL},
        {"DR-40", HOOK_DATA, DELETE("/action"), "accept; 1 noted"},
        {"DR-50", HOOK_RCPT, ADD("/message/headers", HEADER("X-A", "1")), NULL},
        {"DR-50", HOOK_MAIL, SET("/envelope/from", "{\"address\":null}"), NULL},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

#define FROM    "=From: a"
#define ONE     "=X-Tag:one"
#define SUBJECT "=Subject: invoice\r\n\tfor October"
#define TWO     "=X-Tag: two"

/* W1 to W7 are the reference's section 3.13. */
static void headers(void **state)
{
    static const struct row rows[] = {
        {"W1", HOOK_DATA,
         "{\"add\":[" OP_AT("/message/headers", HEADER("X-A", "1"),
                            "0") "," OP_AT("/message/headers", HEADER("X-B", "2"), "0") "]}",
         "accept; X-B: 2|X-A: 1|" FROM "|" ONE "|" SUBJECT "|" TWO},
        {"W2", HOOK_DATA,
         "{\"delete\":[" GONE("/message/headers/3") "," GONE("/message/headers/1") "]}",
         "accept; " FROM "|" SUBJECT},
        {"W3", HOOK_DATA,
         "{\"delete\":[" GONE("/message/headers/1") "," GONE("/message/headers/3") "]}",
         "accept; " FROM "|" SUBJECT "|" TWO "; 1 noted"},
        {"W4", HOOK_DATA,
         "{\"set\":[" OP("/message/headers/2/value", "\"PAID\"") "],\"add\":[" OP_AT(
             "/message/headers", HEADER("X-A", "1"),
             "0") "],\"delete\":[" GONE("/message/headers/2") "]}",
         "accept; X-A: 1|" FROM "|Subject: PAID|" TWO},
        {"W5", HOOK_DATA, "{\"add\":[" OP_AT("/message/headers", HEADER("X-Z", "1"), "4") "]}",
         "accept; " FROM "|" ONE "|" SUBJECT "|" TWO "|X-Z: 1"},
        {"W6", HOOK_DATA, "{\"add\":[" OP_AT("/message/headers", HEADER("X-Z", "1"), "5") "]}",
         "accept; 1 noted"},
        {"W7", HOOK_DATA,
         "{\"set\":[" OP("/rawMessage", "\"QTogYg0KDQpoaQ0K\"") "],\"add\":[" OP(
             "/message/headers", HEADER("X-A", "1")) "]}",
         "accept; message A: b\r\n\r\nhi\r\n; 1 noted"},
        {"DR-44", HOOK_DATA, ADD("/message/headers", HEADER("X-Z", " raw")),
         "accept; " FROM "|" ONE "|" SUBJECT "|" TWO "|X-Z: raw"},
        {"DR-44", HOOK_DATA, "{\"add\":[" OP_AT("/message/headers", HEADER("X-Z", ""), "null") "]}",
         "accept; " FROM "|" ONE "|" SUBJECT "|" TWO "|X-Z: "},
        {"DR-45", HOOK_DATA, SET("/message/headers/0/value", "\"b\""),
         "accept; From: b|" ONE "|" SUBJECT "|" TWO},
        {"DR-45", HOOK_DATA, SET("/message/headers/3/name", "\"X-New\""),
         "accept; " FROM "|" ONE "|" SUBJECT "|X-New: two"},
        /* the list as a whole: what is the same keeps its bytes */
        {"3.13", HOOK_DATA,
         SET("/message/headers",
             "[" HEADER("From", " a") "," HEADER("X-New", "1") "," HEADER("X-Tag", " two") "]"),
         "accept; " FROM "|X-New: 1|" TWO},
        {"3.13", HOOK_DATA, SET("/message/headers/0", HEADER("From", " a")), "accept"},
        {"3.13", HOOK_DATA, ADD("/message/headers/0", HEADER("X-A", "1")), "accept; 1 noted"},
        {"3.13", HOOK_DATA,
         "{\"add\":[" OP_AT("/message/headers", HEADER("X-A", "1"), "\"0\"") "]}",
         "accept; 1 noted"},
        {"3.13", HOOK_DATA, "{\"add\":[" OP_AT("/message/headers", HEADER("X-A", "1"), "-1") "]}",
         "accept; 1 noted"},
        {"3.13", HOOK_DATA, DELETE("/message/headers/00"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, DELETE("/message/headers/-"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, DELETE("/message/headers/+1"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, DELETE("/message/headers/0/name"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, ADD("/message/headers", "{\"name\":\"X\"}"), "accept; 1 noted"},
        {"3.13", HOOK_DATA, ADD("/message/headers", "\"X: y\""), "accept; 1 noted"},
        {"DR-54", HOOK_DATA,
         "{\"set\":[" OP("/message/headers/1/value",
                         "\"x\"") "],\"delete\":[" GONE("/message/headers/1") "]}",
         "accept; " FROM "|" SUBJECT "|" TWO},
        {"3.11", HOOK_DATA, SET("/message/subject", "\"paid\""),
         "accept; " FROM "|" ONE "|Subject: paid|" TWO},
        {"3.11", HOOK_DATA, SET("/message/subject", "\"gr\xc3\xbc\xc3\x9f\""),
         "accept; " FROM "|" ONE "|Subject: =?UTF-8?B?Z3LDvMOf?=|" TWO},
        {"3.11", HOOK_DATA,
         "{\"set\":[" OP("/message/subject",
                         "\"new\"") "],\"delete\":[" GONE("/message/headers/2") "]}",
         "accept; " FROM "|" ONE "|" TWO "|Subject: new"},
        {"3.11", HOOK_DATA, SET("/message/from", "[]"), "accept; 1 noted"},
        {"3.11", HOOK_DATA, SET("/message/bodyValues/1/value", "\"x\""), "accept; 1 noted"},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

/* The text of a raw subject is known to a hook with U+FFFD in it: marked, it may stand there. */
static void raw_text_is_marked_and_quoted(void **state)
{
    static const struct hook_field raw[] = {
        {STR_INIT("Subject"), STR_INIT(" caf\xe9"), STR_INIT("Subject: caf\xe9\r\n")}};
    static const struct hook_bounds bounds = {10, 10, 10000, 10000};
    static const char answer[] = "{\"set\":[" OP("/action", "\"quarantine\"") "," OP(
        "/message/headers/0/value",
        "\"[spam] caf\\ufffd\"") "],\"add\":[" OP("/message/headers",
                                                  HEADER("X-Report", "caf\\u00e9")) "]}";
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, said BUF_LOCAL = {0};
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);
    struct hook_outcome o = {0};

    (void)state;
    view.fields = raw;
    view.field_count = 1;
    view.message_bytes = raw[0].whole.len + 2 + view.body.size;
    assert_int_equal(decode(&view, &terms, answer, &a, &o, &why).code, OK);
    assert_int_equal(hook_outcome_check(&o, &view, &bounds, &a, &why).code, OK);
    say_outcome(&said, &o);
    EXPECT_STR(buf_str(&said), "quarantine; Subject: [spam] caf\xef\xbf\xbd|"
                               "X-Report: =?UTF-8?B?Y2Fmw6k=?=");
}

static void envelopes(void **state)
{
    static const struct row rows[] = {
        {"DR-46", HOOK_DATA, SET("/envelope/from", "{\"address\":null}"), "accept; from <>"},
        {"DR-46", HOOK_DATA, SET("/envelope/from/address", "null"), "accept; from <>"},
        {"DR-46", HOOK_DATA,
         SET("/envelope/from", "{\"address\":\"x@y\",\"parameters\":{\"RET\":\"HDRS\"}}"),
         "accept; from <x@y> RET=HDRS"},
        {"3.10", HOOK_DATA, SET("/envelope/from/parameters/BODY", "\"8BITMIME\""),
         "accept; from <ann@a.example> SIZE=10 SMTPUTF8 BODY=8BITMIME"},
        {"3.10", HOOK_DATA, DELETE("/envelope/from/parameters/SIZE"),
         "accept; from <ann@a.example> SMTPUTF8"},
        {"3.10", HOOK_DATA, SET("/envelope/from", "{\"address\":1}"), "accept; 1 noted"},
        {"3.10", HOOK_DATA, SET("/envelope/from/parameters", "{\"SIZE\":10}"), "accept; 1 noted"},
        {"DR-47", HOOK_DATA,
         "{\"add\":[" OP("/envelope/to", "{\"address\":null}") "," OP(
             "/envelope/to", "{\"address\":\"x@y\",\"parameters\":{}}") "]}",
         "accept; +<x@y>; 1 noted"},
        {"DR-48", HOOK_DATA, DELETE("/envelope/to/0"), "accept; -11"},
        {"3.13", HOOK_DATA, "{\"delete\":[" GONE("/envelope/to/1") "," GONE("/envelope/to/0") "]}",
         "accept; -11; -12"},
        {"3.13", HOOK_DATA, SET("/envelope/to/0/address", "\"x@y\""), "accept; -11; +<x@y>"},
        {"3.13", HOOK_DATA, SET("/envelope/to/0", "{\"address\":\"bo@example.net\"}"), "accept"},
        {"3.13", HOOK_DATA,
         SET("/envelope/to", "[{\"address\":\"x@y\",\"parameters\":{\"NOTIFY\":\"NEVER\"}},"
                             "{\"address\":\"bo@example.net\"}]"),
         "accept; -12; +<x@y> NOTIFY=NEVER"},
        {"3.13", HOOK_DATA, ADD("/envelope/to", "{\"address\":\"bo@EXAMPLE.net\"}"),
         "accept; 1 noted"},
        {"DR-53", HOOK_DATA,
         "{\"set\":[" OP("/rawMessage", "\"QTogYg0KDQpoaQ0K\"") "],\"add\":[" OP(
             "/envelope/to", "{\"address\":\"x@y\"}") "]}",
         "accept; +<x@y>; message A: b\r\n\r\nhi\r\n"},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

static void whole_messages(void **state)
{
    static const struct row rows[] = {
        /* "A: b", without an empty line */
        {"DR-51", HOOK_DATA, SET("/rawMessage", "\"QTogYg0K\""), "accept; 1 noted"},
        /* "A: b" CR LF "no colon" CR LF CR LF "x" */
        {"DR-51", HOOK_DATA, SET("/rawMessage", "\"QTogYg0Kbm8gY29sb24NCg0KeA==\""),
         "accept; 1 noted"},
        {"DR-51", HOOK_DATA, SET("/rawMessage", "\"QTogYg0KDQpoaQ0\""), "accept; 1 noted"},
        {"DR-51", HOOK_DATA, SET("/rawMessage", "\"\""), "accept; 1 noted"},
        {"DR-51", HOOK_DATA, SET("/rawMessage", "1"), "accept; 1 noted"},
        /* a failed one lets the others count */
        {"DR-51", HOOK_DATA,
         "{\"set\":[" OP("/rawMessage", "\"QTogYg0K\"") "," OP("/message/headers/0/value",
                                                               "\"b\"") "]}",
         "accept; From: b|" ONE "|" SUBJECT "|" TWO "; 1 noted"},
        {"DR-52", HOOK_DATA, SET("/rawMessage", "\"QTogYg0KDQo=\""),
         "accept; message A: b\r\n\r\n"},
        {"DR-62", HOOK_DATA, DELETE("/message"), "accept; 1 noted"},
        {"DR-62", HOOK_DSN, DELETE("/message"), "continue; drop"},
        {"DR-62", HOOK_DSN, DELETE("/rawMessage"), "continue; drop"},
        {"3.16", HOOK_DSN, SET("/action", "\"cancel\""), "continue; drop"},
        {"3.16", HOOK_DSN, SET("/message/subject", "\"x\""),
         "continue; " FROM "|" ONE "|Subject: x|" TWO},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

static void statuses(void **state)
{
    static const struct row rows[] = {
        {"DR-58", HOOK_DELIVERY, SET("/envelope/to/1/status", "\"failed-silent\""),
         "continue; 12 failed-silent"},
        {"DR-58", HOOK_DELIVERY, SET("/envelope/to/2/status", "\"failed-silent\""),
         "continue; 13 failed-silent"},
        {"3.16", HOOK_DELIVERY, SET("/envelope/to/1/status", "\"failed\""), "continue; 12 failed"},
        {"3.16", HOOK_DELIVERY, SET("/envelope/to/2/status", "\"deferred\""),
         "continue; 13 deferred"},
        {"DR-59", HOOK_DELIVERY, SET("/envelope/to/1/status", "\"delivered\""),
         "continue; 1 noted"},
        {"DR-59", HOOK_DELIVERY, SET("/envelope/to/1/status", "\"pending\""), "continue; 1 noted"},
        {"DR-59", HOOK_DELIVERY, SET("/envelope/to/0/status", "\"failed\""), "continue; 1 noted"},
        {"DR-59", HOOK_DELIVERY, SET("/envelope/to/1/status", "\"lost\""), "continue; 1 noted"},
        {"DR-59", HOOK_DELIVERY, SET("/envelope/to/7/status", "\"failed\""), "continue; 1 noted"},
        {"3.16", HOOK_DATA, SET("/envelope/to/1/status", "\"failed\""), "accept; 1 noted"},
        {"DR-60", HOOK_DEFER, SET("/envelope/to/1/nextAttemptAt", "\"2027-11-02T10:00:00Z\""),
         "continue; 12 next+86400"},
        {"DR-60", HOOK_DEFER, SET("/envelope/to/1/nextAttemptAt", "\"2020-11-02T10:00:00Z\""),
         "continue; 12 next+1"},
        {"DR-60", HOOK_DEFER, SET("/envelope/to/1/nextAttemptAt", "\"2026-11-02T11:00:00+01:00\""),
         "continue; 1 noted"},
        {"DR-60", HOOK_DEFER, SET("/envelope/to/1/nextAttemptAt", "null"), "continue; 1 noted"},
        {"3.16", HOOK_DEFER, SET("/envelope/to/1/nextDsnAt", "null"), "continue; 12 no notice"},
        {"3.16", HOOK_DEFER, DELETE("/envelope/to/1/nextDsnAt"), "continue; 12 no notice"},
        {"3.16", HOOK_DEFER, SET("/envelope/to/0/nextAttemptAt", "\"2026-11-02T12:00:00Z\""),
         "continue; 1 noted"},
        {"3.16", HOOK_DEFER,
         "{\"set\":[" OP("/envelope/to/2/status", "\"deferred\"") "," OP(
             "/envelope/to/2/nextAttemptAt", "\"2027-11-02T12:00:00Z\"") "]}",
         "continue; 13 deferred; 13 next+86400"},
        {"DR-61", HOOK_DEFER, SET("/action", "\"cancel\""), "cancel"},
        {"3.16", HOOK_DELIVERY, ADD("/envelope/to", "{\"address\":\"x@y\"}"), "continue; +<x@y>"},
        {"3.16", HOOK_DELIVERY, DELETE("/envelope/to/1"), "continue; 12 failed-silent"},
        {"3.16", HOOK_DELIVERY, DELETE("/envelope/to/0"), "continue; 1 noted"},
        {"3.16", HOOK_DELIVERY, SET("/message/subject", "\"x\""), "continue; 1 noted"},
        {"3.16", HOOK_DELIVERY, SET("/envelope/from/address", "null"), "continue; 1 noted"},
        {"3.16", HOOK_DELIVERY, SET("/response/code", "250"), "continue; 1 noted"},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

static void bad_answers_change_nothing(void **state)
{
    static const struct row rows[] = {
        {"SE-12", HOOK_DATA, "{\"set\":[{\"path\":\"/action\",\"path\":\"/x\",\"value\":1}]}",
         NULL},
        {"3.13", HOOK_DATA, "", NULL},
        {"3.13", HOOK_DATA, "[]", NULL},
        {"3.13", HOOK_DATA, "null", NULL},
        {"3.13", HOOK_DATA, "{} {}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":{}}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":[1]}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":[{\"value\":1}]}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":[{\"path\":\"/action\"}]}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":[{\"path\":\"action\",\"value\":\"reject\"}]}", NULL},
        {"3.13", HOOK_DATA, "{\"set\":[{\"path\":\"\",\"value\":{}}]}", NULL},
        {"DR-49", HOOK_DATA,
         "{\"set\":[" OP("/client/ip", "\"::1\"") "],\"add\":[" OP("/message/headers",
                                                                   HEADER("X-A", "1")) "]}",
         NULL},
    };

    (void)state;
    expect_rows(rows, COUNT_OF(rows));
}

/* K1, K4: what is not allowed spoils all of an answer. */
static void a_hook_changes_what_it_may(void **state)
{
    static const struct str few[] = {STR_INIT("/action"), STR_INIT("/envelope/to"),
                                     STR_INIT("/message/headers")};
    static const struct row rows[] = {
        {"DR-49", HOOK_DATA, SET("/action", "\"reject\""), REFUSED},
        {"DR-49", HOOK_DATA, DELETE("/envelope/to/0"), "accept; -11"},
        {"K4", HOOK_DATA, SET("/response/code", "550"), NULL},
        {"DR-49", HOOK_DATA, SET("/envelope/from/address", "null"), NULL},
        {"DR-49", HOOK_DATA, SET("/envelope", "{}"), NULL},
        {"DR-49", HOOK_DATA, SET("/envelope/tox", "[]"), NULL},
        {"DR-49", HOOK_DATA, SET("/rawMessage", "\"QTogYg0KDQo=\""), NULL},
        {"DR-49", HOOK_DATA, SET("/message/subject", "\"x\""), NULL},
    };
    struct hook_terms terms = terms_of(NULL, 0, few, COUNT_OF(few));

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct hook_view view = example_view(rows[i].stage);

        expect_row(&rows[i], &view, &terms);
    }
}

/* K5. */
static void strict_terms_take_all_or_nothing(void **state)
{
    static const struct row rows[] = {
        {"W3", HOOK_DATA,
         "{\"delete\":[" GONE("/message/headers/1") "," GONE("/message/headers/3") "]}", NULL},
        {"W2", HOOK_DATA,
         "{\"delete\":[" GONE("/message/headers/3") "," GONE("/message/headers/1") "]}",
         "accept; " FROM "|" SUBJECT},
    };
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    terms.strict = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_row(&rows[i], &view, &terms);
    }
}

static void an_answer_does_not_weaken_unless_trusted(void **state)
{
    static const struct row rows[] = {
        {"DR-37", HOOK_DATA,
         "{\"set\":[" OP("/action", "\"accept\"") "],\"delete\":[" GONE("/envelope/to/0") "]}",
         "quarantine; -11; 1 noted"},
        {"DR-37", HOOK_DATA, SET("/action", "\"accept\""), "accept"},
        {"DR-36", HOOK_DATA, "{}", "quarantine"},
        {"3.15", HOOK_DATA, SET("/action", "\"reject\""), REFUSED},
    };
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    view.action = HOOK_QUARANTINE;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        terms.may_weaken = i == 1;
        expect_row(&rows[i], &view, &terms);
    }
}

static void replies_are_told_from_what_was_sent(void **state)
{
    static const struct row rows[] = {
        {"DR-34", HOOK_DATA, SET("/action", "\"reject\""), REFUSED},
        {"DR-34", HOOK_DATA, SET("/response/message", "\"taken\""), "accept 250 2.0.0 taken"},
        {"DR-33", HOOK_DATA,
         "{\"set\":[" OP("/action", "\"reject\"") "," OP("/response/code", "451") "]}",
         "reject 451 ok"},
        {"3.13", HOOK_DATA, DELETE("/response/enhancedCode"), "accept 250 ok"},
        {"3.13", HOOK_DATA, SET("/response", "null"), "accept"},
    };
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    view.reply = (struct hook_reply){250, {2, 0, 0}, STR("ok")};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_row(&rows[i], &view, &terms);
    }
}

static void types_and_statuses_of_answers(void **state)
{
    static const struct row {
        const char *id;
        int status;
        const char *type, *body;
        bool is_cbor, is_good;
    } rows[] = {
        {"DR-25", 204, "", "", false, true},
        {"DR-25", 200, "application/json", "", false, false},
        {"3.17", 201, "application/json", "{}", false, false},
        {"3.17", 202, "application/json", "{}", false, false},
        {"3.9", 200, "application/json; charset=utf-8", "{}", false, true},
        {"3.9", 200, "Application/JSON", "{}", false, true},
        {"DR-55", 200, "text/plain", "{}", false, false},
        {"DR-55", 200, "", "{}", false, false},
        {"DR-55", 200, "application/jsonp", "{}", false, false},
        {"DR-65", 200, "application/cbor", "\xa0", true, true},
        {"DR-65", 200, "application/cbor", "\xa0", false, false},
        {"3.4", 200, "application/json", "{}", true, true},
        {"DR-65", 200, "application/cbor", "{}", true, false},
    };
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0};
        struct hook_outcome o = {0};
        struct hook_answer answer = {rows[i].status, str_of(rows[i].type), str_of(rows[i].body)};
        struct err e;

        terms.is_cbor = rows[i].is_cbor;
        e = hook_draft_01.decode(&answer, &view, &terms, NULL, &a, &o, &why);
        if ((e.code == OK) != rows[i].is_good) {
            fail_msg("%s row %zu: %.*s", rows[i].id, i, STR_ARG(buf_str(&why)));
        }
        assert_int_equal(o.edit_count, 0);
    }
}

/* DR-65 and DR-66: bytes, and base64 where bytes are usual. */
static void messages_in_cbor(void **state)
{
    static const struct str rows[] = {
        STR_INIT("\xa1\x63set\x81\xa2\x64path\x6b/rawMessage\x65value\x4c"
                 "A: b\r\n\r\nhi\r\n"),
        STR_INIT("\xa1\x63set\x81\xa2\x64path\x6b/rawMessage\x65value\x70QTogYg0KDQpoaQ0K"),
    };
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    terms.is_cbor = true;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, said BUF_LOCAL = {0};
        struct hook_outcome o = {0};
        struct hook_answer answer = {200, STR("application/cbor"), rows[i]};

        assert_int_equal(hook_draft_01.decode(&answer, &view, &terms, NULL, &a, &o, &why).code, OK);
        say_outcome(&said, &o);
        EXPECT_STR(buf_str(&said), "accept; message A: b\r\n\r\nhi\r\n");
    }
}

/* SE-20, and an answer larger than agreed. */
static void operations_and_bytes_are_counted(void **state)
{
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
        struct hook_outcome o = {0};
        struct err e;

        buf_put(&json, STR("{\"set\":["));
        for (int i = 0; i < 999 + extra; i++) {
            buf_printf(&json, "%s" OP("/message/headers/0/value", "\"%d\""), i ? "," : "", i);
        }
        buf_put(&json, STR("],\"add\":[" OP("/message/headers", HEADER("X", "1")) "]}"));
        e = decode(&view, &terms, arena_z(&a, buf_str(&json)), &a, &o, &why);
        assert_int_equal(e.code, extra ? ERR_PROTOCOL : OK);
        terms.answer_bytes_max = json.len - 1;
        assert_int_equal(decode(&view, &terms, arena_z(&a, buf_str(&json)), &a, &o, &why).code,
                         ERR_PROTOCOL);
        terms.answer_bytes_max = 0;
    }
}

/* Each new one is compared with all others, so a list is no way around the count of operations. */
static void recipients_are_counted_before_they_are_compared(void **state)
{
    struct hook_terms terms = terms_of(NULL, 0, all, COUNT_OF(all));
    struct hook_view view = example_view(HOOK_DATA);

    (void)state;
    for (int extra = 0; extra < 2; extra++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, json BUF_LOCAL = {0};
        struct hook_outcome o = {0};
        struct err e;

        buf_put(&json, STR("{\"set\":[{\"path\":\"/envelope/to\",\"value\":["
                           "{\"address\":\"cy@example.org\"},"
                           "{\"address\":\"bo@example.net\"}"));
        for (int i = 0; i < DRAFT_OPERATIONS_MAX + extra; i++) {
            buf_printf(&json, ",{\"address\":\"u%d@example.net\"}", i);
        }
        buf_put(&json, STR("]}]}"));
        e = decode(&view, &terms, arena_z(&a, buf_str(&json)), &a, &o, &why);
        assert_int_equal(e.code, extra ? ERR_PROTOCOL : OK);
        assert_int_equal(o.edit_count, extra ? 0 : DRAFT_OPERATIONS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(actions_and_replies),
        cmocka_unit_test(headers),
        cmocka_unit_test(raw_text_is_marked_and_quoted),
        cmocka_unit_test(envelopes),
        cmocka_unit_test(whole_messages),
        cmocka_unit_test(statuses),
        cmocka_unit_test(bad_answers_change_nothing),
        cmocka_unit_test(a_hook_changes_what_it_may),
        cmocka_unit_test(strict_terms_take_all_or_nothing),
        cmocka_unit_test(an_answer_does_not_weaken_unless_trusted),
        cmocka_unit_test(replies_are_told_from_what_was_sent),
        cmocka_unit_test(types_and_statuses_of_answers),
        cmocka_unit_test(messages_in_cbor),
        cmocka_unit_test(operations_and_bytes_are_counted),
        cmocka_unit_test(recipients_are_counted_before_they_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
