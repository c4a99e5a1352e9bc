/*
 * dispatch: from the words of a shell to a command.
 *
 * Source    Design section 10, Surfaces.
 * Owns      Nothing.
 * Errors    Exit code 64 with what to do next on standard error, when there is no such command.
 */
#pragma once

#include "cli/command.h"

/* All of the command line. `serve` and `simulate` are main's. Called as `sendmail` (argv[0]) it is
 * that. */
int cli_main(int argc, char **argv, cli_command_fn *serve, cli_command_fn *simulate);

const struct cli_command *cli_commands(size_t *count);
const struct cli_command *cli_command(struct str name); /* NULL: none; main's are not here */
