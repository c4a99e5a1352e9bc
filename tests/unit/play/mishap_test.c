/* What goes wrong with names, maildirs and programs: its words, and which of them show. */
#include "../unit.h"
#include "base/check.h"
#include "play/behaviour.h"
#include "play/mishap.h"

enum { ALL = MISHAP_NAMES | MISHAP_MAILDIR | MISHAP_PROGRAM };

static void words_are_read(void **state)
{
    static const struct {
        const char *word;
        unsigned where;
        enum mishap_kind kind;
        uint32_t chance;
        int64_t ms;
        unsigned code;
        const char *text;
    } rows[] = {
        {"no-name", MISHAP_NAMES, MISHAP_NO_NAME, PLAY_CHANCE_ALWAYS, 0, 0, ""},
        {"servfail@0.25", MISHAP_NAMES, MISHAP_SERVFAIL, 250000, 0, 0, ""},
        {"bogus@1", MISHAP_NAMES, MISHAP_BOGUS, PLAY_CHANCE_ALWAYS, 0, 0, ""},
        {"silent", MISHAP_NAMES, MISHAP_SILENT, PLAY_CHANCE_ALWAYS, 0, 0, ""},
        {"silent", MISHAP_PROGRAM, MISHAP_SILENT, PLAY_CHANCE_ALWAYS, 0, 0, ""},
        {"slow:2s@.5", MISHAP_NAMES, MISHAP_SLOW, 500000, 2000, 0, ""},
        {"full", MISHAP_MAILDIR, MISHAP_FULL, PLAY_CHANCE_ALWAYS, 0, 0, ""},
        {"broken@0", MISHAP_MAILDIR, MISHAP_BROKEN, 0, 0, 0, ""},
        {"exit:75", MISHAP_PROGRAM, MISHAP_EXIT, PLAY_CHANCE_ALWAYS, 0, 75, ""},
        {"exit:67:no such user: x@0.1", MISHAP_PROGRAM, MISHAP_EXIT, 100000, 0, 67,
         "no such user: x"},
        {"exit:255", MISHAP_MAILDIR | MISHAP_PROGRAM, MISHAP_EXIT, PLAY_CHANCE_ALWAYS, 0, 255, ""},
        {"killed", MISHAP_PROGRAM, MISHAP_KILLED, PLAY_CHANCE_ALWAYS, 0, 0, ""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mishaps m = {0};
        struct buf why BUF_LOCAL = {0};
        bool is_good = mishap_add(&m, rows[i].where, str_of(rows[i].word), &why);

        EXPECT_STR(buf_str(&why), "");
        assert_true(is_good);
        assert_int_equal(m.count, 1);
        assert_int_equal(m.items[0].kind, rows[i].kind);
        assert_int_equal(m.items[0].chance, rows[i].chance);
        assert_int_equal(m.items[0].ms, rows[i].ms);
        assert_int_equal(m.items[0].code, rows[i].code);
        EXPECT_STR(m.items[0].text, rows[i].text);
    }
}

static void wrong_words_are_told(void **state)
{
    static const struct {
        const char *word;
        unsigned where;
        const char *why;
    } rows[] = {
        {"", ALL, "\"\" cannot happen here"},
        {"nonsense", ALL, "\"nonsense\" cannot happen here"},
        {"servfial", ALL, "\"servfial\" cannot happen here; did you mean servfail?"},
        {"full", MISHAP_NAMES, "\"full\" cannot happen here"},
        {"servfail", MISHAP_MAILDIR | MISHAP_PROGRAM, "\"servfail\" cannot happen here"},
        {"exit:75", MISHAP_MAILDIR, "\"exit\" cannot happen here"},
        {"servfail:1", ALL, "\"servfail:1\": write servfail[@P]"},
        {"servfail@2", ALL, "\"servfail@2\": write servfail[@P]"},
        {"servfail@", ALL, "\"servfail@\": write servfail[@P]"},
        {"slow", ALL, "\"slow\": write slow:DURATION[@P]"},
        {"slow:soon", ALL, "\"slow:soon\": write slow:DURATION[@P]"},
        {"exit", ALL, "\"exit\": write exit:CODE[:TEXT][@P]"},
        {"exit:0", ALL, "\"exit:0\": write exit:CODE[:TEXT][@P]"},
        {"exit:256", ALL, "\"exit:256\": write exit:CODE[:TEXT][@P]"},
        {"exit:-1", ALL, "\"exit:-1\": write exit:CODE[:TEXT][@P]"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mishaps m = {0};
        struct buf why BUF_LOCAL = {0};

        assert_false(mishap_add(&m, rows[i].where, str_of(rows[i].word), &why));
        EXPECT_STR(buf_str(&why), rows[i].why);
        assert_int_equal(m.count, 0);
    }
}

static void there_are_only_so_many(void **state)
{
    struct mishaps m = {0};
    struct buf why BUF_LOCAL = {0};

    (void)state;
    for (int i = 0; i < MISHAPS_MAX; i++) {
        assert_true(mishap_add(&m, ALL, STR("silent"), &why));
    }
    assert_false(mishap_add(&m, ALL, STR("silent"), &why));
    EXPECT_STR(buf_str(&why), "more than 16 of them");
}

static uint32_t rolled;

static uint32_t dice(void)
{
    return rolled;
}

static void the_first_that_shows_happens_and_slowness_adds_up(void **state)
{
    static const char *const words[] = {"slow:1s", "servfail@0.1", "slow:3s@0.5", "no-name@0.4",
                                        "silent"};
    static const struct {
        uint32_t rolled;
        enum mishap_kind kind;
        int64_t wait_ms;
    } rows[] = {
        {0, MISHAP_SERVFAIL, 4000},     {99999, MISHAP_SERVFAIL, 4000},
        {100000, MISHAP_NO_NAME, 4000}, {400000, MISHAP_SILENT, 4000},
        {499999, MISHAP_SILENT, 4000},  {500000, MISHAP_SILENT, 1000},
    };
    struct mishaps m = {0}, none = {0};
    struct buf why BUF_LOCAL = {0};
    int64_t wait_ms = 7;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        assert_true(mishap_add(&m, ALL, str_of(words[i]), &why));
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct mishap *now;

        wait_ms = 0;
        rolled = rows[i].rolled;
        now = mishap_now(&m, &wait_ms, dice);
        assert_non_null(now);
        assert_int_equal(now->kind, rows[i].kind);
        assert_int_equal(wait_ms, rows[i].wait_ms);
    }
    assert_null(mishap_now(&none, &wait_ms, dice));
    assert_ptr_equal(mishap_misplaced(&m, MISHAP_PROGRAM), &m.items[1]);
    assert_null(mishap_misplaced(&m, MISHAP_NAMES));
    EXPECT_STR(mishap_name(MISHAP_NO_NAME), "no-name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_read),
        cmocka_unit_test(wrong_words_are_told),
        cmocka_unit_test(there_are_only_so_many),
        cmocka_unit_test(the_first_that_shows_happens_and_slowness_adds_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
