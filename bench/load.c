/*
 * load: sends as many messages as it can, or as many a second as it is told, over many sessions at
 * a time, and measures how long each took to be accepted.
 *
 *     bench-load --to 127.0.0.1:2525 --sessions 100 --each 100 --size 4096 --seconds 12 --warm 2
 *
 * Closed loop: each session sends its next message when the last was answered. With --rate the loop
 * is open: messages fall due at even steps whatever the server does, and their latency counts from
 * then, so that a server that stalls cannot hide it.
 * A session that ends (after `each` messages, or because the server ended it) is begun anew.
 * At the end one line of JSON: what was accepted by tenths of a second, and latencies.
 */
#include "bench/socket.h"
#include "bench/tally.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/uio.h>

enum { READ_BYTES = 4096, HEAD_BYTES = 16 * 1024, DOMAINS_MAX = 64 };

enum phase { OPENING, GREETED, READY, ENVELOPE, CONTENT, LEAVING, CLOSED };

struct options {
    struct sockaddr_in to;
    unsigned sessions, each, rcpts;
    size_t size;
    double seconds, warm, rate;
    uint64_t messages; /* 0: until `seconds` */
    bool pipelining, bdat;
    const char *domains[DOMAINS_MAX];
    unsigned domain_count;
    unsigned made_domains; /* so many names made from numbers, instead */
};

struct session {
    int fd;
    enum phase phase;
    unsigned sent;    /* messages of this connection */
    unsigned expects; /* replies of this phase still to come */
    unsigned step;    /* without pipelining: commands sent */
    unsigned bad;     /* replies of this message that were no good ones */
    bool writing;     /* waits for room */
    bool timed;       /* has a message under way */
    uint64_t due_ns;
    unsigned reply_len;
    char reply[4]; /* the first bytes of the line that comes in */
    struct iovec out[2];
    char head[HEAD_BYTES];
};

static struct options o;
static struct tally tally;
static struct session *sessions;
static int epoll;
static char *body;
static size_t body_len;
static uint64_t begun, refused, lost, connections, next_due_ns, end_ns, late_max_ns;
static unsigned in_flight, closed, *idle, idle_count;
static char first_refusal[256];

static bool session_open(struct session *s);
static bool next(struct session *s);

/* ---- when messages fall due ---- */

static bool is_over(uint64_t now)
{
    return now >= end_ns || (o.messages > 0 && begun >= o.messages);
}

/* Whether a message may begin now; then it counts as begun and *due is when it should have. */
static bool take_turn(uint64_t *due)
{
    uint64_t now = tally_now_ns();

    if (is_over(now)) {
        return false;
    }
    *due = now;
    if (o.rate > 0) {
        if (now < next_due_ns) {
            return false;
        }
        *due = next_due_ns;
        late_max_ns = now - *due > late_max_ns ? now - *due : late_max_ns;
        next_due_ns += (uint64_t)(1e9 / o.rate);
    }
    begun++;
    return true;
}

/* ---- sending ---- */

static void forget_idle(struct session *s)
{
    unsigned me = (unsigned)(s - sessions);

    for (unsigned i = 0; i < idle_count; i++) {
        if (idle[i] == me) {
            idle[i] = idle[--idle_count];
            return;
        }
    }
}

static void session_close(struct session *s, bool was_lost)
{
    if (s->phase == READY) {
        forget_idle(s);
    }
    lost += was_lost && s->timed;
    in_flight -= s->timed;
    s->timed = false;
    if (s->fd >= 0) {
        close(s->fd);
        s->fd = -1;
    }
    s->phase = CLOSED;
    if (is_over(tally_now_ns()) || !session_open(s)) {
        closed++;
    }
}

/* False: the session is no more. */
static bool push(struct session *s)
{
    while (s->out[0].iov_len + s->out[1].iov_len > 0) {
        unsigned first = s->out[0].iov_len > 0 ? 0 : 1;
        ssize_t n = writev(s->fd, s->out + first, (int)(2 - first));
        struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = s};

        if (n < 0 && errno == EAGAIN) {
            if (!s->writing) {
                s->writing = true;
                (void)epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &e);
            }
            return true;
        }
        if (n < 0) {
            session_close(s, true);
            return false;
        }
        for (unsigned i = first; i < 2 && n > 0; i++) {
            size_t used = (size_t)n < s->out[i].iov_len ? (size_t)n : s->out[i].iov_len;

            s->out[i].iov_base = (char *)s->out[i].iov_base + used;
            s->out[i].iov_len -= used;
            n -= (ssize_t)used;
        }
    }
    if (s->writing) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

        s->writing = false;
        (void)epoll_ctl(epoll, EPOLL_CTL_MOD, s->fd, &e);
    }
    return true;
}

static bool send_text(struct session *s, size_t len, bool with_body, unsigned expects)
{
    s->out[0] = (struct iovec){s->head, len};
    s->out[1] = (struct iovec){body, with_body ? body_len : 0};
    s->expects = expects;
    return push(s);
}

static size_t put_command(struct session *s, size_t at, unsigned step)
{
    const char *domain = o.domains[begun % o.domain_count];
    size_t room = HEAD_BYTES - at;
    char made[32];
    int n;

    if (o.made_domains > 0) {
        (void)snprintf(made, sizeof made, "d%llu.example",
                       (unsigned long long)(begun % o.made_domains));
        domain = made;
    }
    if (step == 0) {
        n = snprintf(s->head + at, room, "MAIL FROM:<bench@sender.example>%s\r\n",
                     o.bdat ? " BODY=8BITMIME" : "");
    } else if (step <= o.rcpts) {
        n = snprintf(s->head + at, room, "RCPT TO:<u%u@%s>\r\n", step, domain);
    } else {
        n = snprintf(s->head + at, room, "DATA\r\n");
    }
    return at + (size_t)n;
}

/* The part of the content that differs: the time of this message. */
static size_t put_stamp(struct session *s, size_t at)
{
    int n = snprintf(s->head + at, HEAD_BYTES - at, "X-Bench: %020llu\r\n",
                     (unsigned long long)s->due_ns);

    return at + (size_t)n;
}

enum { STAMP_BYTES = 9 + 20 + 2 };

static bool send_envelope(struct session *s)
{
    size_t at = 0;

    s->phase = ENVELOPE;
    s->bad = 0;
    s->step = 0;
    if (!o.pipelining && !o.bdat) {
        return send_text(s, put_command(s, 0, s->step++), false, 1);
    }
    for (unsigned step = 0; step <= o.rcpts; step++) {
        at = put_command(s, at, step);
    }
    if (!o.bdat) {
        return send_text(s, put_command(s, at, o.rcpts + 1), false, o.rcpts + 2);
    }
    at += (size_t)snprintf(s->head + at, HEAD_BYTES - at, "BDAT %zu LAST\r\n",
                           STAMP_BYTES + body_len);
    s->phase = CONTENT;
    return send_text(s, put_stamp(s, at), true, o.rcpts + 2);
}

static bool send_content(struct session *s)
{
    s->phase = CONTENT;
    return send_text(s, put_stamp(s, 0), true, 1);
}

static bool leave(struct session *s)
{
    s->phase = LEAVING;
    return send_text(s, (size_t)snprintf(s->head, HEAD_BYTES, "QUIT\r\n"), false, 1);
}

/* The next message of a session that has nothing under way, or its farewell. */
static bool next(struct session *s)
{
    if ((o.each > 0 && s->sent >= o.each) || is_over(tally_now_ns())) {
        return leave(s);
    }
    if (!take_turn(&s->due_ns)) {
        s->phase = READY;
        idle[idle_count++] = (unsigned)(s - sessions);
        return true;
    }
    s->timed = true;
    s->sent++;
    in_flight++;
    return send_envelope(s);
}

/* ---- replies ---- */

static bool finished(struct session *s)
{
    uint64_t now = tally_now_ns();

    s->timed = false;
    in_flight--;
    if (s->bad > 0) {
        refused++;
    } else {
        tally_count(&tally, now);
        if (s->due_ns >= tally.start_ns + (uint64_t)(o.warm * 1e9)) {
            tally_latency(&tally, now - s->due_ns);
        }
    }
    return next(s);
}

/* All replies that the phase waited for have come. */
static bool advance(struct session *s)
{
    switch (s->phase) {
    case OPENING:
        s->phase = GREETED;
        return send_text(s, (size_t)snprintf(s->head, HEAD_BYTES, "EHLO bench.example\r\n"), false,
                         1);
    case GREETED:
        return next(s);
    case ENVELOPE:
        if (s->bad > 0) {
            return finished(s);
        }
        if (!o.pipelining && s->step < o.rcpts + 2) {
            return send_text(s, put_command(s, 0, s->step++), false, 1);
        }
        return send_content(s);
    case CONTENT:
        return finished(s);
    case LEAVING:
        session_close(s, false);
        return false;
    case READY:
    case CLOSED:
        break;
    }
    session_close(s, true); /* the server spoke unasked: it closes */
    return false;
}

static bool reply(struct session *s, const char *line, size_t len)
{
    if (s->reply[0] != '2' && s->reply[0] != '3') {
        s->bad++;
        if (first_refusal[0] == '\0') {
            (void)snprintf(first_refusal, sizeof first_refusal, "%.*s", (int)len, line);
        }
        if (s->phase == OPENING || s->phase == GREETED || memcmp(s->reply, "421", 3) == 0) {
            session_close(s, true);
            return false;
        }
    }
    if (s->expects > 1) {
        s->expects--;
        return true;
    }
    s->expects = 0;
    return advance(s);
}

static void read_from(struct session *s)
{
    static char room[READ_BYTES];
    ssize_t n = recv(s->fd, room, sizeof room, 0);
    size_t line = 0;

    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) {
            session_close(s, true);
        }
        return;
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        if (room[i] != '\n') {
            if (s->reply_len < 4) {
                s->reply[s->reply_len++] = room[i];
            }
            continue;
        }
        bool is_last = s->reply_len == 4 && s->reply[3] != '-';

        s->reply_len = 0;
        if (is_last && !reply(s, room + line, i > line ? i - line - 1 : 0)) {
            return;
        }
        line = i + 1;
    }
}

/* ---- sessions ---- */

static bool session_open(struct session *s)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = s};

    s->phase = OPENING;
    s->sent = s->reply_len = 0;
    s->expects = 1;
    s->writing = false;
    s->out[0].iov_len = s->out[1].iov_len = 0;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0) {
        return false;
    }
    socket_hurry(s->fd);
    if ((connect(s->fd, (struct sockaddr *)&o.to, sizeof o.to) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &e) < 0) {
        close(s->fd);
        s->fd = -1;
        return false;
    }
    connections++;
    return true;
}

/* Messages that fell due are given to sessions that have nothing to do. */
static void wake_idle(void)
{
    while (idle_count > 0) {
        struct session *s = &sessions[idle[idle_count - 1]];
        unsigned before = idle_count;

        idle_count--;
        (void)next(s);
        if (idle_count >= before) {
            return; /* nothing was due */
        }
    }
}

static int wait_ms(uint64_t now)
{
    uint64_t until = end_ns;

    if (o.rate > 0 && idle_count > 0 && next_due_ns < until) {
        return next_due_ns > now + 2000000 ? 1 : 0;
    }
    return until > now ? (int)((until - now) / 1000000) + 1 : 100;
}

static void run(void)
{
    struct epoll_event events[256];
    uint64_t grace_ns = 30ull * 1000000000u;

    while (closed < o.sessions) {
        uint64_t now = tally_now_ns();
        int n;

        if (now > end_ns + grace_ns) {
            return; /* what is still under way will not be waited for */
        }
        n = epoll_wait(epoll, events, 256, wait_ms(now));
        for (int i = 0; i < n; i++) {
            struct session *s = events[i].data.ptr;

            if (s->fd < 0) {
                continue;
            }
            if ((events[i].events & EPOLLOUT) != 0 && !push(s)) {
                continue;
            }
            if ((events[i].events & ~(unsigned)EPOLLOUT) != 0) {
                read_from(s);
            }
        }
        if (o.rate > 0 || is_over(tally_now_ns())) {
            wake_idle();
        }
    }
}

/* ---- the start ---- */

static void make_body(void)
{
    static const char fields[] =
        "From: Bench <bench@sender.example>\r\nTo: Somebody <u1@fast.example>\r\n"
        "Subject: a message of the load generator\r\nDate: Tue, 03 Mar 2026 10:00:00 +0000\r\n"
        "Message-ID: <bench@sender.example>\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n\r\n";
    static const char line[] =
        "All work and no play makes the machine neither faster nor slower today.\r\n";
    size_t at = sizeof fields - 1, room = o.size > at + STAMP_BYTES ? o.size - STAMP_BYTES : at;

    body = malloc(room + sizeof line + 8);
    if (body == NULL) {
        abort();
    }
    memcpy(body, fields, at);
    while (at < room) {
        memcpy(body + at, line, sizeof line - 1);
        at += sizeof line - 1;
    }
    if (room > sizeof fields - 1) {
        at = room;
        memcpy(body + at - 2, "\r\n", 2);
    }
    if (!o.bdat) {
        memcpy(body + at, ".\r\n", 3);
        at += 3;
    }
    body_len = at;
}

static int usage(void)
{
    fputs("usage: bench-load --to ADDR:PORT [--sessions N] [--each N] [--rcpts N] [--size BYTES]\n"
          "       [--seconds S] [--warm S] [--rate R] [--messages N] [--domains a,b,c] [--bdat]\n"
          "       [--domain-count N] [--no-pipelining]\n",
          stderr);
    return 64;
}

static void take_domains(char *list)
{
    o.domain_count = 0;
    for (char *d = strsep(&list, ","); d != NULL; d = strsep(&list, ",")) {
        if (o.domain_count < DOMAINS_MAX) {
            o.domains[o.domain_count++] = d;
        }
    }
}

static bool take(const char *name, char *value)
{
    static const struct {
        const char *name;
        unsigned *to;
    } numbers[] = {{"--sessions", &o.sessions},
                   {"--each", &o.each},
                   {"--rcpts", &o.rcpts},
                   {"--domain-count", &o.made_domains}};

    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].to = (unsigned)strtoul(value, NULL, 10);
            return true;
        }
    }
    if (strcmp(name, "--to") == 0) {
        return socket_address(value, &o.to);
    } else if (strcmp(name, "--size") == 0) {
        o.size = strtoul(value, NULL, 10);
    } else if (strcmp(name, "--seconds") == 0) {
        o.seconds = strtod(value, NULL);
    } else if (strcmp(name, "--warm") == 0) {
        o.warm = strtod(value, NULL);
    } else if (strcmp(name, "--rate") == 0) {
        o.rate = strtod(value, NULL);
    } else if (strcmp(name, "--messages") == 0) {
        o.messages = strtoull(value, NULL, 10);
    } else if (strcmp(name, "--domains") == 0) {
        take_domains(value);
    } else {
        return false;
    }
    return true;
}

static bool take_all(int argc, char **argv)
{
    o = (struct options){.sessions = 1, .rcpts = 1, .size = 4096, .seconds = 12, .warm = 2};
    o.pipelining = true;
    o.domains[0] = "fast.example";
    o.domain_count = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--bdat") == 0) {
            o.bdat = true;
        } else if (strcmp(argv[i], "--no-pipelining") == 0) {
            o.pipelining = false;
        } else if (i + 1 >= argc || !take(argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    return o.to.sin_port != 0 && o.sessions > 0 && o.rcpts > 0 && o.rcpts <= 100;
}

int main(int argc, char **argv)
{
    if (!take_all(argc, argv)) {
        return usage();
    }
    socket_many();
    make_body();
    epoll = epoll_create1(EPOLL_CLOEXEC);
    sessions = calloc(o.sessions, sizeof *sessions);
    idle = calloc(o.sessions + 1, sizeof *idle);
    if (sessions == NULL || idle == NULL) {
        return 1;
    }
    tally.start_ns = next_due_ns = tally_now_ns();
    end_ns = tally.start_ns + (uint64_t)(o.seconds * 1e9);
    for (unsigned i = 0; i < o.sessions; i++) {
        if (!session_open(&sessions[i])) {
            perror("bench-load: connect");
            return 1;
        }
    }
    run();
    printf("{\"refused\":%llu,\"lost\":%llu,\"unfinished\":%u,\"connections\":%llu,"
           "\"late_max_us\":%llu,\"first_refusal\":\"",
           (unsigned long long)refused, (unsigned long long)lost, in_flight,
           (unsigned long long)connections, (unsigned long long)(late_max_ns / 1000));
    for (const char *c = first_refusal; *c != '\0'; c++) {
        putchar(*c == '"' || *c == '\\' || (unsigned char)*c < 32 ? '?' : *c);
    }
    fputs("\",", stdout);
    tally_print(&tally, stdout);
    fputs("}\n", stdout);
    return 0;
}
