/* What filters are shown of leaving mail. */
#include "delivery/filters.h"
#include "mail/header.h"
#include "mail/params.h"
#include "mail/xtext.h"
#include "runtime/clock.h"

enum { PARAMS_MAX = 6 };

/* ---- the envelope ---- */

struct params {
    struct hook_param *items;
    uint32_t count;
    struct arena *a;
};

static void add(struct params *p, struct str key, struct str value)
{
    p->items[p->count++] = (struct hook_param){key, arena_dup(p->a, value), value.len > 0};
}

static struct hook_params sender_params(const struct message *m, struct arena *a)
{
    static const struct str bodies[] = {[BODY_7BIT] = STR_INIT("7BIT"),
                                        [BODY_8BIT] = STR_INIT("8BITMIME"),
                                        [BODY_BINARY] = STR_INIT("BINARYMIME")};
    struct params p = {arena_array(a, PARAMS_MAX, sizeof *p.items), 0, a};
    struct buf out BUF_LOCAL = {0};

    add(&p, STR("SIZE"), arena_printf(a, "%llu", (unsigned long long)m->size));
    add(&p, STR("BODY"), bodies[m->body]);
    if (m->smtputf8) {
        add(&p, STR("SMTPUTF8"), STR_EMPTY);
    }
    if (m->ret != RET_NONE) {
        add(&p, STR("RET"), m->ret == RET_FULL ? STR("FULL") : STR("HDRS"));
    }
    if (m->envid.len > 0) {
        xtext_encode(&out, m->envid);
        add(&p, STR("ENVID"), buf_str(&out));
    }
    if (m->priority != 0) {
        add(&p, STR("MT-PRIORITY"), arena_printf(a, "%d", m->priority));
    }
    return (struct hook_params){p.items, p.count};
}

static struct hook_params rcpt_params(const struct message *m, const struct recipient *r,
                                      struct arena *a)
{
    struct params p = {arena_array(a, PARAMS_MAX, sizeof *p.items), 0, a};
    struct buf out BUF_LOCAL = {0};

    if (r->notify != 0) {
        notify_write(&out, r->notify);
        add(&p, STR("NOTIFY"), buf_str(&out));
        buf_clear(&out);
    }
    if (r->orcpt.len > 0) {
        orcpt_write(&out, r->orcpt, m->smtputf8);
        add(&p, STR("ORCPT"), buf_str(&out));
    }
    return (struct hook_params){p.items, p.count};
}

/* At `route` nothing was tried yet in this attempt. */
static enum hook_rcpt_status status_of(enum hook_stage stage, enum rcpt_status s)
{
    switch (s) {
    case RCPT_WAITING:
        return stage == HOOK_ROUTE ? HOOK_PENDING : HOOK_DEFERRED;
    case RCPT_DELIVERED:
        return HOOK_DELIVERED;
    case RCPT_FAILED:
        return HOOK_FAILED;
    case RCPT_DROPPED:
    case RCPT_STATUS_COUNT:
        break;
    }
    return HOOK_FAILED_SILENT;
}

static struct hook_rcpt show_rcpt(enum hook_stage stage, const struct message *m, uint32_t index,
                                  const struct rcpt_state *s, struct arena *a)
{
    const struct recipient *r = &m->to[index];
    bool waits = s->status == RCPT_WAITING;

    /* Attempts that failed for now are counted when they are over; others not at all. */
    return (struct hook_rcpt){
        .address = r->address,
        .params = rcpt_params(m, r, a),
        .id = index,
        .status = status_of(stage, s->status),
        .attempt = s->attempts + (waits && stage != HOOK_ROUTE ? 0u : 1u),
        .last = {.code = s->last.code, .esc = s->last.esc, .text = s->last.text},
        .next_attempt = waits ? s->next : (struct date){0},
        .next_notice = waits && !date_is_never(s->notice) ? s->notice : (struct date){0},
        .queue = s->queue};
}

static struct date later_end(struct date so_far, const struct rcpt_state *s)
{
    struct date end = date_earlier(s->expires, s->deadline);

    return date_is_never(end) || end.ms < so_far.ms ? so_far : end;
}

/* ---- the message ---- */

static struct err read_body(void *ctx, uint64_t offset, struct buf *into, struct str *ret,
                            struct when by)
{
    const struct filters_reader *r = ctx;

    return store_content(r->store, r->parcel, r->parcel->message.header_bytes + offset, into, ret,
                         by);
}

/* The header section in one piece; most are so already. */
static struct err read_header(const struct filters_reader *r, struct arena *a, struct str *ret,
                              struct when by)
{
    uint64_t size = r->parcel->message.header_bytes;
    struct buf all BUF_LOCAL = {0}, into BUF_LOCAL = {0};
    struct err e = ERR_OK;

    if (size <= r->parcel->head.len) {
        *ret = str_head(buf_str(&r->parcel->head), (size_t)size);
        return e;
    }
    while (e.code == OK && all.len < size) {
        struct str run;

        e = store_content(r->store, r->parcel, all.len, &into, &run, by);
        if (e.code == OK) {
            buf_put(&all, str_head(run, (size_t)(size - all.len)));
        }
    }
    *ret = arena_dup(a, buf_str(&all));
    return e;
}

static void show_header(struct str block, struct arena *a, struct hook_view *ret)
{
    struct header_walk w = {block, 0};
    struct header_field f;
    struct hook_field *fields;
    uint32_t count = 0;
    size_t end = 0;

    while (header_next(&w, &f)) {
        count++;
    }
    fields = arena_array(a, (size_t)count + 1, sizeof *fields);
    w = (struct header_walk){block, 0};
    for (uint32_t i = 0; header_next(&w, &f); i++) {
        fields[i] = (struct hook_field){f.name, f.value, f.whole};
        end = f.at + f.whole.len;
    }
    ret->has_message = true;
    ret->fields = fields;
    ret->field_count = count;
    ret->no_separator = block.len == end;
}

void filters_view_text(struct str text, uint64_t header_bytes, struct arena *a,
                       struct hook_view *ret)
{
    show_header(str_head(text, (size_t)header_bytes), a, ret);
    ret->message_bytes = text.len;
    ret->body = (struct hook_bytes){.size = text.len - header_bytes,
                                    .whole = str_skip(text, (size_t)header_bytes)};
}

static void show_message(struct filters_reader *r, struct arena *a, struct hook_view *ret,
                         struct when by)
{
    const struct parcel *p = r->parcel;
    uint64_t header = p->message.header_bytes;
    struct str block;

    if (read_header(r, a, &block, by).code != OK) {
        return;
    }
    show_header(block, a, ret);
    ret->message_bytes = p->message.size;
    ret->body = (struct hook_bytes){.size = p->message.size - header, .whole = STR_EMPTY};
    if (parcel_is_whole(p)) {
        ret->body.whole = str_skip(buf_str(&p->head), (size_t)header);
    } else {
        ret->body.read = read_body;
        ret->body.ctx = r;
    }
}

/* ---- all of it ---- */

void filters_view(struct delivery_loop *l, enum hook_stage stage, struct filters_reader *reader,
                  const uint32_t *to, const struct rcpt_state *states, uint32_t count,
                  struct arena *a, struct hook_view *ret, struct when by)
{
    const struct message *m = &reader->parcel->message;
    struct hook_rcpt *list = arena_array(a, (size_t)count + 1, sizeof *list);

    *ret = (struct hook_view){.stage = stage,
                              .action = HOOK_CONTINUE,
                              .reply.text = STR_EMPTY,
                              .at = clock_date(),
                              .queue_id = m->id,
                              .server_name = l->d->options.hostname,
                              .listener = m->listener,
                              .client = {.ptr = STR_EMPTY, .helo = m->client_name},
                              .tls = {.version = STR_EMPTY,
                                      .cipher = STR_EMPTY,
                                      .cert_issuer = STR_EMPTY,
                                      .cert_subject = STR_EMPTY},
                              .login = m->authenticated_as,
                              .login_method = STR_EMPTY,
                              .smtputf8 = m->smtputf8,
                              .has_sender = true,
                              .sender = m->sender,
                              .sender_params = sender_params(m, a),
                              .to = list,
                              .to_count = count,
                              .body.whole = STR_EMPTY,
                              .priority = m->priority};
    (void)addr_parse_ip(m->client_ip, &ret->client.addr);
    for (uint32_t i = 0; i < count; i++) {
        list[i] = show_rcpt(stage, m, to[i], &states[i], a);
        ret->expires = later_end(ret->expires, &states[i]);
        ret->attempts = list[i].attempt > ret->attempts ? list[i].attempt : ret->attempts;
    }
    if (stage != HOOK_DSN) {
        show_message(reader, a, ret, by);
    }
}
