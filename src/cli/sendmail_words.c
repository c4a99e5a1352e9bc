#include "base/check.h"
#include "cli/sendmail.h"

struct str sendmail_address(struct str word, struct str host, struct arena *a)
{
    if (str_starts(word, STR("<")) && str_ends(word, STR(">"))) {
        word = str_head(str_skip(word, 1), word.len - 2);
    }
    return str_rfind(word, '@') == STR_NONE && word.len > 0
               ? arena_printf(a, "%.*s@%.*s", STR_ARG(word), STR_ARG(host))
               : word;
}

static bool has(const struct words *w, struct str s)
{
    for (size_t i = 0; i < w->count; i++) {
        if (str_eq(w->items[i], s)) {
            return true;
        }
    }
    return false;
}

void sendmail_join(struct words *to, const struct words *more, struct arena *a)
{
    struct words all = {.items = arena_array(a, to->count + more->count + 1, sizeof(struct str))};

    for (size_t i = 0; i < to->count + more->count; i++) {
        struct str s = i < to->count ? to->items[i] : more->items[i - to->count];

        if (!has(&all, s)) {
            all.items[all.count++] = s;
        }
    }
    *to = all;
}
