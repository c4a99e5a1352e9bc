/*
 * serve: `postyard serve [-c FILE]`, from the command line to the running server.
 */
#pragma once

int serve_command(int argc, char **argv);
