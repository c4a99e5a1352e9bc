#include "client.h"

#include "mail/content.h"
#include "runtime/clock.h"
#include "runtime/stream.h"

static const struct addr door = {.family = 4, .port = MACHINE_PORT, .ip = {127, 0, 0, 1}};

/* One reply, of one line or many; c->code is its code, 0 when the connection is gone. */
static bool hear(struct yard_client *c, struct when by)
{
    c->code = 0;
    for (;;) {
        struct str in = stream_buffered(c->stream);
        size_t end = str_find(in, '\n');
        uint64_t code;
        bool last;

        if (end == STR_NONE) {
            if (stream_fill(c->stream, "the server's reply", by).code != OK) {
                return false;
            }
            continue;
        }
        if (end < 4 || !str_to_u64(str_head(in, 3), &code)) {
            return false;
        }
        last = in.ptr[3] != '-';
        stream_take(c->stream, end + 1);
        if (last) {
            c->code = (unsigned)code;
            return true;
        }
    }
}

static bool say(struct yard_client *c, struct str bytes, struct when by)
{
    return stream_put(c->stream, bytes, by).code == OK && stream_flush(c->stream, by).code == OK;
}

bool client_open(struct yard_client *c, struct machine *m, struct when by)
{
    struct addr from = {0};

    *c = (struct yard_client){.machine = m};
    if (stream_connect(door, from, &c->stream, by).code != OK) {
        c->stream = NULL;
        return false;
    }
    if (hear(c, by) && c->code == 220 && say(c, STR("EHLO client.example\r\n"), by) &&
        hear(c, by) && c->code == 250) {
        return true;
    }
    client_close(c, by);
    return false;
}

void client_close(struct yard_client *c, struct when by)
{
    (void)by;
    if (c->stream != NULL) {
        stream_farewell(c->stream, STR("QUIT\r\n"));
        stream_close(c->stream);
        c->stream = NULL;
    }
}

static unsigned envelope(struct buf *out, const struct yard_mail *mail)
{
    struct str rest = str_of(mail->to), one;
    unsigned count = 0;

    buf_printf(out, "MAIL FROM:<%s>%s%s\r\n", mail->from, mail->words ? " " : "",
               mail->words ? mail->words : "");
    while (rest.len > 0) {
        str_cut(&rest, ' ', &one);
        buf_printf(out, "RCPT TO:<%.*s>%s%s\r\n", STR_ARG(one), mail->rcpt_words ? " " : "",
                   mail->rcpt_words ? mail->rcpt_words : "");
        count++;
    }
    buf_put(out, STR("DATA\r\n"));
    return count;
}

enum answered client_mail(struct yard_client *c, const struct yard_mail *mail, struct when by)
{
    struct buf out BUF_LOCAL = {0};
    unsigned count = envelope(&out, mail), good = 0;
    struct stuff s = {0};

    if (!say(c, buf_str(&out), by) || !hear(c, by)) {
        return UNSENT;
    }
    for (unsigned i = 0; i < count; i++) {
        if (!hear(c, by)) {
            return UNSENT;
        }
        good += c->code == 250;
    }
    if (!hear(c, by)) {
        return UNSENT;
    }
    if (c->code != 354) {
        return say(c, STR("RSET\r\n"), by) && hear(c, by) ? ANSWERED_REFUSED : UNSENT;
    }
    must(good == count); /* this server takes all recipients or none */
    buf_clear(&out);
    stuff(&s, mail->content, &out);
    stuff_end(&s, &out);
    if (!say(c, buf_str(&out), by) || !hear(c, by)) {
        return ANSWERED_NOTHING;
    }
    return c->code == 250 ? ANSWERED_TAKEN : ANSWERED_REFUSED;
}

void client_must_send(struct machine *m, const char *from, const char *to, struct when by)
{
    struct yard_client c;
    struct yard_mail mail = {
        .from = from, .to = to, .content = STR("Subject: x\r\nFrom: a@b.example\r\n\r\nhello\r\n")};
    enum answered a = UNSENT;

    if (client_open(&c, m, by)) {
        a = client_mail(&c, &mail, by);
        client_close(&c, by);
    }
    if (a != ANSWERED_TAKEN && sim_end(m->world) == SIM_RUNNING) {
        sim_fail(m->run, "mail from %s to %s was not taken: %u", from, to, c.code);
    }
}
