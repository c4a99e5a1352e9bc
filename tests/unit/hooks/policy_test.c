/* What filters say about queueing: how both dialects read it, and what a view shows of it. */
#include "../unit.h"
#include "draft_view.h"
#include "hooks/policy.h"

struct row {
    const char *json;
    const char *want; /* NULL: the answer is spoilt */
};

static void say(struct buf *out, const struct hook_outcome *o)
{
    static const char *const kinds[] = {"", "#", "?"};

    for (uint32_t i = 0; i < o->edit_count; i++) {
        assert_int_equal(o->edits[i].kind, HOOK_EDIT_POLICY);
        buf_printf(out, "%s%.*s=%s%.*s", i > 0 ? " " : "", STR_ARG(o->edits[i].name),
                   kinds[o->edits[i].policy_kind], STR_ARG(o->edits[i].text));
    }
    if (o->notes.count + o->asides.count > 0) {
        buf_printf(out, " +%u", o->notes.count + o->asides.count);
    }
}

static void expect(const struct hook_dialect *dialect, const struct hook_terms *terms,
                   const struct hook_view *view, const struct row *row)
{
    static const struct hook_bounds bounds = {100, 100, 1 << 20, 1 << 20};
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0}, got BUF_LOCAL = {0};
    struct hook_answer answer = {200, STR("application/json"), str_of(row->json)};
    struct hook_pending pending = {0};
    struct hook_outcome o = {0};
    struct err e = dialect->decode(&answer, view, terms, &pending, &a, &o, &why);

    if (e.code == OK) {
        e = hook_outcome_check(&o, view, &bounds, &a, &why);
    }
    if ((e.code == OK) != (row->want != NULL)) {
        fail_msg("%s: %s %.*s", row->json, err_name(e.code), STR_ARG(buf_str(&why)));
    }
    if (row->want != NULL) {
        say(&got, &o);
        EXPECT_STR(buf_str(&got), row->want);
    }
}

#define POLICY(members) "{\"action\":\"accept\",\"policy\":" members "}"

static void classic_answers_may_have_a_policy_where_that_is_allowed(void **state)
{
    static const struct row rows[] = {
        {POLICY("{\"schedule\":\"slow\",\"queue\":\"bulk\",\"priority\":-3,\"hold\":\"2h\","
                "\"meta\":{\"campaign\":\"spring\",\"weight\":7,\"bulk\":true}}"),
         "schedule=slow queue=bulk priority=#-3 hold=2h meta.campaign=spring meta.weight=#7 "
         "meta.bulk=?true"},
        {POLICY("{\"hold\":true,\"schedule\":null}"), "hold=?true"},
        {POLICY("{}"), ""},
        {POLICY("null"), ""},
        {POLICY("{\"route\":\"mx\",\"hold\":[1]}"), " +2"},
        {POLICY("{\"meta\":{\"campaign\":{}}}"), " +1"},
        {POLICY("{\"meta\":\"campaign\"}"), " +1"},
        {POLICY("[]"), NULL},
        {POLICY("\"slow\""), NULL},
        {POLICY("{\"meta\":{\"a b\":\"x\"}}"), NULL},
        {POLICY("{\"meta\":{\"campaign\":\"two\\r\\nlines\"}}"), NULL},
        {"{\"action\":\"reject\",\"policy\":{\"schedule\":\"slow\"}}", " +1"},
        {"{\"action\":\"quarantine\",\"policy\":{\"priority\":1}}", "priority=#1"},
    };
    struct hook_terms terms = {.answer_bytes_max = 1 << 16, .has_extensions = true};
    struct hook_view view = example_view(HOOK_DATA), early = example_view(HOOK_RCPT);
    const struct row unknown = {POLICY("{\"schedule\":\"slow\"}"), ""};
    const struct row too_early = {POLICY("{\"schedule\":\"slow\"}"), " +1"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect(&hook_classic, &terms, &view, &rows[i]);
    }
    expect(&hook_classic, &terms, &early, &too_early);
    terms.has_extensions = false;
    expect(&hook_classic, &terms, &view, &unknown);
}

#define AT                  "/ext/" POLICY_NAMESPACE
#define OF(op, path, value) "{\"" op "\":[{\"path\":\"" AT path "\",\"value\":" value "}]}"
#define OP(op, path, value) "[{\"op\":\"" op "\",\"path\":\"" AT path "\",\"value\":" value "}]"

static void draft_answers_set_it_in_its_namespace(void **state)
{
    static const struct row first[] = {
        {OF("set", "/schedule", "\"slow\""), "schedule=slow"},
        {OF("set", "/priority", "5"), "priority=#5"},
        {OF("set", "/meta/campaign", "\"spring\""), "meta.campaign=spring"},
        {OF("add", "/meta/bulk", "true"), "meta.bulk=?true"},
        {OF("set", "/meta", "{\"campaign\":\"spring\"}"), "meta.campaign=spring"},
        {OF("set", "", "{\"queue\":\"bulk\",\"meta\":{\"weight\":1}}"),
         "queue=bulk meta.weight=#1"},
        {OF("set", "/route", "\"mx\""), " +1"},
        {OF("set", "/hold", "{}"), " +1"},
        {OF("set", "", "7"), " +1"},
    };
    static const struct row second[] = {
        {OP("replace", "/schedule", "\"slow\""), "schedule=slow"},
        {OP("add", "/meta/campaign", "\"spring\""), "meta.campaign=spring"},
        {OP("replace", "/hold", "true"), "hold=?true"},
        {OP("replace", "", "7"), NULL},
        {OP("replace", "/meta", "7"), " +1"},
    };
    static const struct str allowed[] = {STR_INIT(AT)}, others[] = {STR_INIT("/message")};
    struct hook_terms terms = terms_of(NULL, 0, allowed, 1);
    struct hook_view view = example_view(HOOK_DATA), early = example_view(HOOK_RCPT);
    const struct row refused = {OF("set", "/schedule", "\"slow\""), NULL};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        expect(&hook_draft_01, &terms, &view, &first[i]);
    }
    for (size_t i = 0; i < COUNT_OF(second); i++) {
        expect(&hook_draft_02, &terms, &view, &second[i]);
    }
    expect(&hook_draft_01, &terms, &early, &refused);
    terms = terms_of(NULL, 0, others, 1);
    expect(&hook_draft_01, &terms, &view, &refused);
}

static void later_filters_see_it_and_the_last_word_counts(void **state)
{
    static const struct str shown[] = {STR_INIT("/action"), STR_INIT(AT)};
    struct hook_terms terms = terms_of(shown, 2, NULL, 0);
    struct arena a ARENA_LOCAL = {0};
    struct hook_view view = example_view(HOOK_DATA), once, twice;
    struct hook_outcome o = {.action = HOOK_ACCEPT}, again = {.action = HOOK_ACCEPT};
    struct hook_request request;
    struct doc said = doc_object(), more = doc_object(), meta = doc_object();
    uint32_t next_id = 0;

    doc_put(&meta, &a, STR("weight"), doc_int(7));
    doc_put(&said, &a, STR("priority"), doc_int(2));
    doc_put(&said, &a, STR("meta"), meta);
    doc_put(&more, &a, STR("priority"), doc_int(-2));
    assert_true(hook_policy_read(&said, &a, &o));
    assert_true(hook_policy_read(&more, &a, &again));
    hook_view_apply(&view, &o, &next_id, &a, &once);
    hook_view_apply(&once, &again, &next_id, &a, &twice);
    assert_int_equal(twice.policy_count, 2);
    assert_int_equal(view.policy_count, 0);
    hook_draft_01.encode(&twice, &terms, &a, &request);
    EXPECT_STR(buf_str(&request.before),
               "{\"action\":\"accept\",\"ext\":{\"" POLICY_NAMESPACE
               "\":{\"schedule\":null,\"queue\":null,\"priority\":-2,\"hold\":null,\"meta\":{"
               "\"weight\":7}}}}");
    buf_done(&request.before);
    buf_done(&request.after);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_answers_may_have_a_policy_where_that_is_allowed),
        cmocka_unit_test(draft_answers_set_it_in_its_namespace),
        cmocka_unit_test(later_filters_see_it_and_the_last_word_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
