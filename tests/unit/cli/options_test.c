#include "../unit.h"
#include "base/check.h"
#include "cli/command.h"

struct given {
    bool strict, quiet;
    struct str config;
    struct words to;
    uint64_t limit;
};

enum { WORDS_MAX = 8 };

/* Reads a line of words, and shows what came of it: options, then words. */
static struct str read_line(const char *line, struct arena *a)
{
    struct given g = {.config = STR("-")};
    const struct option_row rows[] = {
        OPTION_CONFIG(&g.config),
        {.name = "strict", .flag = &g.strict},
        {.name = "quiet", .letter = 'q', .flag = &g.quiet},
        {.name = "to", .letter = 't', .texts = &g.to, .value = "ADDRESS"},
        {.name = "limit", .number = &g.limit, .value = "COUNT"},
    };
    struct buf out = {0}, why = {0};
    struct words rest;
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0;
    struct str all = str_of(line), word, ret;

    while (str_cut(&all, ' ', &word) || word.len > 0) {
        must(argc < WORDS_MAX);
        argv[argc++] = arena_z(a, word);
    }
    if (!options_read(rows, COUNT_OF(rows), argc, argv, a, &rest, &why)) {
        ret = arena_dup(a, buf_str(&why));
        buf_done(&why);
        return ret;
    }
    buf_printf(&out, "%s%sc=%.*s n=%u", g.strict ? "strict " : "", g.quiet ? "quiet " : "",
               STR_ARG(g.config), (unsigned)g.limit);
    for (size_t i = 0; i < g.to.count; i++) {
        buf_printf(&out, " to=%.*s", STR_ARG(g.to.items[i]));
    }
    for (size_t i = 0; i < rest.count; i++) {
        buf_printf(&out, " [%.*s]", STR_ARG(rest.items[i]));
    }
    ret = arena_dup(a, buf_str(&out));
    buf_done(&out);
    return ret;
}

static void options_are_read_in_every_way_they_are_written(void **state)
{
    static const struct {
        const char *line, *want;
    } rows[] = {
        {"check", "c=- n=0"},
        {"check --strict", "strict c=- n=0"},
        {"check -c FILE", "c=FILE n=0"},
        {"check -cFILE", "c=FILE n=0"},
        {"check --config FILE", "c=FILE n=0"},
        {"check --config=FILE", "c=FILE n=0"},
        {"check -qcFILE a", "quiet c=FILE n=0 [a]"},
        {"check --to a -t b --to=c", "c=- n=0 to=a to=b to=c"},
        {"check a --strict b", "strict c=- n=0 [a] [b]"},
        {"check -- --strict", "c=- n=0 [--strict]"},
        {"check -", "c=- n=0 [-]"},
        {"check --limit 20", "c=- n=20"},
        {"check --limit many", "--limit takes a whole number, not many"},
        {"check --limit -1", "--limit takes a whole number, not -1"},
        {"check --stric", "unknown option --stric; did you mean --strict?"},
        {"check --colour", "unknown option --colour"},
        {"check -x", "unknown option -x"},
        {"check -qx", "unknown option -x"},
        {"check --strict=yes", "--strict takes no argument"},
        {"check -c", "--config needs FILE"},
        {"check --to", "--to needs ADDRESS"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct arena a ARENA_LOCAL = {0};

        EXPECT_STR(read_line(rows[i].line, &a), rows[i].want);
    }
}

static void every_table_is_sound_and_has_its_own_key(void **state)
{
    size_t count;
    const struct setting_table *const *tables = cli_tables(&count);
    struct faults faults = {0};
    struct buf text BUF_LOCAL = {0};

    (void)state;
    if (!config_tables_are_sound(tables, count, &faults)) {
        faults_print(&faults, &text);
        print_error("%.*s", STR_ARG(buf_str(&text)));
        fail();
    }
    faults_done(&faults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_read_in_every_way_they_are_written),
        cmocka_unit_test(every_table_is_sound_and_has_its_own_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
