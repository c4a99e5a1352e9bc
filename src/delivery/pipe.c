/*
 * pipe: final delivery to a program: run once for each recipient, the message on its input.
 *
 * 1. There is no shell, and the program runs as the server's own user.
 * 2. Its exit says what became of the recipient (exits.def); what it printed is told to people.
 * 3. A program that was killed, or took too long, or could not be started, is tried again: nobody
 *    knows what it did, and a message twice is better than none.
 * 4. Lines end with CR LF as they came (P12).
 */
#include "base/check.h"
#include "delivery/part.h"
#include "mail/trace.h"
#include "runtime/clock.h"
#include "runtime/process.h"

enum { OUTPUT_BYTES_MAX = 300 };

static const char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", NULL};

static const struct {
    int code;
    const char *name;
    enum outcome_kind kind;
    const char *status, *text;
} exits[] = {
#define EXIT(code, name, kind, status, text) {code, name, OUTCOME_##kind, status, text},
#include "delivery/exits.def"
#undef EXIT
};

struct feed {
    struct job *job;
    struct buf room; /* the trace first, then what the store read */
    uint64_t offset;
    bool began;
};

static struct err feed_next(void *ctx, struct str *ret, struct when by)
{
    struct feed *f = ctx;
    struct parcel *p = f->job->work->parcel;
    struct err e;

    if (!f->began) {
        f->began = true;
        *ret = buf_str(&f->room);
        return ERR_OK;
    }
    if (f->offset >= p->message.size) {
        return ERR_OK;
    }
    if (f->offset < p->head.len) {
        *ret = str_skip(buf_str(&p->head), (size_t)f->offset);
    } else {
        e = store_content(f->job->l->d->options.store, p, f->offset, &f->room, ret, by);
        if (e.code) {
            return e;
        }
    }
    f->offset += ret->len;
    return ERR_OK;
}

/* What the program printed, as one line that may stand anywhere. */
static struct str printed(struct arena *a, const struct buf *output)
{
    struct str text = str_trim_ws(buf_str(output));
    char *copy = arena_alloc(a, text.len + 1);

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        copy[i] = c == '\n' || c == '\r' || c == '\t' ? ' ' : c < 0x20 || c > 0x7e ? '?' : (char)c;
    }
    return str_make(copy, text.len);
}

static struct outcome outcome_of_exit(struct arena *a, const struct process_end *end,
                                      const struct buf *output)
{
    struct str said = printed(a, output), colon = said.len > 0 ? STR(": ") : STR_EMPTY;
    struct outcome o;

    if (end->signal != 0) {
        return outcome_of(OUTCOME_LATER, LAST_IO, "4.3.0",
                          arena_printf(a, "the program was killed by signal %d%.*s%.*s",
                                       end->signal, STR_ARG(colon), STR_ARG(said)),
                          STR("localhost"));
    }
    if (end->code == 0) {
        o = outcome_of(OUTCOME_DONE, LAST_NONE, "2.1.5",
                       said.len > 0 ? said : STR("delivered to a program"), STR("localhost"));
        o.is_local = true;
        return o;
    }
    for (size_t i = 0; i < COUNT_OF(exits); i++) {
        if (exits[i].code == end->code) {
            return outcome_of(exits[i].kind, LAST_IO, exits[i].status,
                              arena_printf(a, "the program ended with %s, %s%.*s%.*s",
                                           exits[i].name, exits[i].text, STR_ARG(colon),
                                           STR_ARG(said)),
                              STR("localhost"));
        }
    }
    return outcome_of(OUTCOME_FAILED, LAST_IO, "5.3.0",
                      arena_printf(a, "the program ended with %d%.*s%.*s", end->code,
                                   STR_ARG(colon), STR_ARG(said)),
                      STR("localhost"));
}

static struct err run(struct job *j, const struct process_spec *spec, struct process_end *ret,
                      struct when by)
{
    const struct delivery_taker *taker = &j->l->d->options.taker;

    return taker->fn != NULL ? taker->fn(taker->ctx, j->route->name, ret, spec->output, by)
                             : process_run(spec, ret, by);
}

static struct outcome deliver_one(struct job *j, const struct recipient *r, struct when by)
{
    struct arena *a = &j->work->arena;
    const struct message *m = &j->work->parcel->message;
    struct buf output BUF_LOCAL = {0};
    struct feed f = {.job = j};
    struct process_spec spec = {.argv = invocation_fill(&j->route->command, m, r, a),
                                .environment = environment,
                                .input = feed_next,
                                .ctx = &f,
                                .output = &output,
                                .output_bytes_max = OUTPUT_BYTES_MAX};
    struct process_end end;
    struct err e;
    char why[160];

    if (spec.argv == NULL) {
        return outcome_of(OUTCOME_FAILED, LAST_IO, "5.1.3",
                          STR("an address that begins with \"-\" is not given to a program"),
                          STR("localhost"));
    }
    trace_return_path(&f.room, m->sender, m->smtputf8);
    trace_delivered_to(&f.room, r->address, m->smtputf8);
    e = run(j, &spec, &end, when_within(by, j->route->settings->command_ms));
    buf_done(&f.room);
    if (e.code == ERR_CANCELLED) {
        return (struct outcome){0};
    }
    if (e.code) {
        return outcome_of(OUTCOME_LATER, LAST_IO,
                          e.code == ERR_TIMEOUT ? "4.4.7" : err_status(e.code),
                          arena_printf(a, "the program %s: %s",
                                       e.code == ERR_TIMEOUT ? "took too long" : "could not be run",
                                       err_say(e, why, sizeof why).ptr),
                          STR("localhost"));
    }
    return outcome_of_exit(a, &end, &output);
}

void pipe_deliver(struct job *j, struct when by)
{
    for (uint32_t i = 0; i < j->work->to_count && !fiber_is_cancelled(); i++) {
        struct when began = clock_now();

        j->outcomes[i] = deliver_one(j, job_recipient(j, i), by);
        results_part(j, (clock_now().ns - began.ns) / 1000); /* not to be run again after a crash */
    }
}
