#include "cli/command.h"

#include <stdio.h>

void cli_say(const char *command, const char *format, ...)
{
    va_list args;

    (void)fprintf(stderr, "postyard %s: ", command);
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
}

bool cli_out(struct str text)
{
    if (fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0) {
        return true;
    }
    perror("postyard: cannot write to standard output");
    return false;
}
