/* SCRAM-SHA-256 with the conversation of RFC 7677 section 3, and with servers that cheat. */
#include "../unit.h"
#include "base/check.h"
#include "tls/scram.h"

static const char challenge[] =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

static void the_example_of_the_rfc(void **state)
{
    struct scram s;
    struct buf out BUF_LOCAL = {0};
    const char *why = NULL;

    scram_begin(&s, STR("user"), STR("rOprNGfwEbeRWgbNEkqO"), &out);
    EXPECT_STR(buf_str(&out), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    buf_clear(&out);
    assert_true(scram_answer(&s, STR("pencil"), str_of(challenge), &out, &why));
    EXPECT_STR(buf_str(&out), "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                              "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_true(scram_is_proof(&s, STR("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_false(scram_is_proof(&s, STR("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")));
    assert_false(scram_is_proof(&s, STR("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_false(scram_is_proof(&s, STR("v=")));
    assert_false(scram_is_proof(&s, STR("e=invalid-proof")));
    scram_done(&s);
    (void)state;
}

static void a_name_is_quoted(void **state)
{
    struct scram s;
    struct buf out BUF_LOCAL = {0};

    scram_begin(&s, STR("a=b,c"), STR("N"), &out);
    EXPECT_STR(buf_str(&out), "n,,n=a=3Db=2Cc,r=N");
    scram_done(&s);
    (void)state;
}

static void challenges_that_are_none_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "r=N",
        "r=Nx,s=W22Z",
        "r=Nx,s=W22Z,i=",
        "r=Nx,s=,i=4096",
        "r=Nx,s=W22,i=4096",
        "r=Nx,s=W22Z,i=4095",
        "r=Nx,s=W22Z,i=1000001",
        "r=Nx,s=W22Z,i=99999999999999999999",
        "r=N,s=W22Z,i=4096",
        "r=Mx,s=W22Z,i=4096",
        "m=ext,r=Nx,s=W22Z,i=4096",
    };
    struct scram s;
    struct buf out BUF_LOCAL = {0};

    scram_begin(&s, STR("user"), STR("N"), &out);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        const char *why = NULL;

        if (scram_answer(&s, STR("pencil"), str_of(wrong[i]), &out, &why)) {
            fail_msg("%s", wrong[i]);
        }
        assert_non_null(why);
    }
    scram_done(&s);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(a_name_is_quoted),
        cmocka_unit_test(challenges_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
