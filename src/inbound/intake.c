#include "inbound/intake.h"

#include "base/mem.h"
#include "queue/queue.h"
#include "runtime/clock.h"
#include "runtime/random.h"
#include "smtp/server.h"
#include "store/store.h"

/* The head stops a piece and the fields we may add before its limit. */
enum { ADDED_BYTES = 1024, PIECE_BYTES = 64 * 1024, LINEAR_MAX = 16 };
enum { HEAD_BYTES = PARCEL_HEAD_MAX - SERVER_PIECE_MAX - ADDED_BYTES };

void intake_mail(struct intake *t, const struct mail_args *mail)
{
    struct message *m;
    struct arena *a;

    must(t->parcel == NULL);
    t->parcel = parcel_new();
    a = &t->parcel->arena;
    m = &t->parcel->message;
    m->sender = arena_dup(a, mail->from.address);
    m->envid = arena_dup(a, mail->envid);
    m->ret = mail->ret;
    m->smtputf8 = mail->smtputf8;
    m->by = mail->by;
    m->by_trace = mail->by_trace;
    m->priority = mail->priority;
    t->by_s = mail->by_s;
    t->hold_s = mail->hold_s;
    t->hold_until = mail->hold_until;
    m->source = SOURCE_UNAUTHENTICATED;
}

/* Linear while few; a table of them all once there are more. */
static bool is_known(struct intake *t, struct str address)
{
    if (t->to_count < LINEAR_MAX) {
        for (uint32_t i = 0; i < t->to_count; i++) {
            if (str_eq(t->to[i].address, address)) {
                return true;
            }
        }
        return false;
    }
    if (t->known.count == 0) {
        t->known.seed = random_u64();
        for (uint32_t i = 0; i < t->to_count; i++) {
            map_put(&t->known, t->to[i].address, t->parcel);
        }
    }
    return map_get(&t->known, address) != NULL;
}

static void add(struct intake *t, struct str address, uint8_t notify, struct str orcpt)
{
    struct recipient *to;

    if (is_known(t, address)) {
        return;
    }
    if (t->to_count == t->to_size) {
        t->to_size = t->to_size == 0 ? 4 : t->to_size * 2;
        t->to = mem_grow(t->to, t->to_size, sizeof *t->to);
    }
    to = &t->to[t->to_count++];
    *to = (struct recipient){.address = arena_dup(&t->parcel->arena, address),
                             .orcpt = arena_dup(&t->parcel->arena, orcpt),
                             .notify = notify};
    if (t->known.count > 0) {
        map_put(&t->known, to->address, t->parcel);
    }
}

/* Whom its sender wrote to, where an alias stands for somebody else (RFC 3461 section 5.2.7): what
 * is reported later must name an address that he knows. */
static struct str orcpt_for(struct intake *t, const struct rcpt_args *rcpt, struct str address)
{
    if (rcpt->orcpt.len > 0 || rcpt->to.domain.len == 0 || str_eq(address, rcpt->to.address)) {
        return rcpt->orcpt;
    }
    return arena_printf(&t->parcel->arena, "%s;%.*s", rcpt->to.is_utf8 ? "utf-8" : "rfc822",
                        STR_ARG(rcpt->to.address));
}

bool intake_has_room(const struct intake *t, size_t more, uint32_t recipients_max,
                     struct answer *ret)
{
    if (t->commands >= recipients_max || (t->to_count > 0 && t->to_count + more > recipients_max)) {
        answer_fixed(ret, ANSWER_RCPT_MANY);
        return false;
    }
    return true;
}

void intake_forget_rcpts(struct intake *t)
{
    t->to_count = t->commands = 0;
    map_done(&t->known);
    t->known = (struct map){0};
}

void intake_rcpt(struct intake *t, const struct rcpt_args *rcpt, const struct str_list *addresses,
                 uint32_t recipients_max, struct answer *ret)
{
    if (!intake_has_room(t, addresses->count, recipients_max, ret)) {
        return;
    }
    if (t->commands++ == 0) {
        t->for_address = arena_dup(&t->parcel->arena, rcpt->to.address);
    }
    for (size_t i = 0; i < addresses->count; i++) {
        add(t, addresses->items[i], rcpt->notify, orcpt_for(t, rcpt, addresses->items[i]));
    }
}

struct buf *intake_data(struct intake *t, struct trace *trace)
{
    struct message *m = &t->parcel->message;

    m->id = store_new_id(t->place->store);
    m->arrived = clock_date();
    m->by_date = m->by != BY_NONE ? date_add(m->arrived, (int64_t)t->by_s * 1000)
                                  : (struct date){0};
    trace->id = m->id;
    trace->at = m->arrived;
    trace->is_utf8 = m->smtputf8;
    trace->recipient = t->commands == 1 ? t->for_address : STR_EMPTY;
    trace_received(&t->parcel->head, trace);
    t->trace_bytes = t->seen = t->parcel->head.len;
    return &t->parcel->head;
}

static bool hold(struct intake *t, uint64_t memory_bytes)
{
    uint64_t now = t->parcel->head.size + t->piece.size;
    uint64_t before = atomic_fetch_add_explicit(&t->place->held, now - t->held,
                                                memory_order_relaxed);
    uint64_t all = before + (now - t->held);

    t->held = now;
    return memory_bytes == 0 || all + parcel_bytes() <= memory_bytes;
}

static bool give_piece(struct intake *t, struct answer *ret, struct when by)
{
    struct err e;

    if (t->is_discarded) {
        buf_clear(&t->piece);
        t->seen = 0;
        return true;
    }
    if (t->body == NULL) {
        t->body = store_body_open(t->place->store);
    }
    e = store_body_add(t->body, buf_str(&t->piece), by);
    t->body_bytes += t->piece.len;
    buf_clear(&t->piece);
    t->seen = 0;
    if (e.code) {
        answer_fixed(ret, e.code == ERR_FULL ? ANSWER_NO_ROOM : ANSWER_STORE_FAILED);
    }
    return e.code == OK;
}

static bool header_fits(const struct intake *t, uint64_t bytes,
                        const struct server_settings *limits, struct answer *ret)
{
    if (bytes > limits->header_bytes_max) {
        answer_fixed(ret, ANSWER_HEADER_LONG);
        return false;
    }
    if (t->scan.fields > INTAKE_FIELDS_MAX) {
        answer_fixed(ret, ANSWER_HEADER_MANY);
        return false;
    }
    return true;
}

struct buf *intake_more(struct intake *t, const struct server_settings *limits,
                        uint64_t memory_bytes, struct answer *ret, struct when by)
{
    struct buf *at = t->in_body ? &t->piece : &t->parcel->head;

    if (t->scan.end == HEADER_OPEN) {
        header_scan_add(&t->scan, str_skip(buf_str(at), t->seen));
        if (t->scan.end == HEADER_OPEN && !header_fits(t, t->scan.seen, limits, ret)) {
            return NULL;
        }
    }
    t->seen = at->len;
    if (!hold(t, memory_bytes)) {
        answer_fixed(ret, ANSWER_MEMORY);
        return NULL;
    }
    if (!t->in_body && at->len > HEAD_BYTES) {
        t->in_body = true;
        t->seen = 0;
        return &t->piece;
    }
    if (t->in_body && at->len + SERVER_PIECE_MAX > PIECE_BYTES && !give_piece(t, ret, by)) {
        return NULL;
    }
    return at;
}

static bool content_check(const struct intake *t, const struct server_settings *limits,
                          struct answer *ret)
{
    const struct header_scan *h = &t->scan;

    if (!header_fits(t, h->bytes, limits, ret)) {
        return false;
    }
    if (h->counts[HEADER_RECEIVED] > limits->received_max) {
        answer_fixed(ret, ANSWER_LOOP);
        return false;
    }
    if (h->has_nul || h->has_bare) {
        answer_fixed(ret, ANSWER_BARE);
        return false;
    }
    if (h->line_bytes_longest > CONTENT_LINE_BYTES_MAX) {
        answer_fixed(ret, ANSWER_BODY_LONG);
        return false;
    }
    return true;
}

static void make_fields(const struct intake *t, struct str hostname, struct buf *out)
{
    const struct message *m = &t->parcel->message;

    if (t->scan.counts[HEADER_DATE] == 0) {
        trace_date(out, m->arrived);
    }
    if (t->scan.counts[HEADER_MESSAGE_ID] == 0) {
        trace_message_id(out, m->id, hostname);
    }
}

static void insert(struct intake *t, struct str fields)
{
    struct buf *head = &t->parcel->head;
    char *room;

    must(head->len + fields.len <= PARCEL_HEAD_MAX);
    (void)buf_room(head, fields.len);
    room = head->ptr + t->trace_bytes;
    memmove(room + fields.len, room, head->len - t->trace_bytes);
    memcpy(room, fields.ptr, fields.len);
    head->len += fields.len;
    t->trace_bytes += fields.len;
}

/* Whether the content's first line is no field and begins with a blank. Right behind our Received
 * field it would be read as the rest of it, and nobody could tell where the trace ends. */
static bool would_continue_trace(const struct intake *t)
{
    struct str own = str_skip(buf_str(&t->parcel->head), t->trace_bytes);

    return t->scan.bytes == 0 && own.len > 0 && (own.ptr[0] == ' ' || own.ptr[0] == '\t');
}

/* What a submission lacks, and the empty line that ends a header section of our fields alone: put
 * between the trace block and the client's own bytes. */
static void add_before(struct intake *t, bool submission, struct str hostname)
{
    struct buf fields BUF_LOCAL = {0};

    if (submission) {
        make_fields(t, hostname, &fields);
    }
    if (would_continue_trace(t)) {
        buf_put(&fields, STR("\r\n"));
    }
    if (fields.len > 0) {
        insert(t, buf_str(&fields));
    }
}

/* When FUTURERELEASE lets it go; 0: at once. */
static struct date hold_end(const struct intake *t)
{
    return t->hold_s > 0 ? date_add(t->parcel->message.arrived, (int64_t)t->hold_s * 1000)
                         : t->hold_until;
}

void intake_hold_for(struct intake *t, int64_t ms)
{
    struct date asked = hold_end(t), end = date_add(t->parcel->message.arrived, ms);

    t->hold_s = 0;
    t->hold_until = asked.ms > end.ms ? asked : end;
}

/* From here on the message does not change. */
static void complete(struct intake *t, const struct content *content)
{
    struct parcel *p = t->parcel;
    struct message *m = &p->message;
    bool trace_is_ascii = str_is_ascii(str_head(buf_str(&p->head), t->trace_bytes));

    m->body = content_class(content);
    m->utf8_headers = t->scan.has_8bit || !trace_is_ascii;
    if (m->body == BODY_7BIT && !trace_is_ascii) {
        m->body = BODY_8BIT;
    }
    m->size = p->head.len + t->body_bytes + t->piece.len;
    m->header_bytes = (uint32_t)(t->trace_bytes + t->scan.bytes);
    m->to = arena_array(&p->arena, t->to_count, sizeof *m->to);
    memcpy(m->to, t->to, t->to_count * sizeof *m->to);
    m->to_count = t->to_count;
    for (uint32_t i = 0; i < m->to_count; i++) {
        m->to[i].state.hold_end = hold_end(t);
        if (t->held_ms > 0 || t->is_kept) {
            m->to[i].state.held_since = m->arrived;
            m->to[i].state.held_by = t->held_by;
            m->to[i].state.held_why = t->held_why;
            m->to[i].state.held_drop = t->held_ms > 0 ? date_add(m->arrived, t->held_ms)
                                                      : (struct date){0};
        }
    }
    parcel_settle(p);
}

bool intake_check(struct intake *t, const struct server_settings *limits, struct answer *ret)
{
    header_scan_end(&t->scan);
    return content_check(t, limits, ret);
}

uint64_t intake_bytes(const struct intake *t)
{
    return t->parcel->head.len - t->trace_bytes + t->body_bytes + t->piece.len;
}

struct err intake_read(struct intake *t, uint64_t offset, struct buf *into, struct str *ret,
                       struct when by)
{
    uint64_t at = offset + t->trace_bytes, head = t->parcel->head.len;

    must(offset < intake_bytes(t));
    if (at < head) {
        *ret = str_skip(buf_str(&t->parcel->head), (size_t)at);
        return ERR_OK;
    }
    if (at - head < t->body_bytes) {
        return store_body_read(t->body, at - head, into, ret, by);
    }
    *ret = str_skip(buf_str(&t->piece), (size_t)(at - head - t->body_bytes));
    return ERR_OK;
}

void intake_say_queued(const struct intake *t, struct answer *ret)
{
    answer_format(ret, 250, "2.0.0", "Ok: queued as %016llx",
                  (unsigned long long)t->parcel->message.id);
}

void intake_store(struct intake *t, const struct content *content, bool submission,
                  struct str hostname, struct plan *plan, struct answer *ret, struct when by)
{
    struct store_body *body;
    struct err e;

    add_before(t, submission, hostname);
    complete(t, content);
    if (t->piece.len > 0 && !give_piece(t, ret, by)) {
        return;
    }
    body = t->body;
    t->body = NULL;
    e = queue_accept(t->place->queue, plan, t->parcel, body, NULL, 0, by);
    if (e.code == OK) {
        intake_say_queued(t, ret);
    } else if (e.code == ERR_CANCELLED) {
        answer_fixed(ret, ANSWER_STOPPING);
    } else {
        answer_fixed(ret, e.code == ERR_FULL    ? ANSWER_NO_ROOM
                          : e.code == ERR_QUOTA ? ANSWER_QUOTA
                                                : ANSWER_STORE_FAILED);
    }
}

void intake_reset(struct intake *t)
{
    struct intake_place *place = t->place;

    if (t->parcel == NULL) {
        return;
    }
    if (t->body != NULL) {
        store_body_abandon(t->body);
    }
    atomic_fetch_sub_explicit(&place->held, t->held, memory_order_relaxed);
    parcel_drop(t->parcel);
    buf_done(&t->piece);
    mem_free(t->to);
    map_done(&t->known);
    *t = (struct intake){.place = place};
}
