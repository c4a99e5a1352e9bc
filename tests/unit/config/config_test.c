#include "../unit.h"
#include "base/err.h"
#include "config/config.h"
#include "tables.h"

#include <stdlib.h>

/* Files that are not on a disk: name, text, name, text. */
static struct err read_shelf(void *arg, struct str path, struct arena *a, struct str *ret)
{
    for (const char *const *f = arg; f != NULL && f[0] != NULL; f += 2) {
        if (str_eq(path, str_of(f[0]))) {
            *ret = arena_dup(a, str_of(f[1]));
            return ERR_OK;
        }
    }
    return err_of(ERR_NOT_FOUND);
}

static struct config *read_files(const char *text, const char *const *shelf, bool is_check,
                                 struct faults *faults)
{
    struct config_options o = {.tables = yard_tables,
                               .table_count = COUNT_OF(yard_tables),
                               .number = 7,
                               .is_check = is_check,
                               .read = read_shelf,
                               .read_arg = (void *)(uintptr_t)shelf};

    return config_parse(&o, STR("etc/y"), str_of(text), faults);
}

static struct config *good(const char *text)
{
    struct faults faults = {0};
    struct config *cfg = read_files(text, NULL, false, &faults);
    struct buf out BUF_LOCAL = {0};

    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "");
    assert_non_null(cfg);
    faults_done(&faults);
    return cfg;
}

/* The first line of each fault is "file:line:col: message"; its hint may follow. */
struct bad {
    const char *text, *message, *hint;
};

static void expect_bad(const struct bad *b, const char *const *shelf)
{
    struct faults faults = {0};
    struct config *cfg = read_files(b->text, shelf, false, &faults);
    struct buf out BUF_LOCAL = {0};

    faults_print(&faults, &out);
    if (cfg != NULL || str_find_str(buf_str(&out), str_of(b->message)) == STR_NONE ||
        (b->hint != NULL && str_find_str(buf_str(&out), str_of(b->hint)) == STR_NONE)) {
        print_error("for:\n%s\nsaid:\n%.*s\nwanted: %s\nhint: %s\n", b->text,
                    STR_ARG(buf_str(&out)), b->message, b->hint ? b->hint : "");
        fail();
    }
    config_give(cfg);
    faults_done(&faults);
}

static void expect_all_bad(const struct bad *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        expect_bad(&rows[i], NULL);
    }
}

static void an_empty_file_is_all_defaults(void **state)
{
    static const char *const empty[] = {"",    "\n",      "# nothing\n",           "---\n",
                                        "~\n", "yard:\n", "yard: { track: {} }\n", "\xef\xbb\xbf"};

    for (size_t i = 0; i < COUNT_OF(empty); i++) {
        struct config *cfg = good(empty[i]);
        const struct yard_settings *y = config_settings(cfg, &yard_table);
        size_t count;

        assert_true(y->open);
        assert_int_equal(y->tracks, 10);
        assert_true(y->wait_ms == 300000 && y->load == 65536 && y->level == 0);
        assert_int_equal(y->colour, GREEN);
        assert_int_equal(y->door.port, 25);
        assert_int_equal(y->doors.count, 2);
        assert_int_equal(y->doors.items[1].family, 6);
        assert_int_equal(y->nets.count, 2);
        assert_int_equal(y->retry.count, 2);
        assert_true(y->retry.items[1] == 300000);
        assert_int_equal(y->domains.count, 0);
        assert_int_equal(y->choose.count, 1);
        EXPECT_STR(y->choose.items[0].use, "main");
        assert_int_equal(y->choose.items[0].at.line, 0);
        EXPECT_STR(y->gate, "/var/yard");
        assert_int_equal(y->label.len, 0);
        assert_false(config_where(cfg, y, "tracks", NULL));
        config_objects(cfg, &track_table, &count);
        assert_int_equal(count, 2);
        config_objects(cfg, &signal_table, &count);
        assert_int_equal(count, 0);
        config_give(cfg);
    }
    (void)state;
}

static void every_type_is_read(void **state)
{
    struct config *cfg = good(
        "yard:\n"
        "  open: false\n"
        "  sidings: 42\n"
        "  wagons: 5000000000\n"
        "  level: -9\n"
        "  wait: 1h30m\n"
        "  load: 1MiB\n"
        "  heap: 1GiB\n"
        "  label: 'a b'\n"
        "  master: MX.Example.org\n"
        "  domain: Example\n"
        "  host: '::1'\n"
        "  name: n-1\n"
        "  plan: plans/a\n"
        "  gate: /gate\n"
        "  owner: admin@example.org\n"
        "  colour: red\n"
        "  door: '[::1]:2525'\n"
        "  ip: 192.0.2.1\n"
        "  net: 10.1.1.1/8\n"
        "  hosts: [ A.example, { address: 192.0.2.1, port: 26, priority: 3, weight: 0 } ]\n"
        "  tls: { key: hush }\n"
        "  when: source == 'dsn'\n"
        "  choose:\n"
        "    - if: 'matches(\"^a(.)\", sender)'\n"
        "      then: \"'b' + $1\"\n"
        "    - { if: \"f('*', x)\", use: fast }\n"
        "    - else: \"'slow'\"\n"
        "  domains: Example.org\n"
        "  retry: [1s, 2s, 1d]\n"
        "  track: { a: { threads-per-node: 3, queue-name: q }, main: { slots: 9 } }\n"
        "signals:\n"
        "- name: s1\n"
        "- { name: s2, lamp: gas }\n");
    const struct yard_settings *y = config_settings(cfg, &yard_table);
    const struct rule *r = y->choose.items;
    const struct config_object *objects;
    struct position at;
    size_t count;

    assert_int_equal(y->hosts.count, 2);
    EXPECT_STR(y->hosts.items[0].host, "a.example");
    assert_true(y->hosts.items[0].port == 0 && y->hosts.items[0].weight == 1);
    EXPECT_STR(y->hosts.items[1].host, "192.0.2.1");
    assert_true(y->hosts.items[1].port == 26 && y->hosts.items[1].priority == 3);
    assert_true(y->hosts.items[1].weight == 0);
    assert_false(y->open);
    assert_int_equal(y->tracks, 42);
    assert_true(y->wagons == 5000000000 && y->level == -9 && y->wait_ms == 5400000);
    assert_true(y->load == 1 << 20 && y->heap == 1 << 30);
    EXPECT_STR(y->label, "a b");
    EXPECT_STR(y->master, "mx.example.org");
    EXPECT_STR(y->domain, "example");
    EXPECT_STR(y->host, "::1");
    EXPECT_STR(y->name, "n-1");
    EXPECT_STR(y->plan, "etc/plans/a");
    EXPECT_STR(y->gate, "/gate");
    EXPECT_STR(y->owner, "admin@example.org");
    assert_int_equal(y->colour, RED);
    assert_int_equal(y->door.port, 2525);
    assert_int_equal(y->ip.ip[0], 192);
    assert_int_equal(y->net.bits, 8);
    EXPECT_STR(y->key.text, "hush");
    EXPECT_STR(y->when.text, "source == 'dsn'");
    assert_int_equal(y->when.at.line, 23);
    assert_int_equal(y->when.at.col, 9);
    assert_int_equal(y->choose.count, 3);
    EXPECT_STR(r[0].condition.text, "matches(\"^a(.)\", sender)");
    assert_int_equal(r[0].condition.at.col, 12); /* inside the quotes */
    EXPECT_STR(r[0].value.text, "'b' + $1");
    EXPECT_STR(r[1].use, "fast");
    assert_int_equal(r[1].at.line, 27);
    EXPECT_STR(r[2].value.text, "'slow'");
    assert_int_equal(r[2].condition.text.len, 0);
    assert_int_equal(y->domains.count, 1);
    EXPECT_STR(y->domains.items[0], "example.org");
    assert_true(y->retry.items[2] == 86400000);
    assert_true(config_where(cfg, y, "tracks", &at));
    assert_int_equal(at.line, 3);

    objects = config_objects(cfg, &track_table, &count);
    assert_int_equal(count, 3); /* a, main, and spare, which is built in */
    EXPECT_STR(objects[0].name, "a");
    assert_int_equal(((const struct track_settings *)objects[0].settings)->slots, 3);
    assert_false(config_where(cfg, objects[0].settings, "expire", NULL));
    assert_int_equal(((const struct track_settings *)objects[1].settings)->slots, 9);
    EXPECT_STR(objects[2].name, "spare");
    assert_true(objects[2].is_builtin);
    assert_true(config_where(cfg, objects[2].settings, "expire", NULL));
    objects = config_objects(cfg, &signal_table, &count);
    assert_int_equal(count, 2);
    EXPECT_STR(((const struct signal_settings *)objects[1].settings)->lamp, "gas");
    assert_null(config_object(cfg, &signal_table, STR("s3")));
    assert_int_equal(config_number(cfg), 7);
    config_give(config_take(cfg));
    config_give(cfg);
    (void)state;
}

static void wrong_values_say_what_is_wanted(void **state)
{
    static const struct bad rows[] = {
        {"yard: { open: yes }", "etc/y:1:15: open must be true or false, not \"yes\"", NULL},
        {"yard: { tracks: 0 }", "etc/y:1:17: tracks must be 1 to 100, not 0", NULL},
        {"yard: { tracks: 101 }", "1 to 100", NULL},
        {"yard: { tracks: many }", "tracks must be a whole number, not \"many\"", NULL},
        {"yard: { tracks: [1] }", "tracks must be a whole number, not a list", NULL},
        {"yard: { tracks: -1 }", "tracks must be a whole number", NULL},
        {"yard: { level: -10 }", "level must be -9 to 9", NULL},
        {"yard: { wagons: 99999999999999999999 }", "whole number", NULL},
        {"yard:\n  tracks:\n", "etc/y:2:3: tracks has no value", NULL},
        {"yard: { tracks: !x 1 }", "tags such as !x are not read", NULL},
        {"yard: { wait: 90 }", "etc/y:1:15: wait: 90 has no unit", "write 90s"},
        {"yard: { hosts: [ a b ] }", "hosts must be a host name or an IP address", NULL},
        {"yard: { hosts: [ { port: 25 } ] }", "etc/y:1:18: hosts: each host needs an address",
         NULL},
        {"yard: { hosts: [ { address: a, port: 70000 } ] }", "hosts: port must be 1 to 65535",
         NULL},
        {"yard: { hosts: [ { address: a, wight: 2 } ] }", "hosts: a host has no \"wight\"",
         "did you mean weight?"},
        {"yard: { hosts: [ [ a ] ] }", "hosts must be a host or {address", NULL},
        {"yard: { wait: 1ms }", "wait must be 1s to 1d, not 1ms", NULL},
        {"yard: { wait: 5 min }", "wait must be a duration such as 90s", NULL},
        {"yard: { load: 64 }", "load: 64 has no unit", "write 64B"},
        {"yard: { load: 2MiB }", "load must be 1B to 1MiB, not 2MiB", NULL},
        {"yard: { heap: 1KiB }", "heap must be at least 1MiB, not 1KiB", NULL},
        {"yard: { label: 12345678901 }", "label must have 0 to 10 bytes", NULL},
        {"yard: { master: 127.0.0.1 }", "master must be a host name", NULL},
        {"yard: { master: a..b }", "master must be a host name", NULL},
        {"yard: { master: mx.example.org. }", "host name", "without the last dot: mx.example.org"},
        {"yard: { domain: b\xc3\xbc.example }", "domain must be", "xn--"},
        {"yard: { owner: nobody }", "owner must be a mail address", NULL},
        {"yard: { owner: 'a b@example.org' }", "owner must be a mail address", NULL},
        {"yard: { colour: gren }", "colour must be one of red, green", "did you mean green?"},
        {"yard: { door: 127.0.0.1 }", "door must be an IP address with a port",
         "with a port: 127.0.0.1:25"},
        {"yard: { net: 10.0.0.0/33 }", "net must be a network", NULL},
        {"yard: { name: 'a b' }", "name must be a name", NULL},
        {"yard: { retry: [5m, 7] }", "etc/y:1:21: retry: 7 has no unit", NULL},
        {"yard: { retry: [5m, 1ms] }", "retry must be 1s to 1d, not 1ms", NULL},
        {"yard: { label: \"a\\0b\" }", "label holds a control character", NULL},
        {"yard: { tls: { key: { file: nowhere } } }", "the file nowhere: not found", NULL},
        {"yard: { tls: { key: { env: POSTYARD_NO_SUCH } } }", "is not set", NULL},
        {"yard: { tls: { key: { fil: x } } }", "key must be a text, {file: PATH} or {env: NAME}",
         NULL},
    };

    expect_all_bad(rows, COUNT_OF(rows));
    (void)state;
}

static void keys_are_known_or_refused(void **state)
{
    static const struct bad rows[] = {
        {"yrad: {}", "etc/y:1:1: unknown key \"yrad\"", "did you mean yard?"},
        {"yard: { trakcs: 1 }", "unknown key \"yard.trakcs\"", "did you mean tracks?"},
        {"tracks: 1", "unknown key \"tracks\"", "there is yard.tracks"},
        {"yard: { tls.key: x }", "unknown key \"yard.tls.key\"",
         "write a dot as nesting: tls: { key"},
        {"yard: { track: { a: { slot: 1 } } }", "unknown key \"slot\"", "did you mean slots?"},
        {"yard: { track: { a: { slots: 1, threads-per-node: 2 } } }",
         "threads-per-node is given twice: first in line 1, by another name", NULL},
        {"yard: { track: { a: {} } }", "etc/y:1:18: slots is required", NULL},
        {"yard: { track: { 'a b': {} } }", "a name must have 1 to 32", NULL},
        {"yard: { track: { a: 5 } }", "yard.track.a must be a map of keys, not a text", NULL},
        {"yard: { track: [ a ] }", "yard.track must be a map", NULL},
        {"yard: { tls: 5 }", "yard.tls must be a map of keys, not a text", NULL},
        {"yard: { crane: 5 }", "yard.crane is not offered by this version (cranes come", NULL},
        {"dkim: []", "dkim is not offered by this version", NULL},
        {"queue: { throttle: {} }", "queue.throttle is an old name", "queue.limiter.outbound"},
        {"signals: [ { lamp: x } ]", "name is required", NULL},
        {"signals: [ { name: a }, { name: a } ]", "\"a\" is declared twice", NULL},
        {"signals: { name: a }", "signals must be a list", NULL},
        {"yard: { tracks: 1, tracks: 2 }", "etc/y:1:20: \"tracks\" is given twice: first in line 1",
         NULL},
        {"[ 1 ]", "a configuration is a map of keys, not a list", NULL},
    };

    expect_all_bad(rows, COUNT_OF(rows));
    (void)state;
}

static void bytes_that_are_not_yaml_have_a_place(void **state)
{
    static const struct bad rows[] = {
        {"yard:\n\ttracks: 1\n", "etc/y:2:1: not YAML: tab character", NULL},
        {"yard: {\n", "not YAML", NULL},
        {"yard: { label: 'caf\xe9' }", "etc/y:1:20: a byte that is not UTF-8", NULL},
        {"a: &x 1\n", "anchors", NULL},
        {"a: *x\n", "aliases", NULL},
        {"a: 1\n---\nb: 1\n", "a second document", NULL},
        {"? [a]\n: 1\n", "a key must be a text, not a list", NULL},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "nested more than 32 deep", NULL},
    };

    expect_all_bad(rows, COUNT_OF(rows));
    (void)state;
}

static void expressions_that_yaml_eats_come_back_quoted(void **state)
{
    static const struct bad rows[] = {
        {"yard:\n  choose:\n    - if: 'a' == b\n      use: x\n    - use: y\n",
         "etc/y:3:", "put the expression in quotes: - if: \"'a' == b\""},
        {"yard:\n  choose:\n    - if: !is_local(a)\n      use: x\n    - use: y\n",
         "reads what begins with \"!\"", "put the expression in quotes: - if: '!is_local(a)'"},
        {"yard:\n  choose: [ { if: f(a, b), use: x }, { use: y } ]\n", "looks like the rest",
         "{ if: 'f(a, b)', use: x }"},
        {"yard:\n  choose: [ { if: is_local('*', b), use: x }, { use: y } ]\n",
         "looks like the rest", "{ if: \"is_local('*', b)\", use: x }"},
        {"yard:\n  choose:\n    - if: [a, b]\n      use: x\n    - use: y\n",
         "must be an expression; YAML reads a list here", "- if: '[a, b]'"},
        {"yard:\n  when: {a: b}\n", "when must be an expression; YAML reads a map", "quotes"},
        {"yard:\n  choose:\n    - if: a == '#1 #2'\n      use: x\n    - use: y\n", "as a comment",
         "- if: \"a == '#1 #2'\""},
        {"yard:\n  choose:\n    - if: *a\n      use: x\n    - use: y\n", "aliases", "- if: '*a'"},
    };

    expect_all_bad(rows, COUNT_OF(rows));
    (void)state;
}

static void rule_lists_have_one_shape(void **state)
{
    static const struct bad rows[] = {
        {"yard: { choose: [] }", "the last rule must be unconditional", "{ use: NAME }"},
        {"yard: { choose: [ { if: a, use: b } ] }", "the last rule must be unconditional", NULL},
        {"yard: { choose: [ { use: b, then: c } ] }", "a rule has one of use, then and else", NULL},
        {"yard: { choose: [ { if: a } ] }", "a rule has one of use, then and else", NULL},
        {"yard: { choose: [ { if: a, else: b } ] }", "else stands in a rule of its own", NULL},
        {"yard: { choose: [ { use: b, usee: c } ] }", "a rule has no \"usee\"",
         "did you mean use?"},
        {"yard: { choose: { use: b } }", "must be a list of rules, not a map", NULL},
        {"yard: { choose: [ b ] }", "a rule is a map such as", NULL},
        {"yard: { choose: [ { use: \"'b'\" } ] }", "use takes a name, not \"'b'\"", "then:"},
    };
    struct faults faults = {0};
    struct config *cfg;

    expect_all_bad(rows, COUNT_OF(rows));
    cfg = good("yard: { choose: \"'x'\" }");
    const struct yard_settings *y = config_settings(cfg, &yard_table);

    assert_int_equal(y->choose.count, 1);
    EXPECT_STR(y->choose.items[0].value.text, "'x'");
    config_give(cfg);

    cfg = read_files("yard:\n  choose:\n  - if: a\n    use: b\n  - if: a\n    use: c\n"
                     "  - use: d\n  - use: e\n",
                     NULL, false, &faults);
    assert_non_null(cfg);
    assert_int_equal(faults.warnings, 2);
    assert_int_equal(faults.items[0].at.line, 5);
    assert_int_equal(faults.items[1].at.line, 8);
    config_give(cfg);
    faults_done(&faults);
    (void)state;
}

static void included_files_join(void **state)
{
    static const char *const shelf[] = {
        "etc/b",     "yard: { level: 3, track: { b: { slots: 2 } } }\ninclude: d/c\n",
        "etc/d/c",   "yard: { wagons: 4 }\n",
        "etc/twice", "yard: { level: 4 }\n",
        "etc/loop",  "include: loop\n",
        "etc/deep",  "yard: {",
        NULL,
    };
    static const struct bad rows[] = {
        {"include: none\n", "etc/y:1:10: etc/none cannot be read: not found", NULL},
        {"include: [b, twice]\n", "etc/twice:1:9: \"level\" is given twice: first at etc/b:1",
         NULL},
        {"include: loop\n", "etc/loop includes itself", NULL},
        {"include: deep\n", "etc/deep:", NULL},
        {"include: { a: b }\n", "include takes the name of a file", NULL},
    };
    struct faults faults = {0};
    struct config *cfg = read_files("include: b\nyard: { track: { a: { slots: 1 } } }\n", shelf,
                                    false, &faults);
    size_t count;

    assert_non_null(cfg);
    const struct yard_settings *y = config_settings(cfg, &yard_table);

    assert_true(y->level == 3 && y->wagons == 4);
    config_objects(cfg, &track_table, &count);
    assert_int_equal(count, 4);
    config_give(cfg);
    faults_done(&faults);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_bad(&rows[i], shelf);
    }
    (void)state;
}

static void faults_show_the_line_and_all_come_at_once(void **state)
{
    struct faults faults = {0};
    struct buf out BUF_LOCAL = {0};

    assert_null(read_files("yard:\n  trakcs: 1\n  wait: 5\n", NULL, false, &faults));
    faults_print(&faults, &out);
    EXPECT_STR(buf_str(&out), "etc/y:2:3: unknown key \"yard.trakcs\"\n"
                              "     2 |   trakcs: 1\n"
                              "       |   ^\n"
                              "       hint: did you mean tracks?\n"
                              "etc/y:3:9: wait: 5 has no unit\n"
                              "     3 |   wait: 5\n"
                              "       |         ^\n"
                              "       hint: write 5s (or another of s, m, h or d)\n");
    faults_done(&faults);
    (void)state;
}

static void a_missing_secret_is_a_warning_when_only_checking(void **state)
{
    static const char *const shelf[] = {"etc/key", "hush\n", NULL};
    struct faults faults = {0};
    struct config *cfg = read_files("yard: { tls: { key: { file: key } } }", shelf, false, &faults);

    assert_non_null(cfg);
    EXPECT_STR(((const struct yard_settings *)config_settings(cfg, &yard_table))->key.text, "hush");
    config_give(cfg);
    cfg = read_files("yard: { tls: { key: { file: nowhere } } }", shelf, true, &faults);
    assert_non_null(cfg);
    assert_int_equal(faults.warnings, 1);
    config_give(cfg);
    faults_done(&faults);
    (void)state;
}

/* SE-18: what a failed reload says goes to the log. */
static void a_shown_line_keeps_its_secrets(void **state)
{
    static const struct {
        const char *line, *shown;
    } rows[] = {
        {"nonsense: { token: abc, more: 1 }", "nonsense: { token: ***, more: 1 }"},
        {"nonsense: { \"password\": \"a, b}\", x: 1 }",
         "nonsense: { \"password\": ******\", x: 1 }"},
        {"nonsense: { secret:   'x' , token: y }", "nonsense: { secret:   **' , token: **}"},
        {"nonsense: { auth-token: hunter2", "nonsense: { auth-token: *******"},
        {"nonsense: { token: { file: /etc/t } }", "nonsense: { token: { file: /etc/t } }"},
        {"nonsense: { tokens: 1, secret, token", "nonsense: { tokens: 1, secret, token"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct faults faults = {0};
        struct buf out BUF_LOCAL = {0};

        faults_know_file(&faults, STR("f"), str_of(rows[i].line));
        fault_error(&faults, (struct position){STR("f"), 1, 1}, "no such key");
        faults_print(&faults, &out);
        if (str_find_str(buf_str(&out), str_of(rows[i].shown)) == STR_NONE) {
            print_error("%s is shown as\n%.*s", rows[i].line, STR_ARG(buf_str(&out)));
            fail();
        }
        faults_done(&faults);
    }
}

static void checking_goes_on_after_errors(void **state)
{
    struct faults faults = {0};
    struct config *cfg = read_files("yard: { tracks: 0, tls: [] }", NULL, true, &faults);

    assert_non_null(cfg);
    assert_int_equal(faults.errors, 2);
    const struct yard_settings *y = config_settings(cfg, &yard_table);

    assert_int_equal(y->tracks, 10); /* the default stands in */
    assert_true(config_where(cfg, y, "tracks", NULL));
    config_give(cfg);
    assert_null(read_files("yard: {", NULL, true, &faults)); /* there is nothing to check */
    faults_done(&faults);
    (void)state;
}

static void what_needs_a_restart_is_told(void **state)
{
    struct config *old = good("yard: { tracks: 5, gate: /a, label: x }");
    struct config *new = good("yard: { tracks: 6, gate: /a, label: y }");
    struct faults notes = {0};

    config_compare(old, new, &notes);
    assert_int_equal(notes.count, 1);
    EXPECT_STR(notes.items[0].text,
               "yard.tracks changed: this takes effect when the server restarts");
    config_give(old);
    config_give(new);
    faults_done(&notes);
    (void)state;
}

static void manual_and_schema_come_from_the_rows(void **state)
{
    struct buf out BUF_LOCAL = {0};
    struct faults faults = {0};

    assert_true(config_tables_are_sound(yard_tables, COUNT_OF(yard_tables), &faults));
    faults_done(&faults);
    config_manual(yard_tables, COUNT_OF(yard_tables), &out);
    assert_true(str_find_str(buf_str(&out),
                             STR("| `tracks` | a whole number (tracks), 1 to 100 | `10` | restart "
                                 "| how many \\| tracks Also written `sidings`. |\n")) != STR_NONE);
    assert_true(str_find_str(buf_str(&out), STR("## yard.track.NAME\n")) != STR_NONE);
    buf_clear(&out);
    config_schema(yard_tables, COUNT_OF(yard_tables), &out);
    assert_true(str_find_str(buf_str(&out), STR("\"colour\":{\"description\":\"colour\","
                                                "\"$comment\":\"default: green\",\"enum\":"
                                                "[\"red\",\"green\"]}")) != STR_NONE);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_file_is_all_defaults),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(wrong_values_say_what_is_wanted),
        cmocka_unit_test(keys_are_known_or_refused),
        cmocka_unit_test(bytes_that_are_not_yaml_have_a_place),
        cmocka_unit_test(expressions_that_yaml_eats_come_back_quoted),
        cmocka_unit_test(rule_lists_have_one_shape),
        cmocka_unit_test(included_files_join),
        cmocka_unit_test(faults_show_the_line_and_all_come_at_once),
        cmocka_unit_test(a_missing_secret_is_a_warning_when_only_checking),
        cmocka_unit_test(a_shown_line_keeps_its_secrets),
        cmocka_unit_test(checking_goes_on_after_errors),
        cmocka_unit_test(what_needs_a_restart_is_told),
        cmocka_unit_test(manual_and_schema_come_from_the_rows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
