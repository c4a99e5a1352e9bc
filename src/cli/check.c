/*
 * postyard check: reads the configuration as `serve` would, and tells everything that is wrong.
 */
#include "base/check.h"

#include "cli/commands.h"
#include "cli/snapshot.h"

static void sum_up(struct str path, const struct faults *f, struct buf *out)
{
    struct str file = path.len > 0 ? path : STR("built-in defaults");

    if (f->errors == 0 && f->warnings == 0) {
        buf_printf(out, "%.*s: ok\n", STR_ARG(file));
        return;
    }
    buf_printf(out, "%.*s: %zu error%s, %zu warning%s\n", STR_ARG(file), f->errors,
               f->errors == 1 ? "" : "s", f->warnings, f->warnings == 1 ? "" : "s");
}

int cli_check(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct str given = STR_EMPTY, path;
    bool strict = false, is_missing;
    const struct option_row rows[] = {
        OPTION_CONFIG(&given),
        {.name = "strict", .flag = &strict, .does = "warnings count as errors"},
    };
    struct words rest;
    struct faults faults = {0};
    struct snapshot_source source = {.is_check = true};
    struct snapshot snapshot = {0};
    bool is_good;
    int exit;

    if (!cli_options("check", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &exit)) {
        return exit;
    }
    path = cli_config_path(given, &is_missing);
    if (is_missing) {
        cli_say("check", "no " CLI_CONFIG_STANDARD ": these are the built-in defaults");
    }
    source.tables = cli_tables(&source.table_count);
    source.path = path;
    is_good = snapshot_load(&source, &faults, &snapshot);
    faults_print(&faults, &out);
    sum_up(path, &faults, &out);
    exit = !is_good || (strict && faults.warnings > 0) ? EXIT_FAILED : EXIT_DONE;
    snapshot_drop(&snapshot);
    faults_done(&faults);
    return cli_out(buf_str(&out)) ? exit : EXIT_FAILED;
}
