/*
 * command: what the commands of `postyard` share: their table, exit codes, options, configuration,
 * and how they speak.
 *
 * Source    Design section 10, Surfaces; exit codes by sysexits.h.
 * Owns      Nothing: texts are views of the arguments or live in the caller's arena.
 * Errors    A function that fails has said why on standard error, and what to do next.
 *
 * A command is one file with one function. It reads its options by a table of rows that point at
 * its variables, so that --help and the reading agree.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

enum cli_exit {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 64,
    EXIT_DOWN = 75 /* the server is not there, or cannot now: try again later */
};

typedef int cli_command_fn(int argc, char **argv);

struct cli_command {
    const char *name;
    const char *usage; /* what follows the name; several lines when there are several forms */
    const char *does;
    cli_command_fn *fn;
};

struct words {
    struct str *items;
    size_t count;
};

/* One option. Exactly one of the four targets is set. */
struct option_row {
    const char *name; /* without the dashes */
    char letter;      /* 0: none */
    bool *flag;
    struct str *text;
    struct words *texts; /* may be given again and again */
    uint64_t *number;
    const char *value; /* what --help calls its argument */
    const char *does;
};

/* Sorts arguments (argv[0] is the command) into options and *rest, all in `a`. False: *why. */
bool options_read(const struct option_row *rows, size_t count, int argc, char **argv,
                  struct arena *a, struct words *rest, struct buf *why);
/* The same for a command: says what is wrong, or the help that was asked for. True: go on; false:
 * the command ends with *exit. At least `least` and at most `most` words must be left. */
bool cli_options(const char *command, const struct option_row *rows, size_t count, int argc,
                 char **argv, struct arena *a, struct words *rest, size_t least, size_t most,
                 int *exit);

/* "postyard COMMAND: …" on standard error. */
void cli_say(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes to standard output; false, said, when that fails. */
bool cli_out(struct str text);

#define CLI_CONFIG_STANDARD "/etc/postyard/postyard.yaml"

/* All tables of settings: what the program reads from a configuration. */
const struct setting_table *const *cli_tables(size_t *count);
/* The file meant: `given`, or the standard one if it exists, else empty (*is_missing). */
struct str cli_config_path(struct str given, bool *is_missing);
/* The configuration for a command that needs to know where the server is; NULL, said, if it is no
 * good. */
struct config *cli_config(const char *command, struct str given);

/* What the options -c and --json are, in every command that has them. */
#define OPTION_CONFIG(target)                                                                      \
    {                                                                                              \
        .name = "config", .letter = 'c', .text = (target), .value = "FILE",                        \
        .does = "configuration file (" CLI_CONFIG_STANDARD ")"                                     \
    }
#define OPTION_JSON(target)                                                                        \
    {                                                                                              \
        .name = "json", .flag = (target), .does = "print JSON"                                     \
    }
