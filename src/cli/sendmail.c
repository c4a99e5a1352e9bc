/*
 * postyard sendmail: what programs expect under the name of sendmail: a whole message on standard
 * input, recipients as arguments or, with -t, from its fields.
 *
 * Options that would change what the server decides (queueing, delivery modes, debugging) are taken
 * and mean nothing here; those that ask for another program are refused.
 */
#include "cli/sendmail.h"

#include "base/check.h"
#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/inject.h"
#include "runtime/clock.h"
#include "runtime/random.h"

static const struct {
    char letter;
    bool has_value;
    const char *refused; /* NULL: taken without effect */
} others[] = {
    {'A', true, NULL},
    {'B', true, NULL},
    {'G', false, NULL},
    {'h', true, NULL},
    {'L', true, NULL},
    {'m', false, NULL},
    {'n', false, NULL},
    {'O', true, NULL},
    {'o', true, NULL},
    {'U', false, NULL},
    {'v', false, NULL},
    {'X', true, NULL},
    {'N', true, "the server's defaults decide about delivery status notifications"},
    {'R', true, "the server's defaults decide about delivery status notifications"},
    {'q', true, "there is no queue to run by hand; see postyard queue"},
    {'p', true, "a protocol name cannot be given"},
};

static bool fail(struct buf *why, const char *format, struct str word)
{
    buf_printf(why, "%s %.*s", format, STR_ARG(word));
    return false;
}

/* -bm is what we do; the others are other programs. */
static bool read_mode(struct str mode, struct buf *why)
{
    if (str_eq(mode, STR("m"))) {
        return true;
    }
    if (str_eq(mode, STR("s"))) {
        buf_put(why, STR("-bs: speak SMTP to the server's listener instead"));
        return false;
    }
    return fail(why, "this way of working is not offered:", mode);
}

static bool read_other(struct str word, bool *needs_value, struct buf *why)
{
    *needs_value = false;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (others[i].letter != word.ptr[1]) {
            continue;
        }
        if (others[i].refused != NULL) {
            buf_printf(why, "-%c: %s", word.ptr[1], others[i].refused);
            return false;
        }
        *needs_value = others[i].has_value && word.len == 2;
        return true;
    }
    return fail(why, "unknown option", word);
}

bool sendmail_read(int argc, char **argv, struct arena *a, struct sendmail *ret, struct buf *why)
{
    bool only_words = false;

    *ret = (struct sendmail){.to = {.items = arena_array(a, (size_t)argc + 1, sizeof(struct str))}};
    for (int i = 1; i < argc; i++) {
        struct str word = str_of(argv[i]), value = str_skip(word, 2);
        bool has_next = i + 1 < argc, needs_value = false;

        if (only_words || word.len < 2 || word.ptr[0] != '-') {
            ret->to.items[ret->to.count++] = word;
        } else if (str_eq(word, STR("--"))) {
            only_words = true;
        } else if (str_eq(word, STR("-t"))) {
            ret->from_fields = true;
        } else if (str_eq(word, STR("-i")) || str_eq(word, STR("-oi"))) {
            ret->ignore_dots = true;
        } else if (str_eq(word, STR("-ti")) || str_eq(word, STR("-it"))) {
            ret->from_fields = ret->ignore_dots = true;
        } else if (word.ptr[1] == 'b') {
            if (!read_mode(value, why)) {
                return false;
            }
        } else if (word.ptr[1] == 'f' || word.ptr[1] == 'r' || word.ptr[1] == 'F' ||
                   word.ptr[1] == 'C') {
            if (value.len == 0 && !has_next) {
                return fail(why, "an argument is missing after", word);
            }
            value = value.len == 0 ? str_of(argv[++i]) : value;
            *(word.ptr[1] == 'F'   ? &ret->name
              : word.ptr[1] == 'C' ? &ret->config
                                   : &ret->from) = value;
        } else if (!read_other(word, &needs_value, why)) {
            return false;
        } else if (needs_value) {
            i++;
        }
    }
    return true;
}

struct str sendmail_until_dot(struct str text)
{
    size_t at;

    if (str_starts(text, STR(".\r\n"))) {
        return STR_EMPTY;
    }
    at = str_find_str(text, STR("\r\n.\r\n"));
    return at == STR_NONE ? text : str_head(text, at + 2);
}

static int deliver(const struct sendmail *s, struct config *cfg, struct arena *a)
{
    struct composition c = {.from_name = s->name, .at = clock_date()};
    struct injection in = {.command = "sendmail", .to = s->to, .arena = a};
    struct buf text BUF_LOCAL = {0}, lines BUF_LOCAL = {0}, content BUF_LOCAL = {0};
    struct str message;

    in.sender = local_user(cfg, a, &c.host);
    if (s->from.ptr != NULL) {
        in.sender = str_eq(s->from, STR("<>")) ? STR_EMPTY : sendmail_address(s->from, c.host, a);
    }
    c.from = in.sender;
    c.number = random_u64();
    for (size_t i = 0; i < in.to.count; i++) {
        in.to.items[i] = sendmail_address(in.to.items[i], c.host, a);
    }
    if (!read_all("sendmail", STR_EMPTY, &text)) {
        return EXIT_FAILED;
    }
    compose_lines(buf_str(&text), &lines);
    message = s->ignore_dots ? buf_str(&lines) : sendmail_until_dot(buf_str(&lines));
    if (s->from_fields) {
        struct words fields;

        compose_recipients(&c, message, a, &fields);
        sendmail_join(&in.to, &fields, a);
    }
    if (in.to.count == 0) {
        cli_say("sendmail", "no recipients: %s",
                s->from_fields ? "To, Cc and Bcc name nobody"
                               : "give them as arguments, or -t to take those of the fields");
        return EXIT_USAGE;
    }
    if (!inject_check(&in)) {
        return EXIT_USAGE;
    }
    if (!inject_server("sendmail", cfg, &in.server)) {
        return EXIT_FAILED;
    }
    compose_complete(&c, message, &content);
    in.content = buf_str(&content);
    return inject_alone(&in);
}

int cli_sendmail(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf why BUF_LOCAL = {0};
    struct sendmail s;
    struct config *cfg;
    int exit;

    for (int i = 1; i < argc; i++) {
        if (str_eq(str_of(argv[i]), STR("--help"))) {
            return cli_out(STR("postyard sendmail [-t] [-i] [-f ADDRESS] [-F NAME] [-C FILE] "
                               "[ADDRESS...]\n"
                               "  -t  recipients are those of To, Cc and Bcc\n"
                               "  -i  a line that is only a dot does not end the message\n"
                               "  -f  who it is from; -F a name for the From field\n"
                               "  -C  configuration file (" CLI_CONFIG_STANDARD ")\n"))
                       ? EXIT_DONE
                       : EXIT_FAILED;
        }
    }
    if (!sendmail_read(argc, argv, &a, &s, &why)) {
        cli_say("sendmail", "%.*s", STR_ARG(buf_str(&why)));
        return EXIT_USAGE;
    }
    cfg = cli_config("sendmail", s.config);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    exit = deliver(&s, cfg, &a);
    config_give(cfg);
    return exit;
}
