/*
 * postyard send: a message through the running server, from the command line.
 */
#include "admin/view.h"
#include "base/check.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/compose.h"
#include "cli/follow.h"
#include "http/local.h"
#include "runtime/clock.h"
#include "runtime/random.h"

struct send {
    struct str config, from, from_name, subject, body, file, source;
    struct words to;
    bool quiet, follow, json;
};

/* The content: a whole message as it is, or a text that becomes the body of one. */
static bool compose(const struct send *s, const struct composition *c, struct buf *out)
{
    struct buf text BUF_LOCAL = {0}, lines BUF_LOCAL = {0};

    if (s->body.ptr != NULL) {
        buf_put(&text, s->body);
    } else if (!read_all("send", s->file, &text)) {
        return false;
    }
    compose_lines(buf_str(&text), &lines);
    if (s->body.ptr == NULL && s->subject.ptr == NULL && compose_is_message(buf_str(&lines))) {
        compose_complete(c, buf_str(&lines), out);
        return true;
    }
    compose_text(c, &s->to, s->subject.ptr != NULL ? s->subject : STR("(no subject)"),
                 buf_str(&lines), out);
    return true;
}

/* Mail of our own kinds: through the local socket, since no SMTP client may claim to be us. */
static int send_own(const struct send *s, const struct config *cfg, struct str sender,
                    struct str content, struct arena *a)
{
    struct buf target BUF_LOCAL = {0}, to BUF_LOCAL = {0};
    struct ask q = {.command = "send", .method = "POST", .body = content};
    struct str answer;
    struct view_member *m;
    size_t count;
    int exit;

    for (size_t i = 0; i < s->to.count; i++) {
        buf_printf(&to, "%s%.*s", i > 0 ? " " : "", STR_ARG(s->to.items[i]));
    }
    buf_printf(&target, "/api/v1/messages?source=%.*s&from=%.*s&to=%.*s",
               STR_ARG(http_local_encode(s->source, a)), STR_ARG(http_local_encode(sender, a)),
               STR_ARG(http_local_encode(buf_str(&to), a)));
    q.target = buf_str(&target);
    if (!ask_socket("send", cfg, a, &q.socket)) {
        return EXIT_FAILED;
    }
    exit = ask_alone(&q, a, &answer);
    if (exit != EXIT_DONE || s->quiet || view_read_flat(answer, a, &m, &count).code != OK) {
        return exit;
    }
    buf_clear(&to);
    for (size_t i = 0; i < count; i++) {
        if (str_eq(m[i].key, STR("id"))) {
            buf_printf(&to, "%.*s\n", STR_ARG(m[i].value));
        }
    }
    return cli_out(buf_str(&to)) ? EXIT_DONE : EXIT_FAILED;
}

static int send_it(const struct send *s, struct config *cfg, struct arena *a)
{
    struct composition c = {.from_name = s->from_name, .at = clock_date()};
    struct injection in = {.command = "send", .to = s->to, .arena = a};
    struct buf content BUF_LOCAL = {0}, out BUF_LOCAL = {0};
    int exit;

    in.sender = local_user(cfg, a, &c.host);
    if (s->from.ptr != NULL) {
        in.sender = str_eq(s->from, STR("<>")) ? STR_EMPTY : s->from;
    }
    c.from = in.sender;
    c.number = random_u64();
    if (!inject_check(&in)) {
        return EXIT_USAGE;
    }
    if (s->source.ptr != NULL) {
        return compose(s, &c, &content) ? send_own(s, cfg, in.sender, buf_str(&content), a)
                                        : EXIT_FAILED;
    }
    if (!inject_server("send", cfg, &in.server) || !compose(s, &c, &content)) {
        return EXIT_FAILED;
    }
    in.content = buf_str(&content);
    if (s->follow) {
        struct str socket;

        return ask_socket("send", cfg, a, &socket) ? (int)inject_and_follow(&in, socket, s->json)
                                                   : EXIT_FAILED;
    }
    exit = inject_alone(&in);
    for (size_t i = 0; i < in.ids.count && !s->quiet; i++) {
        buf_printf(&out, "%.*s\n", STR_ARG(in.ids.items[i]));
    }
    return cli_out(buf_str(&out)) ? exit : EXIT_FAILED;
}

int cli_send(int argc, char **argv)
{
    struct arena a ARENA_LOCAL = {0};
    struct send s = {.config = STR_EMPTY};
    const struct option_row rows[] = {
        OPTION_CONFIG(&s.config),
        {.name = "from",
         .letter = 'f',
         .text = &s.from,
         .value = "ADDRESS",
         .does = "who it is from (you, at this host); <> for the null sender"},
        {.name = "from-name", .text = &s.from_name, .value = "NAME", .does = "your name"},
        {.name = "to",
         .letter = 't',
         .texts = &s.to,
         .value = "ADDRESS",
         .does = "whom it is for; may be repeated"},
        {.name = "subject",
         .letter = 's',
         .text = &s.subject,
         .value = "TEXT",
         .does = "what it is about"},
        {.name = "body", .letter = 'b', .text = &s.body, .value = "TEXT", .does = "the text"},
        {.name = "file",
         .text = &s.file,
         .value = "FILE",
         .does = "the text is in FILE, instead of standard input; without --subject a text that "
                 "begins with header fields, From among them, is the whole message"},
        {.name = "source",
         .text = &s.source,
         .value = "WORD",
         .does = "mail of our own: report or autogenerated, given through the admin socket"},
        {.name = "follow", .flag = &s.follow, .does = "tell what becomes of it until the end"},
        {.name = "json", .flag = &s.json, .does = "with --follow: events as JSON lines"},
        {.name = "quiet", .letter = 'q', .flag = &s.quiet, .does = "do not print the message id"},
    };
    struct words rest;
    struct config *cfg;
    int exit;

    if (!cli_options("send", rows, COUNT_OF(rows), argc, argv, &a, &rest, 0, 0, &exit)) {
        return exit;
    }
    if (s.to.count == 0) {
        cli_say("send", "--to is missing: whom is it for?");
        return EXIT_USAGE;
    }
    if (s.source.ptr != NULL && s.follow) {
        cli_say("send", "--follow does not go with --source; see postyard queue show");
        return EXIT_USAGE;
    }
    cfg = cli_config("send", s.config);
    if (cfg == NULL) {
        return EXIT_FAILED;
    }
    exit = send_it(&s, cfg, &a);
    config_give(cfg);
    return exit;
}
