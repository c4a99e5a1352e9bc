/*
 * commands: the functions of the commands, one file each, as commands.def names them.
 */
#pragma once

#include "cli/command.h"

cli_command_fn cli_check, cli_send, cli_sendmail, cli_queue, cli_reload, cli_config_print, cli_sink,
    cli_store, cli_top, cli_explain, cli_hook;
