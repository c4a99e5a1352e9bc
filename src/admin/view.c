#include "admin/view.h"

#include "admin/json.h"
#include "base/event.h"
#include "mail/envelope.h"
#include "queue/queue.h"

static const struct job_note *note_of(const struct message *m, const struct job_note *notes,
                                      uint32_t note_count, uint32_t index, struct arena *a)
{
    for (uint32_t i = 0; i < note_count; i++) {
        uint32_t *to;
        uint32_t count;

        if (notes[i].message != m->id || notes[i].first > index) {
            continue;
        }
        if (notes[i].is_loading) {
            return &notes[i];
        }
        count = job_members(m, notes[i].first, a, &to);
        for (uint32_t k = 0; k < count; k++) {
            if (to[k] == index) {
                return &notes[i];
            }
        }
    }
    return NULL;
}

/* A wait begins when its time has come; before that, when the last attempt was over. */
static struct date due_since(const struct message *m, const struct rcpt_state *s,
                             enum wait_reason reason)
{
    if (reason == WAIT_HELD && s->held_since.ms > 0) { /* else its queue is */
        return s->held_since;
    }
    if (reason != WAIT_NOT_DUE && s->next.ms > s->last.at.ms) {
        return s->next.ms > m->arrived.ms ? s->next : m->arrived;
    }
    return s->last.at.ms > 0 ? s->last.at : m->arrived;
}

/* What keeps it, a rest or a pause, may have begun later than that; what began earlier keeps it
 * since it came. */
static struct date wait_since(const struct message *m, const struct rcpt_state *s,
                              const struct job_note *note, enum wait_reason reason)
{
    struct date due = due_since(m, s, reason);

    return s->held_since.ms == 0 && note != NULL && note->since.ms > due.ms ? note->since : due;
}

static void make_wait(const struct message *m, const struct rcpt_state *s,
                      const struct job_note *note, struct view_rcpt *ret)
{
    /* Without a job its last result is just being written: the queue makes one from it next. */
    enum wait_reason reason = s->held_since.ms > 0 ? WAIT_HELD
                              : note != NULL       ? note->reason
                                                   : WAIT_RECORDING;

    ret->waits = true;
    ret->state = note != NULL ? str_of(note->state) : STR("recording");
    ret->reason = str_of(wait_reason_name(reason));
    ret->says = str_of(wait_reason_prose(reason));
    ret->text = note != NULL ? note->text : STR_EMPTY;
    if (s->held_since.ms > 0) {
        ret->text = s->held_why;
        ret->by = s->held_by;
    } else if (reason == WAIT_NOT_DUE && ret->text.len == 0 && s->hold_end.ms > 0 &&
               s->attempts == 0 && s->next.ms <= s->hold_end.ms) {
        ret->text = STR("its sender asked to hold it until then (FUTURERELEASE)");
    }
    ret->since = wait_since(m, s, note, reason);
    ret->until = note != NULL ? note->until : DATE_NEVER;
}

static void make_last(const struct last_result *last, struct arena *a, struct view_rcpt *ret)
{
    ret->was_tried = last->error != LAST_NONE || last->at.ms > 0;
    ret->last_error = last_error_name(last->error);
    ret->last_code = last->code;
    ret->last_text = last->text;
    ret->last_host = last->host;
    ret->last_at = last->at;
    if (last->esc.class > 0) {
        ret->last_status = arena_printf(a, "%u.%u.%u", last->esc.class, last->esc.subject,
                                        last->esc.detail);
    }
}

static void make_rcpt(const struct message *m, uint32_t index, const struct job_note *note,
                      struct arena *a, struct view_rcpt *ret)
{
    const struct recipient *r = &m->to[index];
    const struct rcpt_state *s = &r->state;
    bool has_job = note != NULL && !note->is_loading;

    *ret = (struct view_rcpt){.index = index,
                              .address = r->address,
                              .orcpt = r->orcpt,
                              .status = rcpt_status_name(s->status),
                              .queue = has_job ? note->queue : s->queue,
                              .lane = has_job ? note->lane : s->lane,
                              .site = has_job ? note->site : s->site,
                              .route = s->route,
                              .attempts = s->attempts,
                              .notices = s->notices,
                              .next = s->next,
                              .notice = s->notice,
                              .expires = s->expires};
    make_last(&s->last, a, ret);
    if (s->status == RCPT_WAITING) {
        make_wait(m, s, note, ret);
    }
}

static void make_policy(const struct message_policy *p, struct arena *a, struct view_message *ret)
{
    ret->schedule = p->schedule;
    ret->queue = p->queue;
    ret->meta = arena_array(a, p->meta_count, sizeof(*ret->meta));
    for (uint32_t i = 0; i < p->meta_count; i++) {
        ret->meta[ret->meta_count++] = (struct view_meta){
            p->meta[i].name, p->meta[i].text, p->meta[i].number, (uint8_t)p->meta[i].kind};
    }
}

void view_make(const struct message *m, const struct job_note *notes, uint32_t note_count,
               const bool *is_meant, struct arena *a, struct view_message *ret)
{
    *ret = (struct view_message){.id = arena_printf(a, "%016llx", (unsigned long long)m->id),
                                 .arrived = m->arrived,
                                 .source = source_name(m->source),
                                 .sender = m->sender,
                                 .envid = m->envid,
                                 .client_ip = m->client_ip,
                                 .client_name = m->client_name,
                                 .listener = m->listener,
                                 .authenticated_as = m->authenticated_as,
                                 .size = m->size,
                                 .priority = m->priority,
                                 .is_trusted = m->is_trusted,
                                 .to_all = m->to_count,
                                 .to = arena_array(a, m->to_count, sizeof(*ret->to))};
    if (m->policy != NULL) {
        make_policy(m->policy, a, ret);
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (is_meant == NULL || is_meant[i]) {
            make_rcpt(m, i, note_of(m, notes, note_count, i, a), a, &ret->to[ret->to_count++]);
        }
    }
}

/* ---- JSON; view_read.c reads the same names ---- */

static void write_wait(const struct view_rcpt *r, struct buf *out)
{
    json_key(out, "wait");
    buf_byte(out, '{');
    json_text(out, "reason", r->reason);
    json_text(out, "says", r->says);
    json_text(out, "state", r->state);
    json_date(out, "since", r->since);
    json_date(out, "until", r->until);
    json_text_if(out, "text", r->text);
    json_text_if(out, "by", r->by);
    buf_byte(out, '}');
}

static void write_last(const struct view_rcpt *r, struct buf *out)
{
    json_key(out, "last");
    buf_byte(out, '{');
    json_text(out, "error", r->last_error);
    if (r->last_code > 0) {
        json_number(out, "code", r->last_code);
    }
    json_text_if(out, "status", r->last_status);
    json_text_if(out, "text", r->last_text);
    json_text_if(out, "host", r->last_host);
    json_date(out, "at", r->last_at);
    buf_byte(out, '}');
}

static void write_rcpt(const struct view_rcpt *r, struct buf *out)
{
    buf_byte(out, '{');
    json_number(out, "index", r->index);
    json_text(out, "address", r->address);
    json_text_if(out, "orcpt", r->orcpt);
    json_text(out, "status", r->status);
    json_text(out, "queue", r->queue);
    json_text_if(out, "lane", r->lane);
    json_text_if(out, "site", r->site);
    json_text_if(out, "route", r->route);
    json_number(out, "attempts", r->attempts);
    json_number(out, "notices", r->notices);
    json_date(out, "next", r->next);
    json_date_if(out, "notice", r->notice);
    json_date_if(out, "expires", r->expires);
    if (r->waits) {
        write_wait(r, out);
    }
    if (r->was_tried) {
        write_last(r, out);
    }
    buf_byte(out, '}');
}

static void write_meta(const struct view_message *m, struct buf *out)
{
    json_key(out, "meta");
    buf_byte(out, '{');
    for (uint64_t i = 0; i < m->meta_count; i++) {
        const struct view_meta *v = &m->meta[i];

        json_next(out);
        json_str(out, v->name);
        buf_byte(out, ':');
        if (v->kind == META_STRING) {
            json_str(out, v->text);
        } else if (v->kind == META_INTEGER) {
            buf_printf(out, "%lld", (long long)v->number);
        } else {
            buf_put(out, v->number != 0 ? STR("true") : STR("false"));
        }
    }
    buf_byte(out, '}');
}

void view_write(const struct view_message *m, struct buf *out)
{
    buf_byte(out, '{');
    json_text(out, "id", m->id);
    json_date(out, "arrived", m->arrived);
    json_text(out, "source", m->source);
    json_text(out, "sender", m->sender);
    json_number(out, "size", m->size);
    json_key(out, "priority");
    buf_printf(out, "%lld", (long long)m->priority);
    json_bool(out, "trusted", m->is_trusted);
    json_text_if(out, "envid", m->envid);
    json_text_if(out, "client_ip", m->client_ip);
    json_text_if(out, "client_name", m->client_name);
    json_text_if(out, "listener", m->listener);
    json_text_if(out, "authenticated_as", m->authenticated_as);
    json_text_if(out, "schedule", m->schedule);
    json_text_if(out, "queue", m->queue);
    if (m->meta_count > 0) {
        write_meta(m, out);
    }
    json_number(out, "recipients_total", m->to_all);
    json_key(out, "recipients");
    buf_byte(out, '[');
    for (uint64_t i = 0; i < m->to_count; i++) {
        json_next(out);
        write_rcpt(&m->to[i], out);
    }
    buf_put(out, STR("]}"));
}
