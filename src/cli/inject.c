#include "cli/inject.h"

#include "base/check.h"
#include "inbound/settings.h"
#include "mail/content.h"
#include "mail/path.h"
#include "runtime/clock.h"
#include "runtime/loop.h"
#include "runtime/stream.h"
#include "smtp/client.h"

#include <stdio.h>

/* Long enough for a server that is busy, short enough for a person that waits. */
enum { CONNECT_MS = 5000, GREETING_MS = 30000, REPLY_MS = 60000, END_MS = 600000, ID_DIGITS = 16 };

/* An address to connect to: a server that listens everywhere listens on loopback. */
static bool local_address(const struct addr *bound, struct addr *ret)
{
    *ret = *bound;
    if (addr_is_any(bound)) {
        bool is_v4 = bound->family == 4;

        must(addr_parse_ip(is_v4 ? STR("127.0.0.1") : STR("::1"), ret));
        ret->port = bound->port;
    }
    return addr_is_loopback(ret);
}

bool inject_server(const char *command, const struct config *cfg, struct addr *ret)
{
    size_t count;
    const struct config_object *o = config_objects(cfg, &listeners_table, &count);
    bool has_own = false;

    for (size_t i = 0; i < count; i++) {
        const struct listener_settings *l = o[i].settings;

        has_own = has_own || !o[i].is_builtin;
        for (size_t j = 0; j < l->bind.count && !(has_own && o[i].is_builtin); j++) {
            if (local_address(&l->bind.items[j], ret)) {
                return true;
            }
        }
    }
    cli_say(command, "no listener is bound to a loopback address, so there is no way in from here; "
                     "add one, for instance listeners: { local: { bind: [\"127.0.0.1:2525\"] } }");
    return false;
}

bool inject_check(const struct injection *in)
{
    struct path path;

    if (in->sender.len > 0 &&
        path_parse_address(in->sender, true, in->arena, &path) != REFUSAL_NONE) {
        cli_say(in->command, "%.*s is not an address to send from", STR_ARG(in->sender));
        return false;
    }
    for (size_t i = 0; i < in->to.count; i++) {
        if (path_parse_address(in->to.items[i], true, in->arena, &path) != REFUSAL_NONE) {
            cli_say(in->command, "%.*s is not an address to send to", STR_ARG(in->to.items[i]));
            return false;
        }
    }
    return true;
}

struct str inject_id(struct str reply)
{
    size_t blank = str_rfind(reply, ' ');
    struct str word = blank == STR_NONE ? reply : str_skip(reply, blank + 1);
    uint64_t id;

    return word.len == ID_DIGITS && str_hex_to_u64(word, &id) ? word : STR_EMPTY;
}

static struct err content(void *ctx, uint64_t offset, struct str *ret, struct when by)
{
    struct injection *in = ctx;

    (void)by;
    *ret = str_skip(in->content, (size_t)offset);
    return ERR_OK;
}

static enum cli_exit exit_of(unsigned code)
{
    return code / 100 == 4 ? EXIT_DOWN : EXIT_FAILED;
}

static enum cli_exit refused(const struct injection *in, const struct client *c)
{
    cli_say(in->command, "the server refused at %s: %u %.*s", client_stage_name(c->stage),
            c->said.code, STR_ARG(c->said.text));
    return exit_of(c->said.code);
}

static enum cli_exit lost(const struct injection *in, const struct client *c, struct err e)
{
    char text[128];
    struct str why = e.code == ERR_PROTOCOL && c->fault != NULL ? str_of(c->fault)
                                                                : err_say(e, text, sizeof(text));

    cli_say(in->command, "the conversation broke off at %s: %.*s", client_stage_name(c->stage),
            STR_ARG(why));
    return EXIT_DOWN;
}

static void add_id(struct injection *in, struct str id)
{
    for (size_t i = 0; i < in->ids.count; i++) {
        if (str_eq(in->ids.items[i], id)) {
            return;
        }
    }
    if (in->ids.items == NULL) {
        in->ids.items = arena_array(in->arena, in->to.count, sizeof(struct str));
    }
    in->ids.items[in->ids.count++] = arena_dup(in->arena, id);
}

/* What became of the recipients of one transaction; those for a later one move to the front of
 * mail->to. */
static enum cli_exit reap(struct injection *in, struct client *c, struct client_mail *mail)
{
    enum cli_exit worst = EXIT_DONE;
    uint32_t later = 0;

    if (!mail->accepted) {
        mail->to_count = 0;
        return refused(in, c);
    }
    for (uint32_t i = 0; i < mail->to_count; i++) {
        struct client_rcpt *to = &mail->to[i];

        if (to->fate == CLIENT_TAKEN) {
            struct str id = inject_id(to->text);

            in->taken++;
            if (id.len > 0) {
                add_id(in, id);
            }
        } else if (to->fate == CLIENT_LATER) {
            mail->to[later] = *to;
            mail->to[later++].fate = CLIENT_OPEN;
        } else {
            cli_say(in->command, "%.*s was refused at %s: %u %.*s", STR_ARG(to->address),
                    client_stage_name(to->stage), to->code, STR_ARG(to->text));
            worst = worst == EXIT_FAILED ? worst : exit_of(to->code);
        }
    }
    /* A transaction that takes nobody would come back for ever. */
    mail->to_count = later < mail->to_count ? later : 0;
    return worst;
}

static enum body_class class_of(struct str text)
{
    struct content facts = {0};

    content_add(&facts, text);
    return content_class(&facts);
}

static enum cli_exit converse(struct injection *in, struct client *c, struct when by)
{
    struct client_mail mail = {.sender = in->sender,
                               .body = class_of(in->content),
                               .smtputf8 = !str_is_ascii(in->sender),
                               .size = in->content.len,
                               .content = content,
                               .ctx = in,
                               .arena = in->arena,
                               .to_count = (uint32_t)in->to.count};
    enum cli_exit worst = EXIT_DONE;
    bool is_welcome;
    struct err e = client_greet(c, &is_welcome, by);

    if (e.code != OK) {
        return lost(in, c, e);
    }
    if (!is_welcome) {
        return refused(in, c);
    }
    mail.to = arena_array(in->arena, in->to.count, sizeof(*mail.to));
    for (size_t i = 0; i < in->to.count; i++) {
        mail.to[i].address = in->to.items[i];
        mail.smtputf8 = mail.smtputf8 || !str_is_ascii(in->to.items[i]);
    }
    if (client_lacks(c, &mail, false) != CLIENT_LACKS_NOTHING) {
        cli_say(in->command, "the server does not take such a message (%s)",
                client_lacks(c, &mail, false) == CLIENT_LACKS_SIZE ? "it is too large"
                                                                   : "bytes it does not offer");
        return EXIT_FAILED;
    }
    while (mail.to_count > 0 && e.code == OK) {
        mail.accepted = mail.sent = false;
        e = client_send(c, &mail, by);
        if (e.code == OK) {
            enum cli_exit one = reap(in, c, &mail);

            worst = worst == EXIT_FAILED ? worst : (one != EXIT_DONE ? one : worst);
        }
    }
    if (e.code != OK) {
        return lost(in, c, e);
    }
    client_quit(c);
    return worst;
}

enum cli_exit inject(struct injection *in, struct when by)
{
    char at[ADDR_BYTES], text[128];
    struct client c = {.helo = STR("localhost"),
                       .times = {GREETING_MS, REPLY_MS, REPLY_MS, REPLY_MS, END_MS}};
    enum cli_exit exit;
    struct err e = stream_connect(in->server, (struct addr){0}, &c.stream,
                                  when_within(by, CONNECT_MS));

    if (e.code != OK) {
        cli_say(in->command, "no server at %.*s: %.*s; is postyard serve running?",
                STR_ARG(addr_print(&in->server, at)), STR_ARG(err_say(e, text, sizeof(text))));
        return EXIT_DOWN;
    }
    exit = converse(in, &c, by);
    client_done(&c);
    stream_close(c.stream);
    return exit;
}

struct alone {
    struct injection *in;
    enum cli_exit exit;
};

static void run(void *arg)
{
    struct alone *alone = arg;

    alone->exit = inject(alone->in, WHEN_NEVER);
}

enum cli_exit inject_alone(struct injection *in)
{
    struct alone alone = {in, EXIT_FAILED};

    run_alone("send", run, &alone);
    return alone.exit;
}
