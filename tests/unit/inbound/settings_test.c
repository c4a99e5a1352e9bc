#include "../unit.h"
#include "base/buf.h"
#include "base/check.h"
#include "config/config.h"
#include "inbound/settings.h"

static const struct setting_table *const tables[] = {&server_table, &listeners_table};

static struct config *load(const char *text, struct faults *faults)
{
    struct config_options o = {.tables = tables, .table_count = COUNT_OF(tables), .number = 1};

    return config_parse(&o, STR("test.yaml"), str_of(text), faults);
}

static void defaults_are_valid_and_safe(void **state)
{
    struct faults faults = {0};
    struct config *cfg = load("", &faults);
    const struct server_settings *s;
    const struct config_object *o;
    const struct listener_settings *l;
    char at[ADDR_BYTES];
    size_t count;

    assert_true(config_tables_are_sound(tables, COUNT_OF(tables), &faults));
    assert_non_null(cfg);
    assert_int_equal(faults.errors + faults.warnings, 0);
    s = config_settings(cfg, &server_table);
    assert_false(s->open_relay);
    assert_int_equal(s->trusted_networks.count, 2);
    EXPECT_STR(cidr_print(&s->trusted_networks.items[0], at), "127.0.0.0/8");
    EXPECT_STR(cidr_print(&s->trusted_networks.items[1], at), "::1/128");
    assert_int_equal(s->sessions_max, 20000);
    assert_int_equal(s->sessions_per_address, 100);
    assert_true(s->message_bytes_max == 100ULL * 1024 * 1024);
    assert_int_equal(s->recipients_max, 1000);
    assert_int_equal(s->received_max, 50);
    assert_int_equal(s->idle_ms, 300000);
    o = config_objects(cfg, &listeners_table, &count);
    assert_int_equal(count, 1);
    l = o[0].settings;
    assert_true(o[0].is_builtin && addr_is_loopback(&l->bind.items[0]) &&
                addr_is_loopback(&l->bind.items[1]));
    assert_true(l->starttls);
    assert_int_equal(l->submission, SUBMISSION_AUTO);
    config_give(cfg);
    faults_done(&faults);
    (void)state;
}

static void what_does_not_fit_together_is_told(void **state)
{
    static const struct {
        const char *text;
        enum fault_level level;
        const char *want; /* part of the first fault's text; NULL: none */
    } rows[] = {
        {"server: { trusted-networks: [10.0.0.0/8] }\n", FAULT_ERROR, NULL},
        {"server: { trusted-networks: [10.0.0.0/8, 0.0.0.0/0] }\n", FAULT_ERROR, "open relay"},
        {"server: { trusted-networks: [\"::/0\"] }\n", FAULT_ERROR, "open relay"},
        {"server: { trusted-networks: [\"::/0\"], open-relay: true }\n", FAULT_WARNING,
         "anyone who can connect"},
        {"server: { local-domains: [example.org] }\n", FAULT_ERROR,
         "server.postmaster is required"},
        {"server: { local-domains: [example.org], postmaster: a@example.org }\n", FAULT_WARNING,
         "backscatter"},
        {"server: { tls: { certificate: /dev/null } }\n", FAULT_ERROR, "both certificate and key"},
        {"server: { tls: { key: /dev/null } }\n", FAULT_ERROR, "both certificate and key"},
        {"listeners: { a: { bind: [\"127.0.0.1:25\"], submission: maybe } }\n", FAULT_ERROR, ""},
        {"listeners: { a: { submission: true } }\n", FAULT_ERROR, ""},
        {"listeners: { a: { bind: [\"127.0.0.1:25\"], submission: true } }\n", FAULT_ERROR, NULL},
        {"listeners: { a: { bind: [\"127.0.0.1:25\"] }, b: { bind: [\"127.0.0.1:25\"] } }\n",
         FAULT_ERROR, "listeners a and b bind the same address"},
        {"listeners: { smtp: { bind: [\"127.0.0.1:2525\"] } }\n", FAULT_ERROR, NULL},
        {"listeners: { a: { bind: [\"127.0.0.1:25\"], tls: { implicit: true } } }\n", FAULT_ERROR,
         "tls.implicit"},
        {"server: { limits: { recipients: 99 } }\n", FAULT_ERROR, ""},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct config *cfg = load(rows[i].text, &faults);
        struct buf all BUF_LOCAL = {0};
        bool good = rows[i].want == NULL
                        ? faults.count == 0
                        : faults.count > 0 && faults.items[0].level == rows[i].level &&
                              str_find_str(faults.items[0].text, str_of(rows[i].want)) != STR_NONE;

        if (!good || (cfg == NULL) != (faults.errors > 0)) {
            faults_print(&faults, &all);
            print_error("row %zu: %s%.*s", i, rows[i].text, STR_ARG(buf_str(&all)));
            fail();
        }
        config_give(cfg);
        faults_done(&faults);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_valid_and_safe),
        cmocka_unit_test(what_does_not_fit_together_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
