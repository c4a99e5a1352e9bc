#include "base/mem.h"
#include "cli/sink_part.h"
#include "config/units.h"

enum option {
    OPT_LISTEN,
    OPT_BEHAVIOUR,
    OPT_SAVE,
    OPT_PRINT,
    OPT_STATS,
    OPT_JSON,
    OPT_QUIET,
    OPT_LMTP,
    OPT_HOSTNAME,
    OPT_CERTIFICATE,
    OPT_KEY,
    OPT_IMPLICIT_TLS,
    OPT_THREADS,
    OPT_HELP,
    OPT_COUNT
};

static const struct {
    const char *name, *argument, *text;
} options[OPT_COUNT] = {
    [OPT_LISTEN] = {"--listen", "ADDR[,ADDR]",
                    "a destination here: 127.0.0.1:2601, [::1]:2601 or "
                    "2601; port 0: any"},
    [OPT_BEHAVIOUR] = {"--behaviour", "WORD", "how it behaves; may be given several times"},
    [OPT_SAVE] = {"--save", "DIR",
                  "keeps each message: NAME.eml as it came, NAME.json its envelope"},
    [OPT_PRINT] = {"--print", NULL, "prints each envelope as a line of JSON"},
    [OPT_STATS] = {"--stats", "DURATION", "prints counts so often"},
    [OPT_JSON] = {"--json", NULL, "prints counts and addresses as JSON too"},
    [OPT_QUIET] = {"--quiet", NULL, "prints no totals at the end"},
    [OPT_LMTP] = {"--lmtp", NULL, "speaks LMTP"},
    [OPT_HOSTNAME] = {"--hostname", "NAME", "what it calls itself (sink.example)"},
    [OPT_CERTIFICATE] = {"--tls-certificate", "FILE", "offers STARTTLS with this chain (PEM)"},
    [OPT_KEY] = {"--tls-key", "FILE", "its key"},
    [OPT_IMPLICIT_TLS] = {"--implicit-tls", NULL, "TLS from the first byte"},
    [OPT_THREADS] = {"--threads", "N", "serves on so many threads (1)"},
    [OPT_HELP] = {"--help", NULL, "prints this"},
};

void sink_usage(struct buf *out)
{
    buf_put(out, STR("usage: postyard sink --listen ADDR [--behaviour WORD]... [options]\n"
                     "Takes mail as a test destination, until SIGINT or SIGTERM.\n"
                     "A --behaviour before the first --listen is for all destinations; one after a "
                     "--listen is for that one.\n\nOptions:\n"));
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        buf_printf(out, "  %-17s %-12s %s\n", options[i].name,
                   options[i].argument != NULL ? options[i].argument : "", options[i].text);
    }
    buf_put(out, STR("\nBehaviours:\n"));
    play_behaviours_print(out);
    buf_put(out, STR("\nFor example:\n"
                     "  postyard sink --listen 2601 --listen 2602 --behaviour slow:500ms \\\n"
                     "                --listen 2603 --behaviour refuse:rcpt:550 --stats 1s\n"));
}

/* Port 0 is for tests, so it is no address anywhere else. */
static bool place_parse(struct str s, struct addr *ret)
{
    uint64_t port;

    if (str_to_u64(s, &port) && port <= UINT16_MAX) {
        addr_parse_ip(STR("127.0.0.1"), ret);
        ret->port = (uint16_t)port;
        return true;
    }
    if (str_ends(s, STR(":0"))) {
        struct str ip = str_head(s, s.len - 2);

        if (ip.len > 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']') {
            ip = str_make(ip.ptr + 1, ip.len - 2);
        }
        return addr_parse_ip(ip, ret);
    }
    return addr_parse(s, ret);
}

/* A run of destinations that one --listen named. */
struct listen {
    struct play_behaviour common; /* what was said before the first */
    struct buf common_words;
    unsigned first; /* of the latest --listen */
};

static bool listen_at(struct sink *s, struct listen *l, struct str list, struct buf *why)
{
    struct str one;
    bool more = true;

    l->first = s->count;
    while (more) {
        struct sink_destination *d;
        struct addr at;

        more = str_cut(&list, ',', &one);
        if (!place_parse(str_trim(one), &at)) {
            buf_printf(why, "--listen: \"%.*s\" is no address with a port", STR_ARG(one));
            return false;
        }
        if (s->count == SINK_DESTINATIONS_MAX) {
            buf_put(why, STR("--listen: too many destinations"));
            return false;
        }
        d = s->to[s->count++] = MEM_NEW(struct sink_destination);
        d->at = at;
        d->sink = s;
        d->behaviour = l->common;
        buf_put(&d->words, buf_str(&l->common_words));
    }
    return true;
}

static bool add_word(struct play_behaviour *b, struct buf *words, struct str word, struct buf *why)
{
    buf_printf(words, "%s%.*s", words->len > 0 ? " " : "", STR_ARG(word));
    return play_behave(b, word, why);
}

static bool behave(struct sink *s, struct listen *l, struct str word, struct buf *why)
{
    if (s->count == 0) {
        return add_word(&l->common, &l->common_words, word, why);
    }
    for (unsigned i = l->first; i < s->count; i++) {
        if (!add_word(&s->to[i]->behaviour, &s->to[i]->words, word, why)) {
            return false;
        }
    }
    return true;
}

static bool threads_parse(struct sink *s, struct str value, struct buf *why)
{
    uint64_t n;

    if (!str_to_u64(value, &n) || n == 0 || n > SINK_THREADS_MAX) {
        buf_printf(why, "--threads: from 1 to %d", SINK_THREADS_MAX);
        return false;
    }
    s->threads = (unsigned)n;
    return true;
}

static bool stats_parse(struct sink *s, struct str value, struct buf *why)
{
    if (duration_parse(value, &s->stats_ms) != UNITS_OK || s->stats_ms == 0) {
        buf_put(why, STR("--stats: a duration such as 1s"));
        return false;
    }
    return true;
}

static bool take(struct sink *s, struct listen *l, enum option o, struct str value, struct buf *why)
{
    switch (o) {
    case OPT_LISTEN:
        return listen_at(s, l, value, why);
    case OPT_BEHAVIOUR:
        return behave(s, l, value, why);
    case OPT_SAVE:
        s->save = value;
        return true;
    case OPT_PRINT:
        return s->print = true;
    case OPT_STATS:
        return stats_parse(s, value, why);
    case OPT_JSON:
        return s->json = true;
    case OPT_QUIET:
        return s->quiet = true;
    case OPT_LMTP:
        return s->lmtp = true;
    case OPT_HOSTNAME:
        s->hostname = value;
        return true;
    case OPT_CERTIFICATE:
        s->certificate = value;
        return true;
    case OPT_KEY:
        s->key = value;
        return true;
    case OPT_IMPLICIT_TLS:
        return s->implicit_tls = true;
    case OPT_THREADS:
        return threads_parse(s, value, why);
    case OPT_HELP:
    case OPT_COUNT:
        break;
    }
    return false;
}

/* "--name value" or "--name=value". */
static bool option_find(struct str word, enum option *ret, struct str *value, bool *has_value)
{
    struct str name;

    *value = word;
    *has_value = str_cut(value, '=', &name);
    for (unsigned i = 0; i < OPT_COUNT; i++) {
        if (str_eq(name, str_of(options[i].name))) {
            *ret = (enum option)i;
            return true;
        }
    }
    return false;
}

static bool make_sense(const struct sink *s, struct buf *why)
{
    if (s->count == 0) {
        buf_put(why, STR("nowhere to listen: give --listen ADDR"));
    } else if ((s->certificate.len > 0) != (s->key.len > 0)) {
        buf_put(why, STR("--tls-certificate and --tls-key belong together"));
    } else if (s->implicit_tls && s->key.len == 0) {
        buf_put(why, STR("--implicit-tls needs --tls-certificate and --tls-key"));
    } else {
        return true;
    }
    return false;
}

static bool each(struct sink *s, struct listen *l, int argc, char **argv, struct buf *why)
{
    for (int i = 1; i < argc; i++) {
        enum option o;
        struct str value;
        bool has_value;

        if (!option_find(str_of(argv[i]), &o, &value, &has_value)) {
            buf_printf(why, "\"%s\" is no option", argv[i]);
            return false;
        }
        if (has_value != (options[o].argument != NULL)) {
            if (has_value || i + 1 == argc) {
                buf_printf(why, "%s %s", options[o].name,
                           has_value ? "takes no value" : "needs a value");
                return false;
            }
            value = str_of(argv[++i]);
        }
        if (!take(s, l, o, value, why)) {
            return false;
        }
    }
    return make_sense(s, why);
}

bool sink_args(struct sink *s, int argc, char **argv, struct buf *why)
{
    struct listen l = {0};
    bool good;

    s->threads = 1;
    s->hostname = STR("sink.example");
    good = each(s, &l, argc, argv, why);
    buf_done(&l.common_words);
    return good;
}

void sink_free(struct sink *s)
{
    for (unsigned i = 0; i < s->count; i++) {
        buf_done(&s->to[i]->words);
        mem_free(s->to[i]);
    }
}
