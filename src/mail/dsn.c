#include "mail/dsn.h"

#include "base/check.h"
#include "mail/content.h"
#include "mail/dsn_rcpt.h"
#include "mail/header.h"
#include "mail/text.h"

#include <stdio.h>

enum {
    BOUNDARY_BYTES_MAX = 40,
    ADDRESS_BYTES_MAX = 320,
    NAME_BYTES_MAX = 255,
    ENVID_TEXT_BYTES_MAX = 200
};

/* What was decided before the first byte is written. */
struct plan {
    struct dsn_facts facts;
    bool utf8;           /* types and addresses of RFC 6533 */
    struct buf original; /* the third part, without its own header */
    bool original_8bit;
    char boundary[BOUNDARY_BYTES_MAX + 12];
};

bool dsn_wants_body(const struct message *m, uint64_t whole_bytes_max)
{
    if (m->ret == RET_HDRS || m->size > whole_bytes_max || m->body == BODY_BINARY) {
        return false;
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].state.owed == OWED_FAILED) {
            return true;
        }
    }
    return false;
}

static void count(const struct message *m, struct dsn_facts *f)
{
    for (uint32_t i = 0; i < m->to_count; i++) {
        enum report_owed owed = m->to[i].state.owed;

        f->delivered += owed == OWED_DELIVERED;
        f->relayed += owed == OWED_RELAYED;
        f->delayed += owed == OWED_DELAYED;
        f->failed += owed == OWED_FAILED;
    }
    must(f->delivered + f->relayed + f->delayed + f->failed > 0);
}

static bool needs_utf8(const struct message *m)
{
    bool ascii = !m->smtputf8 && str_is_ascii(m->sender);

    for (uint32_t i = 0; i < m->to_count && ascii; i++) {
        ascii = m->to[i].state.owed == OWED_NONE ||
                (str_is_ascii(m->to[i].address) && str_is_ascii(m->to[i].orcpt));
    }
    return !ascii;
}

/* The fields that may travel by DATA, as many as there is room for. */
static void put_clean_fields(struct buf *out, struct str header, uint64_t bytes_max)
{
    struct header_walk w = {header, 0};
    struct header_field f;

    while (header_next(&w, &f)) {
        struct content c = {0};

        content_add(&c, f.whole);
        if (content_class(&c) == BODY_BINARY) {
            continue;
        }
        if (out->len + f.whole.len > bytes_max) {
            break;
        }
        buf_put(out, f.whole);
        buf_put(out, c.ends_line ? STR_EMPTY : STR("\r\n"));
    }
}

static void gather_original(const struct dsn *d, struct plan *p)
{
    struct content c = {0};

    if (d->has_body && dsn_wants_body(d->message, d->whole_bytes_max)) {
        content_add(&c, d->header);
        content_add(&c, d->body);
        /* The class is looked at again: a hook's edit may have changed what the message says. */
        p->facts.returns_whole = content_class(&c) != BODY_BINARY && c.bytes <= d->whole_bytes_max;
    }
    if (p->facts.returns_whole) {
        buf_put(&p->original, d->header);
        buf_put(&p->original, d->body);
    } else {
        put_clean_fields(&p->original, d->header, d->whole_bytes_max);
    }
    p->original_8bit = !str_is_ascii(buf_str(&p->original));
}

/* The boundary as given, with a number added should the original hold it. */
static void choose_boundary(const struct dsn *d, struct plan *p)
{
    must(d->boundary.len > 0);
    must(d->boundary.len <= BOUNDARY_BYTES_MAX);
    for (unsigned n = 0;; n++) {
        int len = n == 0 ? snprintf(p->boundary, sizeof p->boundary, "%.*s", STR_ARG(d->boundary))
                         : snprintf(p->boundary, sizeof p->boundary, "%.*s-%u",
                                    STR_ARG(d->boundary), n);

        if (str_find_str(buf_str(&p->original), str_make(p->boundary, (size_t)len)) == STR_NONE) {
            return;
        }
    }
}

static struct str subject(const struct dsn_facts *f)
{
    bool good = f->delivered + f->relayed > 0;

    if (good && f->delayed + f->failed > 0) {
        return STR("Your message reached some of its recipients, but not all");
    }
    if (good) {
        return f->delivered > 0 ? STR("Your message was delivered")
                                : STR("Your message was delivered to the next server");
    }
    if (f->delayed > 0 && f->failed > 0) {
        return STR("Your message is delayed, and failed for some recipients");
    }
    return f->delayed > 0 ? STR("Your message is delayed; we go on trying")
                          : STR("Your message could not be delivered");
}

static void put_text_part(struct buf *out, const struct dsn *d, const struct plan *p)
{
    char date[DATE_MAIL_BYTES];

    buf_printf(out, "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n%s\r\n", p->boundary,
               p->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    buf_put(out, STR("This is a report of the mail server "));
    text_put_host(out, str_head(d->reporting_mta, NAME_BYTES_MAX));
    buf_put(out, STR("\r\nabout a message that it took from you on "));
    buf_put(out, date_mail(d->message->arrived, date));
    buf_put(out, STR(".\r\n\r\n"));
    dsn_put_people(out, d, p->utf8);
    buf_put(out, p->facts.returns_whole ? STR("Your message is attached.\r\n")
                                        : STR("The header of your message is attached.\r\n"));
}

static void put_status_part(struct buf *out, const struct dsn *d, const struct plan *p)
{
    const struct message *m = d->message;
    char date[DATE_MAIL_BYTES];

    buf_printf(out, "\r\n--%s\r\nContent-Type: message/%sdelivery-status\r\n%s\r\n", p->boundary,
               p->utf8 ? "global-" : "", p->utf8 ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    buf_put(out, STR("Reporting-MTA: dns; "));
    text_put_host(out, str_head(d->reporting_mta, NAME_BYTES_MAX));
    buf_put(out, STR("\r\n"));
    if (m->envid.len > 0) {
        buf_put(out, STR("Original-Envelope-Id: "));
        text_put(out, str_head(m->envid, ENVID_TEXT_BYTES_MAX), false);
        buf_put(out, STR("\r\n"));
    }
    buf_put(out, STR("Arrival-Date: "));
    buf_put(out, date_mail(m->arrived, date));
    buf_put(out, STR("\r\n"));
    if (m->by_date.ms > 0) {
        buf_put(out, STR("Deliver-By-Date: "));
        buf_put(out, date_mail(m->by_date, date));
        buf_put(out, STR("\r\n"));
    }
    for (uint32_t i = 0; i < m->to_count; i++) {
        if (m->to[i].state.owed != OWED_NONE) {
            dsn_put_fields(out, d, &m->to[i], p->utf8);
        }
    }
}

static void put_original_part(struct buf *out, const struct plan *p)
{
    /* The global types say UTF-8; what is not keeps the older ones. */
    bool global = p->utf8 && str_is_utf8(buf_str(&p->original));
    const char *whole = global ? "message/global" : "message/rfc822";
    const char *headers = global ? "message/global-headers" : "text/rfc822-headers";

    buf_printf(out, "\r\n--%s\r\nContent-Type: %s\r\n%s\r\n", p->boundary,
               p->facts.returns_whole ? whole : headers,
               p->original_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
    buf_put(out, buf_str(&p->original));
    buf_printf(out, "\r\n--%s--\r\n", p->boundary);
}

static void put_header(struct buf *out, const struct dsn *d, const struct plan *p, bool is_8bit)
{
    char date[DATE_MAIL_BYTES];
    bool utf8 = p->facts.smtputf8;

    buf_put(out, STR("From: \""));
    text_put_quoted(out, str_head(d->from_name, NAME_BYTES_MAX), utf8);
    buf_put(out, STR("\" <"));
    text_put(out, str_head(d->from_address, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR(">\r\nTo: <"));
    text_put(out, str_head(d->message->sender, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR(">\r\nSubject: "));
    buf_put(out, subject(&p->facts));
    buf_put(out, STR("\r\nDate: "));
    buf_put(out, date_mail(d->at, date));
    buf_put(out, STR("\r\nMessage-ID: <"));
    text_put_quoted(out, str_head(d->message_id, NAME_BYTES_MAX), false);
    buf_put(out, STR(">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"));
    buf_printf(out, "Content-Type: multipart/report; report-type=%sdelivery-status;\r\n",
               p->utf8 ? "global-" : "");
    buf_printf(out, "\tboundary=\"%s\"\r\n%s\r\n", p->boundary,
               is_8bit ? "Content-Transfer-Encoding: 8bit\r\n" : "");
}

void dsn_write(struct buf *out, const struct dsn *d, struct dsn_facts *ret)
{
    struct plan p = {0};
    struct buf parts BUF_LOCAL = {0};
    size_t start = out->len;
    bool is_8bit;

    must(d->message->sender.len > 0);
    count(d->message, &p.facts);
    p.utf8 = needs_utf8(d->message);
    p.facts.smtputf8 = !str_is_ascii(d->message->sender);
    gather_original(d, &p);
    choose_boundary(d, &p);
    put_text_part(&parts, d, &p);
    put_status_part(&parts, d, &p);
    put_original_part(&parts, &p);
    is_8bit = !str_is_ascii(buf_str(&parts));
    put_header(out, d, &p, is_8bit);
    p.facts.header_bytes = (uint32_t)(out->len - start);
    p.facts.body = is_8bit || p.facts.smtputf8 ? BODY_8BIT : BODY_7BIT;
    buf_put(out, buf_str(&parts));
    *ret = p.facts;
    buf_done(&p.original);
}
