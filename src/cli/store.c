/*
 * postyard store: reads the store of a server that is not running.
 */
#include "base/check.h"
#include "cli/commands.h"
#include "runtime/loop.h"
#include "store/offline.h"
#include "store/settings.h"

#include <errno.h>
#include <sys/stat.h>

struct store_command {
    const char *name;
    struct arena arena;
    struct str config, path;
    bool content;
    uint64_t id;    /* 0: all */
    bool is_broken; /* standard output */
    int exit;
};

static void put_line(void *ctx, struct str text)
{
    struct store_command *s = ctx;
    struct buf line BUF_LOCAL = {0};

    buf_put(&line, text);
    buf_byte(&line, '\n');
    s->is_broken = s->is_broken || !cli_out(buf_str(&line));
}

static void put_bytes(void *ctx, struct str text)
{
    struct store_command *s = ctx;

    s->is_broken = s->is_broken || !cli_out(text);
}

static int failed(const struct store_command *s, struct err e, struct str why)
{
    char text[128];

    cli_say(s->name, "%.*s: %.*s", STR_ARG(s->path),
            STR_ARG(why.len > 0 ? why : err_say(e, text, sizeof(text))));
    return EXIT_FAILED;
}

static int check(struct store_command *s, struct disk *disk, struct when by)
{
    struct store_found found;
    struct buf why BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    struct err e = store_check(disk, (struct store_lines){put_line, s}, &found, &why, by);

    if (e.code != OK) {
        return failed(s, e, buf_str(&why));
    }
    buf_printf(&out, "%.*s: %llu messages for %llu recipients, %llu bytes, in %llu segments; ",
               STR_ARG(s->path), (unsigned long long)found.messages,
               (unsigned long long)found.recipients, (unsigned long long)found.bytes,
               (unsigned long long)found.segments);
    if (found.damaged == 0) {
        buf_put(&out, STR("no damage\n"));
    } else {
        buf_printf(&out, "%llu damaged\n", (unsigned long long)found.damaged);
    }
    return cli_out(buf_str(&out)) && found.damaged == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int dump(struct store_command *s, struct disk *disk, struct when by)
{
    struct buf why BUF_LOCAL = {0};
    struct err e =
        s->content ? store_dump_content(disk, s->id, (struct store_lines){put_bytes, s}, &why, by)
                   : store_dump(disk, s->id, (struct store_lines){put_line, s}, &why, by);

    return e.code == OK ? EXIT_DONE : failed(s, e, buf_str(&why));
}

static void run(struct store_command *s,
                int (*fn)(struct store_command *, struct disk *, struct when))
{
    struct disk *disk;
    struct err e = disk_open(s->path, &disk, WHEN_NEVER);

    if (e.code != OK) {
        s->exit = failed(s, e, STR_EMPTY);
        return;
    }
    s->exit = fn(s, disk, WHEN_NEVER);
    if (s->is_broken) {
        s->exit = EXIT_FAILED;
    }
    disk_close(disk);
}

static void run_check(void *arg)
{
    run(arg, check);
}

static void run_dump(void *arg)
{
    run(arg, dump);
}

/* Opening a folder makes it; looking at one must not. */
static bool is_there(struct store_command *s)
{
    struct stat st;

    if (stat(arena_z(&s->arena, s->path), &st) == 0 && S_ISDIR(st.st_mode)) {
        return true;
    }
    (void)failed(s, err_sys(ERR_DISK, errno != 0 ? errno : ENOTDIR), STR_EMPTY);
    return false;
}

static bool read_words(struct store_command *s, const struct words *rest)
{
    if (rest->count > 0 && (!str_hex_to_u64(rest->items[0], &s->id) || s->id == 0)) {
        cli_say(s->name, "%.*s is not a message id", STR_ARG(rest->items[0]));
        return false;
    }
    if (s->content && s->id == 0) {
        cli_say(s->name, "--content is of one message: say which");
        return false;
    }
    return true;
}

static int start(struct store_command *s, bool is_dump, int argc, char **argv)
{
    const struct option_row rows[] = {
        OPTION_CONFIG(&s->config),
        {.name = "content", .flag = &s->content, .does = "the bytes of the message itself"},
    };
    const struct store_settings *settings;
    struct config *cfg;
    struct words rest;

    if (!cli_options(s->name, rows, is_dump ? 2 : 1, argc, argv, &s->arena, &rest, 0,
                     is_dump ? 1 : 0, &s->exit)) {
        return s->exit;
    }
    if (!read_words(s, &rest)) {
        return EXIT_USAGE;
    }
    cfg = cli_config(s->name, s->config);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    settings = config_settings(cfg, &store_table);
    s->path = arena_dup(&s->arena, settings->path);
    config_give(cfg);
    if (!is_there(s)) {
        return EXIT_FAILED;
    }
    run_alone("store", is_dump ? run_dump : run_check, s);
    return s->exit;
}

int cli_store(int argc, char **argv)
{
    struct store_command s = {.config = STR_EMPTY, .exit = EXIT_USAGE};
    struct str word = argc > 1 ? str_of(argv[1]) : STR_EMPTY;
    bool is_dump = str_eq(word, STR("dump"));
    struct words none;
    int exit;

    if (is_dump || str_eq(word, STR("check"))) {
        s.name = is_dump ? "store dump" : "store check";
        exit = start(&s, is_dump, argc - 1, argv + 1);
    } else if (str_eq(word, STR("--help")) || str_eq(word, STR("-h"))) {
        (void)cli_options("store", NULL, 0, argc, argv, &s.arena, &none, 0, 0, &exit);
    } else {
        cli_say("store", "say check or dump");
        exit = EXIT_USAGE;
    }
    arena_done(&s.arena);
    return exit;
}
