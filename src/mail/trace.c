#include "mail/trace.h"

#include "base/check.h"
#include "mail/text.h"
#include "mail/xtext.h"

enum { NAME_BYTES_MAX = 255, ADDRESS_BYTES_MAX = 320, TLS_WORD_BYTES_MAX = 64 };

static void put_literal(struct buf *out, const struct addr *a)
{
    char at[ADDR_BYTES];
    struct str text = addr_print_ip(a, at);

    buf_put(out, a->family == 6 ? STR("[IPv6:") : STR("["));
    buf_put(out, text);
    buf_byte(out, ']');
}

/* Extended-Domain: what it called itself, then in a comment what we know. */
static void put_from(struct buf *out, const struct trace *t)
{
    buf_put(out, STR("from "));
    if (t->helo.len > 0) {
        text_put_host(out, str_head(t->helo, NAME_BYTES_MAX));
    } else {
        put_literal(out, &t->client);
    }
    if (t->client.family != 0) {
        buf_put(out, STR(" ("));
        if (t->client_name.len > 0) {
            text_put_host(out, str_head(t->client_name, NAME_BYTES_MAX));
            buf_byte(out, ' ');
        }
        put_literal(out, &t->client);
        buf_byte(out, ')');
    }
    buf_put(out, STR("\r\n\t"));
}

static void put_with(struct buf *out, const struct trace *t)
{
    static const struct str words[][2] = {
        [TRACE_SMTP] = {STR_INIT("SMTP"), STR_INIT("UTF8SMTP")},
        [TRACE_ESMTP] = {STR_INIT("ESMTP"), STR_INIT("UTF8SMTP")},
        [TRACE_LMTP] = {STR_INIT("LMTP"), STR_INIT("UTF8LMTP")},
    };

    must(t->protocol < COUNT_OF(words));
    buf_put(out, STR(" with "));
    buf_put(out, words[t->protocol][t->is_utf8]);
    /* Plain SMTP has no such words, and cannot have authenticated. */
    if (t->protocol != TRACE_SMTP || t->is_utf8) {
        buf_put(out, t->is_tls ? STR("S") : STR_EMPTY);
        buf_put(out, t->is_authenticated ? STR("A") : STR_EMPTY);
    }
}

void trace_received(struct buf *out, const struct trace *t)
{
    char date[DATE_MAIL_BYTES];

    buf_put(out, STR("Received: "));
    if (t->helo.len > 0 || t->client.family != 0) {
        put_from(out, t);
    }
    buf_put(out, STR("by "));
    text_put_host(out, str_head(t->by, NAME_BYTES_MAX));
    buf_put(out, STR(" (Postyard)"));
    put_with(out, t);
    buf_put(out, STR(" id "));
    buf_hex16(out, t->id);
    if (t->is_tls && t->tls_version.len > 0) {
        buf_put(out, STR("\r\n\t("));
        text_put_quoted(out, str_head(t->tls_version, TLS_WORD_BYTES_MAX), false);
        if (t->tls_cipher.len > 0) {
            buf_byte(out, ' ');
            text_put_quoted(out, str_head(t->tls_cipher, TLS_WORD_BYTES_MAX), false);
        }
        buf_byte(out, ')');
    }
    /* An address that may not stand here is left out rather than written wrong. */
    if (t->recipient.len > 0 && t->recipient.len <= ADDRESS_BYTES_MAX &&
        text_is_printable(t->recipient, t->is_utf8)) {
        buf_put(out, STR("\r\n\tfor <"));
        buf_put(out, t->recipient);
        buf_byte(out, '>');
    }
    buf_put(out, STR(";\r\n\t"));
    buf_put(out, date_mail(t->at, date));
    buf_put(out, STR("\r\n"));
}

void trace_return_path(struct buf *out, struct str sender, bool utf8)
{
    buf_put(out, STR("Return-Path: <"));
    text_put(out, str_head(sender, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR(">\r\n"));
}

void trace_delivered_to(struct buf *out, struct str address, bool utf8)
{
    buf_put(out, STR("Delivered-To: "));
    text_put(out, str_head(address, ADDRESS_BYTES_MAX), utf8);
    buf_put(out, STR("\r\n"));
}

void trace_message_id(struct buf *out, uint64_t id, struct str host)
{
    buf_put(out, STR("Message-ID: <"));
    buf_hex16(out, id);
    buf_byte(out, '@');
    text_put_host(out, str_head(host, NAME_BYTES_MAX));
    buf_put(out, STR(">\r\n"));
}

void trace_date(struct buf *out, struct date at)
{
    char date[DATE_MAIL_BYTES];

    buf_put(out, STR("Date: "));
    buf_put(out, date_mail(at, date));
    buf_put(out, STR("\r\n"));
}
