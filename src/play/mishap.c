#include "play/mishap.h"

#include "base/check.h"
#include "config/hint.h"
#include "config/units.h"
#include "play/behaviour.h"

static const struct {
    struct str name;
    unsigned where;
    const char *argument;
} mishaps[MISHAP_COUNT] = {
#define NAMES                                    MISHAP_NAMES
#define MAILDIR                                  MISHAP_MAILDIR
#define PROGRAM                                  MISHAP_PROGRAM
#define MISHAP(name, key, where, argument, text) {STR_INIT(name), where, argument},
#include "play/mishaps.def"
#undef MISHAP
};

struct str mishap_name(enum mishap_kind kind)
{
    must(kind < MISHAP_COUNT);
    return mishaps[kind].name;
}

/* "CODE[:TEXT]": what a program may end with. */
static bool exit_parse(struct str s, struct mishap *ret)
{
    struct str code;
    uint64_t number;

    str_cut(&s, ':', &code);
    if (!str_to_u64(code, &number) || number == 0 || number > UINT8_MAX) {
        return false;
    }
    ret->code = (uint8_t)number;
    ret->text = s;
    return true;
}

static bool argument_parse(struct str s, struct mishap *ret)
{
    if (ret->kind == MISHAP_SLOW) {
        return duration_parse(s, &ret->ms) == UNITS_OK;
    }
    return ret->kind == MISHAP_EXIT ? exit_parse(s, ret) : s.len == 0;
}

bool mishap_add(struct mishaps *m, unsigned where, struct str word, struct buf *why)
{
    struct mishap new = {.kind = MISHAP_COUNT};
    struct str rest = word, name;
    bool has_chance = play_chance_cut(&rest, &new.chance);
    struct hint_words near;

    if (!has_chance) {
        rest = str_head(rest, str_rfind(rest, '@'));
    }
    str_cut(&rest, ':', &name);
    near = (struct hint_words){.given = name};
    for (unsigned i = 0; i < MISHAP_COUNT; i++) {
        if ((mishaps[i].where & where) != 0) {
            hint_word_try(&near, mishaps[i].name);
            new.kind = str_eq(mishaps[i].name, name) ? (enum mishap_kind)i : new.kind;
        }
    }
    if (new.kind == MISHAP_COUNT) {
        buf_printf(why, "\"%.*s\" cannot happen here", STR_ARG(name));
        if (hint_word_found(&near)) {
            buf_printf(why, "; did you mean %.*s?", STR_ARG(near.best));
        }
        return false;
    }
    if (!has_chance || !argument_parse(rest, &new)) {
        buf_printf(why, "\"%.*s\": write %.*s%s[@P]", STR_ARG(word), STR_ARG(name),
                   mishaps[new.kind].argument);
        return false;
    }
    if (m->count == MISHAPS_MAX) {
        buf_printf(why, "more than %d of them", MISHAPS_MAX);
        return false;
    }
    m->items[m->count++] = new;
    return true;
}

const struct mishap *mishap_misplaced(const struct mishaps *m, unsigned where)
{
    for (unsigned i = 0; i < m->count; i++) {
        if ((mishaps[m->items[i].kind].where & where) == 0) {
            return &m->items[i];
        }
    }
    return NULL;
}

const struct mishap *mishap_now(const struct mishaps *m, int64_t *wait_ms, uint32_t (*dice)(void))
{
    const struct mishap *shows = NULL;

    for (unsigned i = 0; i < m->count; i++) {
        const struct mishap *one = &m->items[i];

        if (one->chance != PLAY_CHANCE_ALWAYS && dice() >= one->chance) {
            continue;
        }
        if (one->kind == MISHAP_SLOW) {
            *wait_ms += one->ms;
        } else if (shows == NULL) {
            shows = one;
        }
    }
    return shows;
}
