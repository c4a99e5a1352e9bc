#include "base/check.h"
#include "cli/commands.h"
#include "cli/dispatch.h"

static const struct cli_command table[] = {
#define COMMAND(name, fn, usage, does) {name, usage, does, fn},
#include "cli/commands.def"
#undef COMMAND
};

const struct cli_command *cli_commands(size_t *count)
{
    *count = COUNT_OF(table);
    return table;
}

const struct cli_command *cli_command(struct str name)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (str_eq(str_of(table[i].name), name)) {
            return &table[i];
        }
    }
    return NULL;
}
