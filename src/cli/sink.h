/*
 * sink: `postyard sink`: test destinations on loopback or elsewhere, each with its behaviour.
 *
 * Errors    Exit status: 0 after SIGINT or SIGTERM, 1 when it cannot listen or save, 64 for a
 *           command line that makes no sense.
 */
#pragma once

/* argv[0] is "sink". */
int cli_sink(int argc, char **argv);
