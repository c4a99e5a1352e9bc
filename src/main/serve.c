#include "main/serve.h"

#include "admin/settings.h"
#include "cli/command.h"
#include "main/limits.h"
#include "main/server.h"
#include "runtime/log.h"
#include "runtime/memory.h"

#include <stdio.h>
#include <unistd.h>

/* Warnings and notes are shown, and do not keep us from starting. */
static bool load(struct snapshot_source *source, struct snapshot *ret)
{
    struct faults faults = {0};
    struct buf text BUF_LOCAL = {0};
    bool ok = snapshot_load(source, &faults, ret);

    faults_print(&faults, &text);
    (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&text)));
    if (!ok) {
        cli_say("serve", "the configuration has errors; put them right and try again");
    }
    faults_done(&faults);
    return ok;
}

int serve_command(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct str given = STR_EMPTY;
    const struct option_row rows[] = {OPTION_CONFIG(&given)};
    struct server_options o = {.source.number = 1};
    const struct log_settings *log;
    struct words rest;
    bool is_missing;
    int status;

    if (!cli_options("serve", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &status)) {
        return status;
    }
    memory_tune();
    signals_block();
    o.source.path = cli_config_path(given, &is_missing);
    o.source.tables = cli_tables(&o.source.table_count);
    o.source.memory_bytes = memory_half();
    if (is_missing) {
        cli_say("serve", "no %s: starting as a relay on loopback with built-in defaults",
                CLI_CONFIG_STANDARD);
    }
    if (!load(&o.source, &o.snapshot)) {
        return EXIT_FAILED;
    }
    o.descriptors = (uint32_t)(descriptors_raise() > 1000000 ? 1000000 : descriptors_raise());
    log = config_settings(o.snapshot.config, &log_table);
    log_start(STDERR_FILENO, (enum log_format)log->format, (enum event_level)log->level);
    status = postyard_run(&o);
    log_stop();
    return status;
}
