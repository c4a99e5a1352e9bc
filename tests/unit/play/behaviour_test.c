#include "../unit.h"
#include "base/check.h"
#include "play/behaviour.h"

static uint32_t low(void)
{
    return 0;
}

static uint32_t high(void)
{
    return PLAY_CHANCE_ALWAYS - 1;
}

static void good_words_are_understood(void **state)
{
    static const struct {
        const char *word;
        enum play_stage stage;
        enum play_act act;
        uint16_t code;
        uint32_t chance;
    } rows[] = {
        {"refuse:rcpt:550", PLAY_AT_RCPT, PLAY_REFUSE, 550, 1000000},
        {"refuse:dot:451:busy, come again@0.25", PLAY_AT_DOT, PLAY_REFUSE, 451, 250000},
        {"flaky:0.3", PLAY_AT_RCPT, PLAY_REFUSE, 451, 300000},
        {"flaky:.05:dot", PLAY_AT_DOT, PLAY_REFUSE, 451, 50000},
        {"flaky:1", PLAY_AT_RCPT, PLAY_REFUSE, 451, 1000000},
        {"silent:data", PLAY_AT_DATA, PLAY_SILENT, 0, 1000000},
        {"drop:connect@0.000001", PLAY_AT_CONNECT, PLAY_DROP, 0, 1},
        {"drop-after-dot", PLAY_AT_DOT, PLAY_DROP, 0, 1000000},
        {"broken-replies", PLAY_AT_MAIL, PLAY_BREAK, 0, 1000000},
        {"broken-replies:nul:quit@0.5", PLAY_AT_QUIT, PLAY_BREAK, 0, 500000},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct play_behaviour b = {0};
        struct buf why BUF_LOCAL = {0};
        const struct play_rule *r;

        assert_true(play_behave(&b, str_of(rows[i].word), &why));
        r = play_rule_at(&b, rows[i].stage, low);
        assert_non_null(r);
        assert_int_equal(r->act, rows[i].act);
        assert_int_equal(r->code, rows[i].code);
        assert_int_equal(r->chance, rows[i].chance);
        assert_null(play_rule_at(&b, PLAY_AT_STARTTLS, low));
        assert_int_equal(play_rule_at(&b, rows[i].stage, high) != NULL,
                         rows[i].chance == PLAY_CHANCE_ALWAYS);
    }
    (void)state;
}

static void bad_words_are_refused_with_what_to_write(void **state)
{
    static const struct {
        const char *word, *why;
    } rows[] = {
        {"", "\"\" is no behaviour"},
        {"fats", "\"fats\" is no behaviour"},
        {"fast:1", "\"fast:1\": write fast"},
        {"slow", "\"slow\": write slow:DURATION"},
        {"slow:5", "\"slow:5\": write slow:DURATION"},
        {"tarpit:x", "\"tarpit:x\": write tarpit[:DURATION]"},
        {"refuse:rcpt", "\"refuse:rcpt\": write refuse:STAGE:CODE[:TEXT][@P]"},
        {"refuse:rcpt:250", "\"refuse:rcpt:250\": write refuse:STAGE:CODE[:TEXT][@P]"},
        {"refuse:rcpt:600", "\"refuse:rcpt:600\": write refuse:STAGE:CODE[:TEXT][@P]"},
        {"refuse:nowhere:550", "\"refuse:nowhere:550\": write refuse:STAGE:CODE[:TEXT][@P]"},
        {"flaky:", "\"flaky:\": write flaky:P[:STAGE]"},
        {"flaky:1.1", "\"flaky:1.1\": write flaky:P[:STAGE]"},
        {"flaky:.", "\"flaky:.\": write flaky:P[:STAGE]"},
        {"flaky:0.1234567", "\"flaky:0.1234567\": write flaky:P[:STAGE]"},
        {"drop:dot@2", "\"drop:dot@2\": write drop:STAGE[@P]"},
        {"broken-replies:odd", "\"broken-replies:odd\": write broken-replies[:KIND[:STAGE]][@P]"},
        {"without:AUTH", "\"without:AUTH\": write without:EXTENSION"},
        {"rcpt-limit:-1", "\"rcpt-limit:-1\": write rcpt-limit:NUMBER"},
        {"rcpt-limit:4294967296", "\"rcpt-limit:4294967296\": write rcpt-limit:NUMBER"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct play_behaviour b = {0};
        struct buf why BUF_LOCAL = {0};

        assert_false(play_behave(&b, str_of(rows[i].word), &why));
        EXPECT_STR(buf_str(&why), rows[i].why);
    }
    (void)state;
}

static void the_first_rule_that_shows_wins(void **state)
{
    struct play_behaviour b = {0};
    struct buf why BUF_LOCAL = {0};

    assert_true(play_behave(&b, STR("flaky:0.5"), &why));
    assert_true(play_behave(&b, STR("refuse:rcpt:550"), &why));
    assert_int_equal(play_rule_at(&b, PLAY_AT_RCPT, low)->code, 451);
    assert_int_equal(play_rule_at(&b, PLAY_AT_RCPT, high)->code, 550);
    for (unsigned i = b.rule_count; i < PLAY_RULES_MAX; i++) {
        assert_true(play_behave(&b, STR("silent:rset"), &why));
    }
    assert_false(play_behave(&b, STR("silent:rset"), &why));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_words_are_understood),
        cmocka_unit_test(bad_words_are_refused_with_what_to_write),
        cmocka_unit_test(the_first_rule_that_shows_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
