/*
 * Lines and commands: any bytes are a line, a part of one, or refused; what is found stays inside
 * of what was given, and finding it does not depend on what comes after it.
 */
#include "base/check.h"
#include "smtp/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct str part, struct str whole)
{
    return part.len == 0 || (part.ptr >= whole.ptr && part.ptr + part.len <= whole.ptr + whole.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct str line = STR_EMPTY, again = STR_EMPTY;
    size_t used, used_again;
    bool ended, ended_again;
    enum line_state state = line_find(in, 100, &line, &used, &ended);
    struct command_line c = {0};
    enum answer_row why = ANSWER_COUNT;
    uint64_t octets;
    bool last;

    must(used <= in.len);
    must((state == LINE_PART) == (used == 0));
    if (ended) {
        must(line_find(str_head(in, used), 100, &again, &used_again, &ended_again) == state);
        must(used == used_again && str_eq(line, again));
    }
    if (state == LINE_GOOD) {
        must(ended && line.len + 2 == used);
        must(str_find(line, '\n') == STR_NONE && str_find(line, '\r') == STR_NONE);
        must(str_find(line, '\0') == STR_NONE);
        if (command_parse(line, &c, &why)) {
            must(c.command < COMMAND_COUNT && inside(c.arg, line));
            (void)bdat_parse(c.arg, &octets, &last);
        } else {
            must(why < ANSWER_COUNT);
        }
    }
    (void)bdat_parse(in, &octets, &last);
    return 0;
}
