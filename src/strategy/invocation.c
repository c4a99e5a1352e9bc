#include "strategy/invocation.h"

#include "base/buf.h"
#include "base/check.h"
#include "config/hint.h"
#include "mail/address.h"

static const struct str names[PLACEHOLDER_COUNT] = {
#define PLACEHOLDER(name, key, prose) [PLACEHOLDER_##key] = STR_INIT(name),
#include "strategy/placeholders.def"
#undef PLACEHOLDER
};

struct compiling {
    struct arena *arena;
    struct faults *faults;
    struct position at;
    struct str route;
};

static enum placeholder placeholder_find(struct compiling *c, struct str name)
{
    struct hint_words words = {.given = name};

    for (int i = PLACEHOLDER_NONE + 1; i < PLACEHOLDER_COUNT; i++) {
        if (str_eq(name, names[i])) {
            return (enum placeholder)i;
        }
        hint_word_try(&words, names[i]);
    }
    fault_error(c->faults, c->at, "queue.route.%.*s: there is no ${%.*s}", STR_ARG(c->route),
                STR_ARG(str_head(name, 40)));
    if (hint_word_found(&words)) {
        fault_hint(c->faults, "did you mean ${%.*s}?", STR_ARG(words.best));
    } else {
        fault_hint(c->faults, "$${ stands for a ${ that is meant");
    }
    return PLACEHOLDER_NONE;
}

static void piece_add(struct invocation_argument *arg, enum placeholder what, struct str text)
{
    if (what != PLACEHOLDER_NONE || text.len > 0) {
        arg->pieces[arg->count++] = (struct invocation_piece){what, text};
    }
}

static bool argument_compile(struct compiling *c, struct str from, struct invocation_argument *ret)
{
    size_t at, end;

    /* At most a text and a placeholder for each '$'. */
    ret->pieces = arena_array(c->arena, 2 * from.len + 1, sizeof *ret->pieces);
    while ((at = str_find_str(from, STR("${"))) != STR_NONE) {
        enum placeholder what;

        if (at > 0 && from.ptr[at - 1] == '$') {
            piece_add(ret, PLACEHOLDER_NONE, str_head(from, at));
            piece_add(ret, PLACEHOLDER_NONE, STR("{"));
            from = str_skip(from, at + 2);
            continue;
        }
        end = str_find(str_skip(from, at), '}');
        if (end == STR_NONE) {
            fault_error(c->faults, c->at, "queue.route.%.*s: \"%.*s\" has no end",
                        STR_ARG(c->route), STR_ARG(str_head(str_skip(from, at), 40)));
            fault_hint(c->faults, "${NAME}, or $${ for a ${ that is meant");
            return false;
        }
        what = placeholder_find(c, str_head(str_skip(from, at + 2), end - 2));
        if (what == PLACEHOLDER_NONE) {
            return false;
        }
        piece_add(ret, PLACEHOLDER_NONE, str_head(from, at));
        piece_add(ret, what, STR_EMPTY);
        from = str_skip(from, at + end + 1);
    }
    piece_add(ret, PLACEHOLDER_NONE, from);
    return true;
}

bool invocation_compile(const struct str_list *from, struct arena *a, struct faults *faults,
                        struct position at, struct str route, struct invocation *ret)
{
    struct compiling c = {a, faults, at, route};
    bool ok = true;

    if (from->count > INVOCATION_ARGUMENTS_MAX) {
        fault_error(faults, at, "queue.route.%.*s: command has more than %d words", STR_ARG(route),
                    INVOCATION_ARGUMENTS_MAX);
        return false;
    }
    if (!str_starts(from->items[0], STR("/")) ||
        str_find_str(from->items[0], STR("${")) != STR_NONE) {
        fault_error(faults, at, "queue.route.%.*s: command begins with the path of a program",
                    STR_ARG(route));
        fault_hint(faults, str_find(from->items[0], ' ') != STR_NONE
                               ? "there is no shell: write each word as an item of its own, [ "
                                 "/usr/bin/program, '${rcpt}' ]"
                               : "such as [ /usr/bin/program, '${rcpt}' ]");
        return false;
    }
    ret->arguments = arena_array(a, from->count, sizeof *ret->arguments);
    ret->count = from->count;
    for (size_t i = 0; i < from->count; i++) {
        ok = argument_compile(&c, from->items[i], &ret->arguments[i]) && ok;
    }
    return ok;
}

static void fill_one(struct buf *out, const struct invocation_piece *p, const struct message *m,
                     const struct recipient *r)
{
    struct str domain = address_domain(r->address);

    switch (p->what) {
    case PLACEHOLDER_NONE:
        buf_put(out, p->text);
        return;
    case PLACEHOLDER_RCPT:
        buf_put(out, r->address);
        return;
    case PLACEHOLDER_RCPT_LOCAL:
        buf_put(out, str_head(r->address, r->address.len - domain.len - (domain.len > 0)));
        return;
    case PLACEHOLDER_RCPT_DOMAIN:
        buf_put(out, domain);
        return;
    case PLACEHOLDER_SENDER:
        buf_put(out, m->sender);
        return;
    case PLACEHOLDER_SENDER_DOMAIN:
        buf_put(out, address_domain(m->sender));
        return;
    case PLACEHOLDER_MESSAGE:
        buf_hex16(out, m->id);
        return;
    case PLACEHOLDER_SIZE:
        buf_num(out, (int64_t)m->size);
        return;
    case PLACEHOLDER_ATTEMPT:
        buf_num(out, (int64_t)r->state.attempts + 1);
        return;
    case PLACEHOLDER_COUNT:
        break;
    }
    never("all placeholders were named");
}

const char *const *invocation_fill(const struct invocation *c, const struct message *m,
                                   const struct recipient *r, struct arena *a)
{
    const char **argv = arena_array(a, c->count + 1, sizeof *argv);
    struct buf out BUF_LOCAL = {0};

    for (size_t i = 0; i < c->count; i++) {
        const struct invocation_argument *arg = &c->arguments[i];

        buf_clear(&out);
        for (size_t k = 0; k < arg->count; k++) {
            fill_one(&out, &arg->pieces[k], m, r);
        }
        if (arg->count > 0 && arg->pieces[0].what != PLACEHOLDER_NONE &&
            str_starts(buf_str(&out), STR("-"))) {
            return NULL;
        }
        argv[i] = arena_z(a, buf_str(&out));
    }
    return argv;
}
