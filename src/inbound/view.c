/* What filters are shown of a session: the client's own words and bytes, without our trace. */
#include "base/mem.h"
#include "inbound/filter.h"
#include "inbound/part.h"
#include "mail/xtext.h"
#include "runtime/clock.h"
#include "tls/tls.h"

enum { PARAMS_MAX = 12 };

/* ---- parameters, as they stand on the wire ---- */

struct params {
    struct hook_param *items;
    uint32_t count;
    struct arena *a;
};

static void add(struct params *p, struct str key, struct str value)
{
    must(p->count < PARAMS_MAX);
    p->items[p->count++] = (struct hook_param){key, arena_dup(p->a, value), true};
}

static void add_number(struct params *p, struct str key, int64_t n)
{
    add(p, key, arena_printf(p->a, "%lld", (long long)n));
}

static void add_xtext(struct params *p, struct str key, struct str value)
{
    struct buf out BUF_LOCAL = {0};

    xtext_encode(&out, value);
    add(p, key, buf_str(&out));
}

static void add_wishes(struct params *p, const struct mail_args *mail)
{
    char date[DATE_ISO_BYTES];

    if (mail->hold_s > 0) {
        add_number(p, STR("HOLDFOR"), mail->hold_s);
    } else if (mail->hold_until.ms > 0) {
        add(p, STR("HOLDUNTIL"), date_iso(mail->hold_until, date));
    }
    if (mail->by != BY_NONE) {
        add(p, STR("BY"),
            arena_printf(p->a, "%d;%s%s", mail->by_s, mail->by == BY_RETURN ? "R" : "N",
                         mail->by_trace ? "T" : ""));
    }
    if (mail->priority != 0) {
        add_number(p, STR("MT-PRIORITY"), mail->priority);
    }
}

void view_mail_params(const struct mail_args *mail, struct arena *a, struct hook_params *ret)
{
    static const struct str bodies[] = {[BODY_7BIT] = STR_INIT("7BIT"),
                                        [BODY_8BIT] = STR_INIT("8BITMIME"),
                                        [BODY_BINARY] = STR_INIT("BINARYMIME")};
    struct params p = {arena_array(a, PARAMS_MAX, sizeof *p.items), 0, a};

    if (mail->has_size) {
        add(&p, STR("SIZE"), arena_printf(a, "%llu", (unsigned long long)mail->size));
    }
    if (mail->has_body) {
        add(&p, STR("BODY"), bodies[mail->body]);
    }
    if (mail->smtputf8) {
        p.items[p.count++] = (struct hook_param){STR("SMTPUTF8"), STR_EMPTY, false};
    }
    if (mail->ret != RET_NONE) {
        add(&p, STR("RET"), mail->ret == RET_FULL ? STR("FULL") : STR("HDRS"));
    }
    if (mail->envid.len > 0) {
        add_xtext(&p, STR("ENVID"), mail->envid);
    }
    if (mail->has_auth) {
        add_xtext(&p, STR("AUTH"), mail->auth.len > 0 ? mail->auth : STR("<>"));
    }
    add_wishes(&p, mail);
    *ret = (struct hook_params){p.items, p.count};
}

void view_rcpt_params(const struct rcpt_args *rcpt, bool smtputf8, struct arena *a,
                      struct hook_params *ret)
{
    struct params p = {arena_array(a, PARAMS_MAX, sizeof *p.items), 0, a};
    struct buf out BUF_LOCAL = {0};

    if (rcpt->notify != 0) {
        notify_write(&out, rcpt->notify);
        add(&p, STR("NOTIFY"), buf_str(&out));
        buf_clear(&out);
    }
    if (rcpt->orcpt.len > 0) {
        orcpt_write(&out, rcpt->orcpt, smtputf8);
        add(&p, STR("ORCPT"), buf_str(&out));
    }
    *ret = (struct hook_params){p.items, p.count};
}

/* ---- the session ---- */

void view_session(const struct session *s, enum hook_stage stage, struct hook_view *ret)
{
    struct tls_facts tls = tls_describe(s->stream);

    *ret = (struct hook_view){.stage = stage,
                              .action = HOOK_ACCEPT,
                              .reply.text = STR_EMPTY,
                              .at = clock_date(),
                              .session = s->id,
                              .server_name = s->policy->hostname,
                              .server = stream_local(s->stream),
                              .listener = str_of(s->listener),
                              .client = {.addr = s->remote,
                                         .ptr = STR_EMPTY,
                                         .helo = s->server.helo,
                                         .extended = s->server.extended,
                                         .connections = s->connections},
                              .tls = {.active = tls.active,
                                      .version = tls.protocol,
                                      .cipher = tls.cipher,
                                      .cert_issuer = STR_EMPTY,
                                      .cert_subject = STR_EMPTY},
                              .login = STR_EMPTY,
                              .login_method = STR_EMPTY,
                              .sender = STR_EMPTY,
                              .body.whole = STR_EMPTY};
    ret->server = addr_unmap(&ret->server);
}

void view_envelope(const struct session *s, enum hook_stage stage, struct arena *a,
                   struct hook_view *ret)
{
    const struct filter *f = &s->filter;
    const struct message *m = &s->intake.parcel->message;
    struct hook_rcpt *to = arena_array(a, f->to_count + 1, sizeof *to);

    view_session(s, stage, ret);
    ret->smtputf8 = m->smtputf8;
    ret->has_sender = true;
    ret->sender = m->sender;
    ret->sender_params = f->params;
    ret->priority = m->priority;
    ret->queue_id = m->id;
    ret->to = to;
    for (uint32_t i = 0; i < f->to_count; i++) {
        if (!f->to[i].is_discarded) {
            to[ret->to_count++] = (struct hook_rcpt){.address = f->to[i].args.to.address,
                                                     .params = f->to[i].params,
                                                     .id = i,
                                                     .last.text = STR_EMPTY,
                                                     .queue = STR_EMPTY};
        }
    }
}

/* ---- the message ---- */

/* The header section in one piece; most are so already. */
static struct err header_block(struct intake *t, struct arena *a, struct str *ret, struct when by)
{
    struct buf all BUF_LOCAL = {0}, into BUF_LOCAL = {0};
    struct str run = STR_EMPTY;
    struct err e = ERR_OK;

    if (t->scan.bytes == 0) {
        *ret = STR_EMPTY;
        return e;
    }
    while (e.code == OK && all.len < t->scan.bytes) {
        e = intake_read(t, all.len, &into, &run, by);
        if (e.code == OK && all.len == 0 && run.len >= t->scan.bytes) {
            *ret = str_head(run, (size_t)t->scan.bytes);
            return e;
        }
        if (e.code == OK) {
            buf_put(&all, str_head(run, (size_t)(t->scan.bytes - all.len)));
        }
    }
    *ret = arena_dup(a, buf_str(&all));
    return e;
}

static void fields_of(struct str block, uint32_t count, struct arena *a, struct hook_view *ret)
{
    struct hook_field *fields = arena_array(a, count + 1, sizeof *fields);
    struct header_walk w = {block, 0};
    struct header_field f;
    size_t end = 0;

    ret->field_count = 0;
    while (header_next(&w, &f)) {
        must(ret->field_count < count); /* the scan has counted them */
        fields[ret->field_count++] = (struct hook_field){f.name, f.value, f.whole};
        end = f.at + f.whole.len;
    }
    ret->fields = fields;
    ret->no_separator = block.len == end;
}

static struct err read_body(void *ctx, uint64_t offset, struct buf *into, struct str *ret,
                            struct when by)
{
    struct intake *t = ctx;

    return intake_read(t, t->scan.bytes + offset, into, ret, by);
}

struct err view_message(struct session *s, struct arena *a, struct hook_view *ret, struct when by)
{
    struct intake *t = &s->intake;
    uint64_t head = t->parcel->head.len - t->trace_bytes;
    struct str block;
    struct err e;

    view_envelope(s, HOOK_DATA, a, ret);
    e = header_block(t, a, &block, by);
    if (e.code != OK) {
        return e;
    }
    fields_of(block, t->scan.fields, a, ret);
    ret->has_message = true;
    ret->message_bytes = intake_bytes(t);
    ret->body.size = ret->message_bytes - t->scan.bytes;
    if (ret->message_bytes == head) { /* all of it is in memory */
        ret->body.whole = str_skip(buf_str(&t->parcel->head),
                                   t->trace_bytes + (size_t)t->scan.bytes);
    } else {
        ret->body.read = read_body;
        ret->body.ctx = t;
    }
    return ERR_OK;
}
