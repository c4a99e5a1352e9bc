#include "cli/command.h"
#include "cli/dispatch.h"

#include <stdio.h>

/* Options that begin alike may be mistaken for each other; further apart nobody meant this one. */
enum { DISTANCE_MAX = 2 };

static const struct option_row *find_name(const struct option_row *rows, size_t count,
                                          struct str name)
{
    for (size_t i = 0; i < count; i++) {
        if (str_eq(str_of(rows[i].name), name)) {
            return &rows[i];
        }
    }
    return NULL;
}

static const struct option_row *find_letter(const struct option_row *rows, size_t count,
                                            char letter)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].letter != 0 && rows[i].letter == letter) {
            return &rows[i];
        }
    }
    return NULL;
}

static void say_unknown(const struct option_row *rows, size_t count, struct str name,
                        struct buf *why)
{
    const struct option_row *near = NULL;
    unsigned best = DISTANCE_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        unsigned d = str_distance(str_of(rows[i].name), name);

        if (d < best) {
            best = d;
            near = &rows[i];
        }
    }
    buf_printf(why, "unknown option --%.*s", STR_ARG(name));
    if (near != NULL) {
        buf_printf(why, "; did you mean --%s?", near->name);
    }
}

static void add_word(struct words *w, struct arena *a, size_t max, struct str s)
{
    if (w->items == NULL) {
        w->items = arena_array(a, max, sizeof(*w->items));
    }
    w->items[w->count++] = s;
}

static bool set(const struct option_row *o, struct arena *a, size_t max, struct str value,
                struct buf *why)
{
    if (o->number != NULL && !str_to_u64(value, o->number)) {
        buf_printf(why, "--%s takes a whole number, not %.*s", o->name, STR_ARG(value));
        return false;
    }
    if (o->text != NULL) {
        *o->text = value;
    }
    if (o->texts != NULL) {
        add_word(o->texts, a, max, value);
    }
    return true;
}

struct reading {
    const struct option_row *rows;
    size_t count, argc, at;
    char **argv;
    struct arena *arena;
    struct buf *why;
};

/* The argument of an option: what stands behind it, or the next word. */
static bool take_value(struct reading *r, const struct option_row *o, bool has_value,
                       struct str value)
{
    if (!has_value) {
        if (r->at + 1 >= r->argc) {
            buf_printf(r->why, "--%s needs %s", o->name, o->value);
            return false;
        }
        value = str_of(r->argv[++r->at]);
    }
    return set(o, r->arena, r->argc, value, r->why);
}

static bool read_long(struct reading *r, struct str word)
{
    struct str name, rest = word;
    bool has_value = str_cut(&rest, '=', &name);
    const struct option_row *o = find_name(r->rows, r->count, name);

    if (o == NULL) {
        say_unknown(r->rows, r->count, name, r->why);
        return false;
    }
    if (o->flag != NULL) {
        if (has_value) {
            buf_printf(r->why, "--%s takes no argument", o->name);
            return false;
        }
        *o->flag = true;
        return true;
    }
    return take_value(r, o, has_value, rest);
}

static bool read_letters(struct reading *r, struct str letters)
{
    while (letters.len > 0) {
        const struct option_row *o = find_letter(r->rows, r->count, letters.ptr[0]);

        if (o == NULL) {
            buf_printf(r->why, "unknown option -%c", letters.ptr[0]);
            return false;
        }
        letters = str_skip(letters, 1);
        if (o->flag == NULL) {
            return take_value(r, o, letters.len > 0, letters);
        }
        *o->flag = true;
    }
    return true;
}

bool options_read(const struct option_row *rows, size_t count, int argc, char **argv,
                  struct arena *a, struct words *rest, struct buf *why)
{
    struct reading r = {
        .rows = rows, .count = count, .argc = (size_t)argc, .argv = argv, .arena = a, .why = why};
    bool only_words = false;

    *rest = (struct words){0};
    for (r.at = 1; r.at < r.argc; r.at++) {
        struct str word = str_of(argv[r.at]);

        if (only_words || word.len < 2 || word.ptr[0] != '-') {
            add_word(rest, a, r.argc, word);
        } else if (str_eq(word, STR("--"))) {
            only_words = true;
        } else if (word.ptr[1] == '-' ? !read_long(&r, str_skip(word, 2))
                                      : !read_letters(&r, str_skip(word, 1))) {
            return false;
        }
    }
    return true;
}

static void print_help(const char *command, const struct option_row *rows, size_t count,
                       struct buf *out)
{
    const struct cli_command *c = cli_command(str_of(command));

    if (c != NULL) {
        buf_printf(out, "usage: postyard %s %s\n%s\n\n", command, c->usage, c->does);
    } else {
        buf_printf(out, "postyard %s\n", command);
    }
    for (size_t i = 0; i < count; i++) {
        char left[48];
        const struct option_row *o = &rows[i];
        char letter[] = {o->letter ? '-' : ' ', o->letter ? o->letter : ' ', 0};

        (void)snprintf(left, sizeof(left), "%s --%s %s", letter, o->name, o->value ? o->value : "");
        buf_printf(out, "  %-26s %s\n", left, o->does);
    }
}

bool cli_options(const char *command, const struct option_row *rows, size_t count, int argc,
                 char **argv, struct arena *a, struct words *rest, size_t least, size_t most,
                 int *exit)
{
    struct buf text BUF_LOCAL = {0};

    for (int i = 1; i < argc && !str_eq(str_of(argv[i]), STR("--")); i++) {
        if (str_eq(str_of(argv[i]), STR("--help")) || str_eq(str_of(argv[i]), STR("-h"))) {
            print_help(command, rows, count, &text);
            *exit = cli_out(buf_str(&text)) ? EXIT_DONE : EXIT_FAILED;
            return false;
        }
    }
    *exit = EXIT_USAGE;
    if (!options_read(rows, count, argc, argv, a, rest, &text)) {
        cli_say(command, "%.*s (see postyard %s --help)", STR_ARG(buf_str(&text)), command);
        return false;
    }
    if (rest->count < least) {
        cli_say(command, "something is missing (see postyard %s --help)", command);
        return false;
    }
    if (rest->count > most) {
        cli_say(command, "%.*s is one argument too many (see postyard %s --help)",
                STR_ARG(rest->items[most]), command);
        return false;
    }
    return true;
}
