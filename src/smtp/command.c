#include "smtp/command.h"

enum argument { ARG_NONE, ARG_SOME, ARG_ANY, ARG_PATH_FROM, ARG_PATH_TO };

static const struct {
    struct str name;
    enum argument argument;
    enum command_place place;
} table[COMMAND_COUNT] = {
#define COMMAND(name, argument, place) {STR_INIT(#name), ARG_##argument, PLACE_##place},
#include "smtp/commands.def"
#undef COMMAND
};

static bool has_bad_byte(struct str line)
{
    return str_find(line, '\r') != STR_NONE || str_find(line, '\0') != STR_NONE;
}

enum line_state line_find(struct str in, size_t bytes_max, struct str *ret, size_t *used,
                          bool *ended)
{
    size_t lf = str_find(in, '\n');
    struct str line = str_head(in, lf == STR_NONE ? in.len : lf);

    *ended = lf != STR_NONE;
    *used = 0;
    if (lf == STR_NONE && in.len < bytes_max) {
        return LINE_PART;
    }
    *used = *ended ? lf + 1 : in.len;
    if (*used > bytes_max || !*ended) {
        return LINE_LONG;
    }
    if (line.len == 0 || line.ptr[line.len - 1] != '\r') {
        return LINE_BARE;
    }
    line.len--;
    if (has_bad_byte(line)) {
        return LINE_BARE;
    }
    *ret = line;
    return LINE_GOOD;
}

struct str command_name(enum command c)
{
    return c < COMMAND_COUNT ? table[c].name : STR_EMPTY;
}

static enum command command_find(struct str verb)
{
    for (unsigned i = 0; i < COMMAND_COUNT; i++) {
        if (str_eq_nocase(verb, table[i].name)) {
            return (enum command)i;
        }
    }
    return COMMAND_COUNT;
}

/* "FROM:<a@b> X" to "<a@b> X". */
static bool after_word(struct str *arg, struct str word)
{
    if (!str_starts_nocase(*arg, word)) {
        return false;
    }
    *arg = str_skip(*arg, word.len);
    return true;
}

static bool argument_check(enum argument wanted, struct str *arg, enum answer_row *refusal)
{
    switch (wanted) {
    case ARG_NONE:
        *refusal = ANSWER_ARG_NONE;
        return str_is_empty(*arg);
    case ARG_SOME:
        *refusal = ANSWER_ARG_NEEDED;
        return !str_is_empty(*arg);
    case ARG_ANY:
        return true;
    case ARG_PATH_FROM:
        *refusal = ANSWER_ARG_FROM;
        return after_word(arg, STR("FROM:"));
    case ARG_PATH_TO:
        *refusal = ANSWER_ARG_TO;
        return after_word(arg, STR("TO:"));
    }
    return false;
}

bool command_parse(struct str line, struct command_line *ret, enum answer_row *refusal)
{
    struct str verb;

    /* RFC 5321 section 4.1.1: blanks before the end of the line are to be borne. Those at its start
     * are not, and make the first word an empty one. */
    while (line.len > 0 && (line.ptr[line.len - 1] == ' ' || line.ptr[line.len - 1] == '\t')) {
        line.len--;
    }
    ret->arg = line;
    str_cut(&ret->arg, ' ', &verb);
    ret->arg = str_trim(ret->arg);
    ret->command = command_find(verb);
    if (ret->command == COMMAND_COUNT) {
        ret->place = PLACE_ALWAYS;
        *refusal = ANSWER_UNKNOWN;
        return false;
    }
    ret->place = table[ret->command].place;
    if (ret->place == PLACE_FOREIGN || ret->place == PLACE_ABSENT) {
        *refusal = ret->place == PLACE_FOREIGN ? ANSWER_FOREIGN : ANSWER_NOT_OFFERED;
        return false;
    }
    /* Addresses say themselves what they refuse of it (mail/path.h). */
    if (ret->command != COMMAND_MAIL && ret->command != COMMAND_RCPT &&
        ret->command != COMMAND_VRFY && !str_is_ascii(ret->arg)) {
        *refusal = ANSWER_LINE_8BIT;
        return false;
    }
    return argument_check(table[ret->command].argument, &ret->arg, refusal);
}

bool bdat_parse(struct str arg, uint64_t *size, bool *last)
{
    struct str digits;

    *last = str_cut(&arg, ' ', &digits);
    if (*last && !str_eq_nocase(str_trim(arg), STR("LAST"))) {
        return false;
    }
    return digits.len <= 20 && str_to_u64(digits, size);
}
