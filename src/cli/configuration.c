#include "cli/command.h"

#include <stdio.h>
#include <unistd.h>

struct str cli_config_path(struct str given, bool *is_missing)
{
    *is_missing = false;
    if (given.len > 0) {
        return given;
    }
    if (access(CLI_CONFIG_STANDARD, F_OK) == 0) {
        return STR(CLI_CONFIG_STANDARD);
    }
    *is_missing = true;
    return STR_EMPTY;
}

struct config *cli_config(const char *command, struct str given)
{
    bool is_missing;
    struct str path = cli_config_path(given, &is_missing);
    struct config_options options = {.is_check = true};
    struct faults faults = {0};
    struct config *cfg;

    options.tables = cli_tables(&options.table_count);
    cfg = config_load(&options, path, &faults);
    if (cfg == NULL) {
        struct buf text BUF_LOCAL = {0};

        faults_print(&faults, &text);
        (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&text)));
        cli_say(command, "the configuration has errors (see postyard check)");
    }
    faults_done(&faults);
    return cfg;
}
