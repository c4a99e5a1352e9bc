#include "../unit.h"
#include "inbound/directory.h"

static const struct str domains[] = {STR_INIT("example.org"), STR_INIT("example.net"),
                                     STR_INIT("xn--bcher-kva.example")};
static const struct server_settings settings = {.local_domains = {domains, 3},
                                                .postmaster = STR_INIT("admin@example.org"),
                                                .recipient_delimiter = STR_INIT("+")};

static struct directory *build(const char *aliases, const char *recipients, struct faults *faults)
{
    struct directory_text text = {.aliases = str_of(aliases),
                                  .recipients = str_of(recipients),
                                  .recipients_given = recipients != NULL};

    return directory_build(&settings, &text, faults);
}

/* "=" for itself, "-" for unknown, else the addresses. */
static void expect_ask(const struct directory *d, const char *address, const char *want)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf got BUF_LOCAL = {0};
    struct str_list list = {0};

    switch (directory_ask(d, str_of(address), &a, &list)) {
    case DIRECTORY_ITSELF:
        buf_put(&got, STR("="));
        break;
    case DIRECTORY_UNKNOWN:
        buf_put(&got, STR("-"));
        break;
    case DIRECTORY_STANDS:
        for (size_t i = 0; i < list.count; i++) {
            buf_printf(&got, "%s%.*s", i ? " " : "", STR_ARG(list.items[i]));
        }
    }
    if (!str_eq(buf_str(&got), str_of(want))) {
        print_error("%s: got \"%.*s\", want \"%s\"\n", address, STR_ARG(buf_str(&got)), want);
        fail();
    }
}

static void addresses_are_found_or_not(void **state)
{
    static const struct {
        const char *address, *want;
    } rows[] = {
        {"ann@example.org", "="},
        {"ANN@example.org", "="},
        {"\"ann\"@example.org", "="},
        {"\"a\\nn\"@example.org", "="},
        {"\"a@n\"@example.org", "at@far.example"},
        {"ann@example.net", "-"},
        {"nobody@example.org", "-"},
        {"anyone@example.net", "-"},
        {"bob@example.net", "="},
        {"info@example.org", "ann@example.org bob@example.net out@far.example"},
        {"Info@example.org", "ann@example.org bob@example.net out@far.example"},
        {"info@example.net", "ann@example.net bob@example.net out@far.example"},
        {"sales@example.net", "bob@example.net"},
        {"sales@example.org", "-"},
        {"chain@example.org", "ann@example.org bob@example.net out@far.example carl@example.org"},
        {"postmaster", "admin@example.org"},
        {"POSTMASTER", "admin@example.org"},
        {"postmaster@example.net", "admin@example.org"},
        {"Mailer-Daemon@example.org", "admin@example.org"},
        {"root@example.org", "admin@example.org"},
        {"abuse@example.org", "complaints@far.example"},
        {"admin@example.org", "="},
    };
    struct faults faults = {0};
    struct directory *d = build("# who is who\n"
                                "info: ann, bob@example.net,\r\n"
                                "   out@far.example  # not ours\n"
                                "\n"
                                "sales@Example.NET: bob\n"
                                "chain: info, ann@example.org, carl\n"
                                "\"a@n\": at@far.example\n"
                                "abuse: complaints@far.example\n",
                                "ann@example.org\nbob@example.net # the other\n"
                                "carl@example.org\nann@other.example\n",
                                &faults);

    assert_non_null(d);
    assert_int_equal(faults.errors, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_ask(d, rows[i].address, rows[i].want);
    }
    directory_drop(d);
    faults_done(&faults);
    (void)state;
}

static void a_tag_counts_only_where_the_whole_is_not_named(void **state)
{
    static const struct {
        const char *address, *want;
    } rows[] = {
        {"ann+books@example.org", "="},
        {"ANN+Books+More@example.org", "="},
        {"\"ann+books\"@example.org", "="},
        {"\"ann +books\"@example.org", "-"},
        {"ann-books@example.org", "-"},
        {"+ann@example.org", "-"},
        {"nobody+ann@example.org", "-"},
        {"ann+@example.org", "="},
        {"info+x@example.org", "ann@example.org"},
        {"info+own@example.org", "="},
        {"info+far@example.org", "out@far.example"},
        {"sales+x@example.net", "ann@example.org"},
        {"sales+x@example.org", "-"},
        {"postmaster+x@example.org", "admin@example.org"},
        {"admin+x@example.org", "="},
    };
    static const char aliases[] = "info: ann@example.org\n"
                                  "info+far: out@far.example\n"
                                  "sales@example.net: ann@example.org\n";
    struct server_settings off = settings;
    struct directory_text text = {str_of(aliases), STR("ann@example.org\n"), true};
    struct faults faults = {0};
    struct directory *d = build(aliases, "ann@example.org\ninfo+own@example.org\n", &faults);

    assert_non_null(d);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        expect_ask(d, rows[i].address, rows[i].want);
    }
    directory_drop(d);

    off.recipient_delimiter = STR_EMPTY;
    d = directory_build(&off, &text, &faults);
    expect_ask(d, "ann@example.org", "=");
    expect_ask(d, "ann+books@example.org", "-");
    expect_ask(d, "info+x@example.org", "-");
    directory_drop(d);
    faults_done(&faults);
    (void)state;
}

static void a_domain_in_utf8_is_its_a_labels(void **state)
{
    struct faults faults = {0};
    struct directory *d = build("info: ann\n", "ann@xn--bcher-kva.example\n", &faults);

    assert_non_null(d);
    assert_true(directory_is_local(d, STR("xn--bcher-kva.example")));
    assert_true(directory_is_local(d, STR("b\xc3\xbc"
                                          "cher.example")));
    assert_true(directory_is_local(d, STR("B\xc3\x9c"
                                          "CHER.example")));
    assert_false(directory_is_local(d, STR("k\xc3\xbc"
                                           "cher.example")));
    assert_false(directory_is_local(d, STR("b\xff"
                                           "cher.example")));
    expect_ask(d,
               "ann@b\xc3\xbc"
               "cher.example",
               "=");
    expect_ask(d,
               "ben@b\xc3\xbc"
               "cher.example",
               "-");
    expect_ask(d,
               "info@b\xc3\xbc"
               "cher.example",
               "ann@b\xc3\xbc"
               "cher.example");
    directory_drop(d);
    faults_done(&faults);
    (void)state;
}

static void without_a_list_every_local_part_exists(void **state)
{
    struct faults faults = {0};
    struct directory *d = build(NULL, NULL, &faults);

    assert_non_null(d);
    assert_true(directory_is_local(d, STR("EXAMPLE.org")));
    assert_false(directory_is_local(d, STR("sub.example.org")));
    assert_false(directory_is_local(d, STR("")));
    expect_ask(d, "whoever@example.net", "=");
    expect_ask(d, "root@example.net", "admin@example.org");
    directory_drop(d);

    d = build(NULL, "@example.net\n", &faults);
    assert_non_null(d);
    expect_ask(d, "whoever@example.net", "=");
    expect_ask(d, "whoever@example.org", "-");
    directory_drop(d);

    d = build(NULL, "", &faults);
    assert_non_null(d);
    expect_ask(d, "whoever@example.net", "-");
    directory_drop(d);
    faults_done(&faults);
    (void)state;
}

static void wrong_files_are_told_by_line(void **state)
{
    static const struct {
        const char *aliases, *recipients;
        uint32_t line; /* 0: no error */
        const char *text;
    } rows[] = {
        {"a: b@far.example\n", NULL, 0, ""},
        {"\n\nno colon\n", NULL, 3, "a line here is `name: address, ...`"},
        {"a: b c@far.example\n", NULL, 1, "`b c@far.example` is no address"},
        {"a: |/bin/sh\n", NULL, 1, "`|/bin/sh`: aliases stand for addresses, not programs"},
        {"a: /var/mail/\xff\n", NULL, 1, "not programs or files"},
        {"a:\n", NULL, 1, "alias a stands for nothing"},
        {"a: ,\n", NULL, 1, "alias a stands for nothing"},
        {"  a: b\n", NULL, 1, "this line continues nothing"},
        {"a: b\nA: c\n", NULL, 2, "A has an alias already, on line 1"},
        {"a@far.example: b\n", NULL, 1,
         "a@far.example is in no local domain, so nobody would ask for it"},
        {"a: a\n", NULL, 1, "alias a@example.org leads back to itself, or is more than 10 deep"},
        {"a: b@example.net\nb: c\nc@example.net: a@example.org\n", NULL, 1,
         "leads back to itself, or is more than 10 deep"},
        {"a: b\nb: c\nc: d\nd: e\ne: f\nf: g\ng: h\nh: i\ni: j\nj: k\n", NULL, 0, ""},
        {"a: b\nb: c\nc: d\nd: e\ne: f\nf: g\ng: h\nh: i\ni: j\nj: k\nk: l\n", NULL, 1,
         "alias a@example.org leads back to itself, or is more than 10 deep"},
        {"", "ann\n", 1, "a line here is `local-part@domain` or `@domain`"},
        {"", "ann@example.org\n@-bad\n", 2, "a line here is `local-part@domain` or `@domain`"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct faults faults = {0};
        struct directory *d = build(rows[i].aliases, rows[i].recipients, &faults);
        const struct fault *first = NULL;

        for (size_t n = 0; n < faults.count && first == NULL; n++) {
            first = faults.items[n].level == FAULT_ERROR ? &faults.items[n] : NULL;
        }
        if (rows[i].line == 0 || str_of(rows[i].text).len == 0) {
            assert_non_null(d);
        } else if (first == NULL || d != NULL ||
                   str_find_str(first->text, str_of(rows[i].text)) == STR_NONE) {
            print_error("row %zu: got \"%.*s\"\n", i, first ? (int)first->text.len : 0,
                        first ? first->text.ptr : "");
            fail();
        }
        directory_drop(d);
        faults_done(&faults);
    }
    (void)state;
}

static void an_alias_to_nowhere_is_a_warning(void **state)
{
    struct faults faults = {0};
    struct directory *d = build("a: ghost\n", "ann@example.org\n", &faults);

    assert_non_null(d);
    assert_int_equal(faults.warnings, 1);
    EXPECT_STR(faults.items[0].text,
               "alias a leads to ghost@example.org, which is no local recipient");
    directory_drop(d);
    faults_done(&faults);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_found_or_not),
        cmocka_unit_test(a_tag_counts_only_where_the_whole_is_not_named),
        cmocka_unit_test(a_domain_in_utf8_is_its_a_labels),
        cmocka_unit_test(without_a_list_every_local_part_exists),
        cmocka_unit_test(wrong_files_are_told_by_line),
        cmocka_unit_test(an_alias_to_nowhere_is_a_warning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
