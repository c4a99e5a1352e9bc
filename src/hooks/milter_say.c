/* One command and what its answer means: the verdicts, by rule 2 of milter.c. */
#include "base/check.h"
#include "hooks/milter_part.h"

/* ---- verdicts ---- */

static void refuse(struct hook_outcome *o, uint16_t code, uint16_t detail, const char *text)
{
    o->action = HOOK_REJECT;
    o->reply = (struct hook_reply){
        .code = code, .esc = {(uint8_t)(code / 100), 7, detail}, .text = str_of(text)};
}

static void end_connection(struct hook_outcome *o)
{
    o->action = HOOK_DISCONNECT;
    o->disconnect = true;
    o->reply = (struct hook_reply){
        .code = 421, .esc = {4, 7, 0}, .text = STR("Service unavailable - closing connection")};
}

/* A reply in the filter's own words; 421 says itself that the connection ends. */
static struct err refuse_with(struct milter_talk *t, struct hook_outcome *o)
{
    const char *why = "";
    struct err e = milter_decode_reply(t->reply.value, t->a, &o->reply, &why);

    if (e.code != OK) {
        return milter_wrong(t, e.code, "%s", why);
    }
    o->action = HOOK_REJECT;
    o->disconnect = o->reply.code == 421;
    return e;
}

/* A verdict on more than what is at hand is given again whenever it is asked for. */
void milter_settle(struct milter_talk *t, enum milter_about about, const struct hook_outcome *o)
{
    struct milter_session *s = t->s;

    t->is_done = true;
    if (about == MILTER_ABOUT_RCPT && o->action == HOOK_REJECT) {
        return; /* the others may come */
    }
    if (about == MILTER_ABOUT_SESSION || o->action == HOOK_DISCONNECT) {
        s->is_over = true;
    } else {
        s->is_settled = true;
    }
    s->said = (struct hook_outcome){
        .action = o->action, .disconnect = o->disconnect, .reply = o->reply};
    buf_clear(&s->said_text);
    buf_put(&s->said_text, o->reply.text);
}

/* What t->reply means; t->is_done when nothing more is to be said at this stage. */
struct err milter_judge(struct milter_talk *t, enum milter_about about)
{
    struct hook_outcome o = {.action = HOOK_ACCEPT};
    struct err e = ERR_OK;
    enum milter_right right;

    if (t->reply.word == MILTER_CONTINUE) {
        return e;
    }
    if (t->reply.word == MILTER_REJECT) {
        refuse(&o, 550, 1, "Command rejected");
    } else if (t->reply.word == MILTER_TEMPFAIL) {
        refuse(&o, 451, 1, "Service unavailable - try again later");
    } else if (t->reply.word == MILTER_REPLY) {
        e = refuse_with(t, &o);
    } else if (t->reply.word == MILTER_DISCARD && about != MILTER_ABOUT_SESSION) {
        o.action = HOOK_DISCARD;
    } else if (t->reply.word == MILTER_FAIL_CONNECTION || t->reply.word == MILTER_SHUTDOWN) {
        end_connection(&o);
    } else if (t->reply.word != MILTER_ACCEPT) {
        return milter_wrong(t, ERR_PROTOCOL, "\"%s\" %s", milter_word_name(t->reply.word),
                            milter_word_is_edit(t->reply.word, &right)
                                ? "before the end of the message"
                                : "where it has no meaning");
    }
    if (e.code == OK) {
        *t->outcome = o;
        milter_settle(t, about, &o);
    }
    return e;
}

/* ---- one command ---- */

void milter_put_macros_at(struct milter_talk *t, const struct hook_view *view,
                          enum milter_place place, enum milter_command command)
{
    struct milter_macro macros[MILTER_MACROS_MAX];
    size_t count = milter_macros(view, place, &t->s->terms, t->a, macros);

    milter_put_macros(&t->out, command, macros, count);
}

/* The answer, unless the filter said that it gives none. */
struct err milter_await(struct milter_talk *t, uint32_t silent, const char *what, struct when by)
{
    if ((t->s->terms.steps & silent) != 0) {
        t->reply = (struct milter_reply){.word = MILTER_CONTINUE};
        return ERR_OK;
    }
    return milter_hear(t, t->s->milter->settings->timeout_ms, what, by);
}

/* Sends what stands in t->out, and sees what it means that this is answered. */
struct err milter_say(struct milter_talk *t, uint32_t silent, enum milter_about about,
                      const char *what, struct when by)
{
    struct err e = milter_send(t, by);

    if (e.code == OK) {
        e = milter_await(t, silent, what, by);
    }
    return e.code == OK ? milter_judge(t, about) : e;
}
