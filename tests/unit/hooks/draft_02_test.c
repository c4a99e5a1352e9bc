#include "draft_view.h"

static const struct str updates[] = {STR_INIT("/action"),     STR_INIT("/response"),
                                     STR_INIT("/envelope"),   STR_INIT("/message"),
                                     STR_INIT("/rawMessage"), STR_INIT("/ext")};
static const struct str properties[] = {STR_INIT("/stage"), STR_INIT("/action"),
                                        STR_INIT("/client"), STR_INIT("/message")};

#define OP(op, path)            "{\"op\":\"" op "\",\"path\":\"" path "\"}"
#define PUT(op, path, value)    "{\"op\":\"" op "\",\"path\":\"" path "\",\"value\":" value "}"
#define FROM_TO(op, from, path) "{\"op\":\"" op "\",\"from\":\"" from "\",\"path\":\"" path "\"}"
#define HEADER(name, value)     "{\"name\":\"" name "\",\"value\":\"" value "\"}"

#define FROM    "=From: a"
#define ONE     "=X-Tag:one"
#define SUBJECT "=Subject: invoice\r\n\tfor October"
#define TWO     "=X-Tag: two"

static void patches_become_outcomes(void **state)
{
    static const struct row {
        const char *id;
        enum hook_stage stage;
        const char *answer, *want; /* want NULL: a bad answer */
    } rows[] = {
        {"PT-01", HOOK_DATA, "[]", "accept"},
        {"PT-01", HOOK_DATA, "{}", "accept"},
        {"PT-02", HOOK_DATA, "[" PUT("replace", "/action", "\"reject\"") "]", REFUSED},
        {"PT-02", HOOK_RCPT,
         "[" PUT("replace", "/action", "\"reject\"") "," PUT(
             "replace", "/response", "{\"code\":451,\"message\":\"later\"}") "]",
         "reject 451 later"},
        {"PT-02", HOOK_CONNECT, "[" PUT("replace", "/action", "\"discard\"") "]", NULL},
        {"PT-03", HOOK_DATA, "[" PUT("add", "/message/headers/-", HEADER("X-A", "1")) "]",
         "accept; " FROM "|" ONE "|" SUBJECT "|" TWO "|X-A: 1"},
        {"PT-03", HOOK_DATA, "[" PUT("add", "/message/headers/0", HEADER("X-A", "1")) "]",
         "accept; X-A: 1|" FROM "|" ONE "|" SUBJECT "|" TWO},
        {"PT-04", HOOK_DATA,
         "[" OP("remove", "/message/headers/1") "," OP("remove", "/message/headers/1") "]",
         "accept; " FROM "|" TWO},
        {"PT-05", HOOK_DATA,
         "[" PUT("test", "/client/ip", "\"::1\"") "," PUT("replace", "/action", "\"reject\"") "]",
         NULL},
        {"PT-05", HOOK_DATA,
         "[" PUT("test", "/client/ip", "\"198.51.100.23\"") "," PUT("replace", "/action",
                                                                    "\"reject\"") "]",
         REFUSED},
        {"PT-05", HOOK_DATA,
         "[" PUT("test", "/message/subject", "\"invoice\\tfor October\"") "," PUT(
             "replace", "/message/subject", "\"paid\"") "]",
         "accept; " FROM "|" ONE "|Subject: paid|" TWO},
        {"PT-06", HOOK_DATA,
         "[" PUT("replace", "/action", "\"reject\"") "," PUT("replace", "/response/code",
                                                             "550") "]",
         NULL},
        {"PT-07", HOOK_DATA, "[" FROM_TO("move", "/message/headers/3", "/message/headers/0") "]",
         "accept; " TWO "|" FROM "|" ONE "|" SUBJECT},
        {"PT-08", HOOK_DATA, "[" FROM_TO("copy", "/envelope/to/0", "/envelope/to/-") "]",
         "accept; 1 noted"},
        {"PT-08", HOOK_DATA, "[" FROM_TO("copy", "/message/headers/1", "/message/headers/-") "]",
         "accept; " FROM "|" ONE "|" SUBJECT "|" TWO "|" ONE},
        {"PT-09", HOOK_DATA, "[" PUT("add", "/ext/com.example~1a~0b", "{}") "]", "accept"},
        {"PT-10", HOOK_DATA, "[" OP("remove", "/message/headers/01") "]", NULL},
        {"PT-10", HOOK_DATA, "[" OP("remove", "/message/headers/-1") "]", NULL},
        {"PT-11", HOOK_ROUTE,
         "[" PUT("add", "/envelope/to/0/route", "{\"queue\":\"q-tls\"}") "," PUT(
             "add", "/envelope/to/1/route", "{\"queue\":\"q\",\"route\":\"hub\"}") "]",
         "continue; 11 route= connection= tls= queue=q-tls; "
         "12 route=hub connection= tls= queue=q"},
        {"PT-11", HOOK_ROUTE, "[" PUT("add", "/envelope/to/0/route", "{\"tlsPolicy\":\"x\"}") "]",
         NULL},
        {"PT-12", HOOK_ROUTE,
         "[" PUT("add", "/envelope/to/1/rawMessage", "\"QTogYg0KDQpoaQ0K\"") "]",
         "continue; 12 message A: b\r\n\r\nhi\r\n"},
        {"PT-12", HOOK_ROUTE, "[" PUT("add", "/envelope/to/1/rawMessage", "\"QTog\"") "]", NULL},
        {"PT-13", HOOK_DATA, "[" PUT("spam", "/action", "\"reject\"") "]", NULL},
        {"PT-14", HOOK_DATA, "{\"set\":[{\"path\":\"/action\",\"value\":\"reject\"}]}",
         REFUSED "; 1 noted"},
        {"PT-14", HOOK_DATA, "{\"patch\":[]}", NULL},
        /* what the document may not become */
        {"4.3", HOOK_DATA, "[" OP("remove", "/action") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("replace", "/action", "1") "]", NULL},
        {"4.3", HOOK_DATA, "[" OP("remove", "/message/headers") "]", NULL},
        {"4.3", HOOK_DATA, "[" OP("remove", "/message/headers/0/name") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("add", "/message/headers/-", "1") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("replace", "/message/size", "1") "]", NULL},
        {"4.3", HOOK_DATA, "[" OP("remove", "/envelope/to") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("replace", "/envelope", "{}") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("add", "/envelope/more", "{}") "]", NULL},
        {"4.3", HOOK_DATA, "[" PUT("add", "/envelope/to/-", "{\"address\":null}") "]", NULL},
        {"4.3", HOOK_DATA, "[" OP("remove", "/message") "]", NULL},
        {"4.3", HOOK_DELIVERY, "[" PUT("replace", "/envelope/to/0/attempt", "9") "]", NULL},
        {"DR-59", HOOK_DELIVERY, "[" PUT("replace", "/envelope/to/1/status", "\"delivered\"") "]",
         NULL},
        {"DR-58", HOOK_DELIVERY,
         "[" PUT("replace", "/envelope/to/1/status", "\"failed-silent\"") "]",
         "continue; 12 failed-silent"},
        {"DR-60", HOOK_DEFER,
         "[" PUT("replace", "/envelope/to/1/nextAttemptAt", "\"2027-11-02T10:00:00Z\"") "]",
         "continue; 12 next+86400"},
        {"DR-62", HOOK_DSN, "[" OP("remove", "/message") "]", "continue; drop"},
        {"DR-62", HOOK_DSN, "[" OP("remove", "/rawMessage") "]", "continue; drop"},
        /* authority */
        {"DR-49", HOOK_DATA, "[" PUT("replace", "/client/ip", "\"::1\"") "]", NULL},
        {"DR-49", HOOK_DATA, "[" PUT("test", "/server/name", "\"x\"") "]", NULL},
        {"DR-49", HOOK_DATA, "[" FROM_TO("copy", "/server/name", "/message/subject") "]", NULL},
        {"DR-49", HOOK_DATA, "[" FROM_TO("move", "/client", "/ext/client") "]", NULL},
        {"DR-49", HOOK_DATA, "[" PUT("replace", "", "{}") "]", NULL},
        {"DR-50", HOOK_RCPT, "[" PUT("add", "/message/headers/-", HEADER("X-A", "1")) "]", NULL},
        {"DR-50", HOOK_RCPT, "[" PUT("test", "/stage", "\"rcpt\"") "]", "accept"},
    };
    struct hook_terms terms = terms_of(properties, COUNT_OF(properties), updates,
                                       COUNT_OF(updates));

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};
        struct buf why BUF_LOCAL = {0}, said BUF_LOCAL = {0};
        struct hook_view view = example_view(rows[i].stage);
        struct hook_answer answer = {200, STR("application/json"), str_of(rows[i].answer)};
        struct hook_outcome o = {0};
        struct err e = hook_draft_02.decode(&answer, &view, &terms, NULL, &a, &o, &why);

        if ((e.code == OK) != (rows[i].want != NULL)) {
            fail_msg("%s %s: %.*s", rows[i].id, rows[i].answer, STR_ARG(buf_str(&why)));
        }
        if (rows[i].want == NULL) {
            assert_int_equal(e.code, ERR_PROTOCOL);
            assert_true(why.len > 0);
            continue;
        }
        say_outcome(&said, &o);
        if (!str_eq(buf_str(&said), str_of(rows[i].want))) {
            fail_msg("%s %s\ngot  %.*s\nwant %s", rows[i].id, rows[i].answer,
                     STR_ARG(buf_str(&said)), rows[i].want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches_become_outcomes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
