/* postyard: one binary; the command line's first word says what it does. */
#include "cli/dispatch.h"
#include "main/serve.h"
#include "main/simulate.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv, serve_command, simulate_command);
}
