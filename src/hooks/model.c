#include "hooks/model.h"

#include "base/check.h"

#include <stdarg.h>

static const struct str stages[HOOK_STAGES] = {
    STR_INIT("connect"), STR_INIT("ehlo"), STR_INIT("auth"),  STR_INIT("mail"),
    STR_INIT("rcpt"),    STR_INIT("data"), STR_INIT("route"), STR_INIT("delivery"),
    STR_INIT("defer"),   STR_INIT("dsn"),
};

static const struct str actions[HOOK_ACTIONS] = {
    STR_INIT("accept"),     STR_INIT("quarantine"), STR_INIT("reject"), STR_INIT("discard"),
    STR_INIT("disconnect"), STR_INIT("continue"),   STR_INIT("cancel"),
};

struct str hook_stage_name(enum hook_stage s)
{
    must(s < HOOK_STAGES);
    return stages[s];
}

bool hook_stage_find(struct str name, enum hook_stage *ret)
{
    for (int s = 0; s < HOOK_STAGES; s++) {
        if (str_eq(name, stages[s])) {
            *ret = (enum hook_stage)s;
            return true;
        }
    }
    return false;
}

struct str hook_action_name(enum hook_action a)
{
    must(a < HOOK_ACTIONS);
    return actions[a];
}

struct hook_edit *hook_edit_add(struct hook_outcome *o, struct arena *a, enum hook_edit_kind kind)
{
    if (o->edit_count == o->edit_size) {
        uint32_t size = o->edit_size > 0 ? 2 * o->edit_size : 4;
        struct hook_edit *more = arena_array(a, size, sizeof(*more));

        must(size > o->edit_size);
        if (o->edit_count > 0) {
            memcpy(more, o->edits, o->edit_count * sizeof(*more));
        }
        o->edits = more;
        o->edit_size = size;
    }
    o->edits[o->edit_count] = (struct hook_edit){.kind = kind,
                                                 .name = STR_EMPTY,
                                                 .text = STR_EMPTY,
                                                 .route = STR_EMPTY,
                                                 .connection = STR_EMPTY,
                                                 .tls = STR_EMPTY,
                                                 .queue = STR_EMPTY};
    return &o->edits[o->edit_count++];
}

/* A stranger's answer may give occasion to thousands: the log needs to know that there were. */
enum { NOTES_MAX = 16 };

static void add_note(struct str_notes *notes, struct arena *a, struct str text)
{
    if (notes->count == NOTES_MAX) {
        notes->items[NOTES_MAX - 1] = STR("and more of the kind");
        return;
    }
    if (notes->items == NULL) {
        notes->items = arena_array(a, NOTES_MAX, sizeof(*notes->items));
        notes->size = NOTES_MAX;
    }
    must(notes->size == NOTES_MAX);
    notes->items[notes->count++] = arena_dup(a, text);
}

void hook_note(struct hook_outcome *o, struct arena *a, const char *format, ...)
{
    struct buf text BUF_LOCAL = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    add_note(&o->notes, a, buf_str(&text));
}

void hook_aside(struct hook_outcome *o, struct arena *a, const char *text)
{
    add_note(&o->asides, a, str_of(text));
}

bool hook_status_may_become(const struct hook_view *view, enum hook_rcpt_status from,
                            enum hook_rcpt_status to)
{
    bool in_time = view->expires.ms == 0 || view->at.ms < view->expires.ms;

    switch (from) {
    case HOOK_PENDING:
        return to == HOOK_FAILED || to == HOOK_FAILED_SILENT || to == HOOK_DEFERRED;
    case HOOK_DEFERRED:
        return to == HOOK_FAILED || to == HOOK_FAILED_SILENT;
    case HOOK_FAILED:
        return to == HOOK_FAILED_SILENT || (to == HOOK_DEFERRED && in_time);
    case HOOK_DELIVERED:
    case HOOK_FAILED_SILENT:
        break;
    }
    return false;
}
