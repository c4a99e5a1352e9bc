/*
 * postyard config: the reference page and the JSON Schema, from the same rows that the reader uses.
 */
#include "base/check.h"
#include "cli/commands.h"
#include "play/scenario.h"

int cli_config_print(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf out BUF_LOCAL = {0};
    struct words rest;
    size_t count;
    const struct setting_table *const *tables = cli_tables(&count);
    int exit;

    if (!cli_options("config", NULL, 0, argc, argv, &a, &rest, 1, 1, &exit)) {
        return exit;
    }
    if (str_eq(rest.items[0], STR("manual"))) {
        config_manual(tables, count, &out);
    } else if (str_eq(rest.items[0], STR("schema"))) {
        config_schema(tables, count, &out);
    } else if (str_eq(rest.items[0], STR("scenario"))) {
        scenario_manual(&out);
    } else {
        cli_say("config", "say manual, schema or scenario, not %.*s", STR_ARG(rest.items[0]));
        return EXIT_USAGE;
    }
    return cli_out(buf_str(&out)) ? EXIT_DONE : EXIT_FAILED;
}
