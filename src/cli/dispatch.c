#include "cli/dispatch.h"

#include "base/mem.h"
#include "base/version.h"
#include "cli/commands.h"

#include <stdio.h>

enum { DISTANCE_MAX = 2 };

static const struct cli_command serving = {
    .name = "serve",
    .usage = "[-c FILE]",
    .does = "runs the server in the foreground",
};
static const struct cli_command simulating = {
    .name = "simulate",
    .usage = "[-c FILE] --scenario FILE [--seed N] [--json FILE] [--html FILE]",
    .does = "plays described traffic against described destinations, in virtual time",
};
static cli_command_fn *simulate_fn;

static void print_row(struct buf *out, const struct cli_command *c)
{
    buf_printf(out, "  %-10s %s\n", c->name, c->does);
}

static void print_help(struct buf *out)
{
    size_t count;
    const struct cli_command *table = cli_commands(&count);

    buf_put(out, STR("usage: postyard COMMAND ...\n\n"));
    print_row(out, &serving);
    print_row(out, &simulating);
    for (size_t i = 0; i < count; i++) {
        print_row(out, &table[i]);
    }
    buf_put(out,
            STR("\npostyard COMMAND --help says more; postyard --version says which this is.\n"));
}

static int help(struct str about)
{
    struct buf text BUF_LOCAL = {0};
    const struct cli_command *c = cli_command(about);
    char help_word[] = "--help", name[16];
    char *argv[] = {name, help_word, NULL};

    if (c != NULL || str_eq(about, str_of(simulating.name))) {
        (void)snprintf(name, sizeof(name), "%s", c != NULL ? c->name : simulating.name);
        return (c != NULL ? c->fn : simulate_fn)(2, argv);
    }
    if (str_eq(about, str_of(serving.name))) {
        buf_printf(&text, "usage: postyard %s %s\n%s\n", serving.name, serving.usage, serving.does);
    } else {
        print_help(&text);
    }
    return cli_out(buf_str(&text)) ? EXIT_DONE : EXIT_FAILED;
}

static int unknown(struct str word)
{
    size_t count;
    const struct cli_command *table = cli_commands(&count), *near = NULL;
    unsigned best = DISTANCE_MAX + 1;

    for (size_t i = 0; i < count; i++) {
        unsigned d = str_distance(str_of(table[i].name), word);

        if (d < best) {
            best = d;
            near = &table[i];
        }
    }
    (void)fprintf(stderr, "postyard: there is no command %.*s", STR_ARG(word));
    if (near != NULL) {
        (void)fprintf(stderr, "; did you mean %s?\n", near->name);
    } else {
        (void)fputs(" (see postyard help)\n", stderr);
    }
    return EXIT_USAGE;
}

static struct str base_name(struct str path)
{
    size_t slash = str_rfind(path, '/');

    return slash == STR_NONE ? path : str_skip(path, slash + 1);
}

int cli_main(int argc, char **argv, cli_command_fn *serve, cli_command_fn *simulate)
{
    const struct cli_command *c;
    struct str word;

    simulate_fn = simulate;
    if (argc > 0 && str_eq(base_name(str_of(argv[0])), STR("sendmail"))) {
        return cli_sendmail(argc, argv);
    }
    if (argc < 2) {
        struct buf text BUF_LOCAL = {0};

        print_help(&text);
        (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(&text)));
        return EXIT_USAGE;
    }
    word = str_of(argv[1]);
    if (str_eq(word, STR("--version")) || str_eq(word, STR("version"))) {
        return cli_out(STR("postyard " POSTYARD_VERSION "\n")) ? EXIT_DONE : EXIT_FAILED;
    }
    if (str_eq(word, STR("help")) || str_eq(word, STR("--help")) || str_eq(word, STR("-h"))) {
        return help(argc > 2 ? str_of(argv[2]) : STR_EMPTY);
    }
    if (str_eq(word, str_of(serving.name))) {
        for (int i = 2; i < argc; i++) {
            if (str_eq(str_of(argv[i]), STR("--help")) || str_eq(str_of(argv[i]), STR("-h"))) {
                return help(word);
            }
        }
        return serve(argc - 1, argv + 1);
    }
    if (str_eq(word, str_of(simulating.name))) {
        return simulate(argc - 1, argv + 1);
    }
    c = cli_command(word);
    return c != NULL ? c->fn(argc - 1, argv + 1) : unknown(word);
}
