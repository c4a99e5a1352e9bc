/*
 * Any message, any results: the notification is mail that may travel by DATA, its facts are true,
 * and no stranger's text adds a line to it.
 *
 * Input: one byte of choices for each field, then texts divided by byte 0xfe.
 */
#include "base/check.h"
#include "mail/content.h"
#include "mail/dsn.h"
#include "mail/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct str rest;

static unsigned choice(unsigned n)
{
    unsigned value = rest.len > 0 ? (unsigned char)rest.ptr[0] % n : 0;

    rest = str_skip(rest, 1);
    return value;
}

static struct str text(void)
{
    struct str head;

    str_cut(&rest, (char)0xfe, &head);
    return head;
}

static void fill(struct recipient *r)
{
    *r = (struct recipient){.state.owed = (enum report_owed)choice(5),
                            .state.expires.ms = (int64_t)choice(3) * 1772532000000,
                            .state.last.error = (enum last_error)choice(LAST_ERROR_COUNT),
                            .state.last.code = (uint16_t)(choice(7) * 100 + choice(100)),
                            .state.last.esc = {(uint8_t)choice(6), (uint16_t)choice(9), 1}};
    r->address = text();
    r->orcpt = text();
    r->state.last.text = str_head(text(), RESULT_TEXT_BYTES_MAX);
    r->state.last.host = text();
}

/* A header of exactly our own fields, and content that DATA can carry. */
static void must_be_mail(const struct buf *out, const struct dsn_facts *facts)
{
    struct content c = {0};
    struct header_scan h = {0};

    content_add(&c, buf_str(out));
    must(content_class(&c) != BODY_BINARY);
    must(facts->body == BODY_8BIT || content_class(&c) == BODY_7BIT);
    must(c.ends_line);
    header_scan_add(&h, buf_str(out));
    must(h.end == HEADER_EMPTY_LINE);
    must(h.bytes == facts->header_bytes);
    must(h.fields == 8 + (h.counts[HEADER_CONTENT_TRANSFER_ENCODING] ? 1u : 0));
    must(facts->smtputf8 || !h.has_8bit);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct buf out BUF_LOCAL = {0};
    struct recipient to[3];
    struct dsn_facts facts;
    struct message m;
    struct dsn d;
    bool owed = false;

    rest = str_make((const char *)bytes, len);
    m = (struct message){.ret = (enum dsn_ret)choice(3),
                         .smtputf8 = choice(2),
                         .body = (enum body_class)choice(3),
                         .to = to,
                         .to_count = 1 + choice(3)};
    d = (struct dsn){.message = &m,
                     .reporting_mta = STR("mx.example.org"),
                     .from_name = STR("Mail"),
                     .from_address = STR("m@example.org"),
                     .message_id = STR("1@example.org"),
                     .boundary = STR("b"),
                     .has_body = choice(2),
                     .whole_bytes_max = choice(2) ? 60 : DSN_WHOLE_BYTES_MAX};
    for (uint32_t i = 0; i < m.to_count; i++) {
        fill(&to[i]);
        owed = owed || to[i].state.owed != OWED_NONE;
    }
    m.sender = text();
    m.envid = text();
    d.header = text();
    d.body = text();
    m.size = d.header.len + d.body.len;
    if (owed && m.sender.len > 0) {
        dsn_write(&out, &d, &facts);
        must_be_mail(&out, &facts);
    }
    return 0;
}
