/*
 * scanner: a filter that costs next to nothing and takes every message: as a classic hook over HTTP
 * (keep-alive, one request at a time) and as a milter of protocol 6 that hears all of a message and
 * answers only its end, as a quick one would.
 *
 *     bench-scanner --http 127.0.0.1:2700 --milter 127.0.0.1:2701 [--delay-ms N]
 *
 * With a delay each message is answered that much later. SIGTERM prints as JSON how many were
 * answered, how many waited at a time at most, the largest body of a request, and connections.
 */
#include "bench/socket.h"
#include "bench/tally.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/queue.h>

enum { READ_BYTES = 256 * 1024, LINE_BYTES = 8192 };

enum kind { HTTP, MILTER };
enum place { AT_HEAD, AT_BODY, AT_CHUNK_SIZE, AT_CHUNK, AT_TRAILER, AT_PACKET, AT_DATA };

/* Of the milter protocol: what is not sent (NO) and what is not answered (SILENT). */
enum {
    NO_UNKNOWN = 0x100,
    SILENT = 0x80 | 0x1000 | 0x2000 | 0x4000 | 0x8000 | 0x10000 | 0x20000 | 0x40000 | 0x80000,
    TERMS_BYTES = 12,
    PACKET_HEAD_BYTES = 5 /* the length and the letter it counts */
};

struct client {
    int fd;
    enum kind kind;
    enum place place;
    bool is_listener, is_chunked, is_waiting;
    uint32_t steps;          /* milter: what was agreed on */
    uint64_t left;           /* of a body, a chunk or a packet */
    uint64_t body;           /* bytes of this request's body */
    uint64_t due_ns;         /* when what waits is answered */
    TAILQ_ENTRY(client) row; /* of those that wait */
    size_t line_len;
    char line[LINE_BYTES]; /* a line or a packet that came in pieces */
};

static TAILQ_HEAD(, client) waiting = TAILQ_HEAD_INITIALIZER(waiting);
static uint64_t delay_ns, answered, waiting_now, waiting_max, body_max, connections;
static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static bool say(struct client *c, const void *bytes, size_t len)
{
    return send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* ---- answers to messages ---- */

static bool answer(struct client *c)
{
    static const char accept[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                 "Content-Length: 19\r\n\r\n{\"action\":\"accept\"}";

    answered++;
    return c->kind == HTTP ? say(c, accept, sizeof accept - 1) : say(c, "\0\0\0\1c", 5);
}

static void forget_waiting(struct client *c)
{
    if (c->is_waiting) {
        TAILQ_REMOVE(&waiting, c, row);
        c->is_waiting = false;
        waiting_now--;
    }
}

/* The delay is the same for all, so those that wait are due in their order. */
static bool took_message(struct client *c)
{
    if (delay_ns == 0) {
        return answer(c);
    }
    if (c->is_waiting) {
        return false; /* asked again before it was answered */
    }
    c->due_ns = tally_now_ns() + delay_ns;
    c->is_waiting = true;
    TAILQ_INSERT_TAIL(&waiting, c, row);
    waiting_now++;
    waiting_max = waiting_now > waiting_max ? waiting_now : waiting_max;
    return true;
}

/* ---- HTTP ---- */

static bool took_request(struct client *c)
{
    body_max = c->body > body_max ? c->body : body_max;
    c->place = AT_HEAD;
    c->body = 0;
    c->left = 0;
    c->is_chunked = false;
    return took_message(c);
}

/* A line without its end. */
static bool http_line(struct client *c, const char *line)
{
    if (c->place == AT_CHUNK_SIZE) {
        c->left = strtoull(line, NULL, 16);
        c->body += c->left;
        c->place = c->left > 0 ? AT_CHUNK : AT_TRAILER;
        c->left += 2; /* the CRLF behind it */
        return true;
    }
    if (*line != '\0') {
        if (strncasecmp(line, "Content-Length:", 15) == 0) {
            c->body = c->left = strtoull(line + 15, NULL, 10);
        } else if (strncasecmp(line, "Transfer-Encoding:", 18) == 0) {
            c->is_chunked = true;
        }
        return true;
    }
    if (c->place == AT_HEAD && c->is_chunked) {
        c->place = AT_CHUNK_SIZE;
        return true;
    }
    if (c->place == AT_HEAD && c->left > 0) {
        c->place = AT_BODY;
        return true;
    }
    return took_request(c);
}

/* How much was used; 0: this client is done with. */
static size_t http(struct client *c, const char *at, size_t len)
{
    if (c->place == AT_BODY || c->place == AT_CHUNK) {
        size_t n = c->left < len ? (size_t)c->left : len;

        c->left -= n;
        if (c->left == 0 && c->place == AT_CHUNK) {
            c->place = AT_CHUNK_SIZE;
        } else if (c->left == 0 && !took_request(c)) {
            return 0;
        }
        return n;
    }
    const char *lf = memchr(at, '\n', len);
    size_t n = lf != NULL ? (size_t)(lf - at) + 1 : len;

    if (n >= LINE_BYTES - c->line_len) {
        return 0;
    }
    memcpy(c->line + c->line_len, at, n);
    c->line_len += n;
    if (lf == NULL) {
        return n;
    }
    c->line[c->line_len - 1] = '\0';
    if (c->line_len > 1 && c->line[c->line_len - 2] == '\r') {
        c->line[c->line_len - 2] = '\0';
    }
    c->line_len = 0;
    return http_line(c, c->line) ? n : 0;
}

/* ---- milter ---- */

static uint32_t number_at(const char *at)
{
    uint32_t n;

    memcpy(&n, at, sizeof n);
    return ntohl(n);
}

static bool agree(struct client *c)
{
    uint32_t version = number_at(c->line + PACKET_HEAD_BYTES);
    uint32_t offered = number_at(c->line + PACKET_HEAD_BYTES + 8);
    uint32_t said[3];
    char packet[PACKET_HEAD_BYTES + TERMS_BYTES] = {0, 0, 0, 1 + TERMS_BYTES, 'O'};

    c->steps = offered & (NO_UNKNOWN | SILENT);
    said[0] = htonl(version < 6 ? version : 6);
    said[1] = 0; /* it changes nothing */
    said[2] = htonl(c->steps);
    memcpy(packet + PACKET_HEAD_BYTES, said, sizeof said);
    return say(c, packet, sizeof packet);
}

/* Whether a command is answered at all: what the flag says that was agreed on. */
static bool is_silent(const struct client *c, char letter)
{
    static const struct {
        char letter;
        uint32_t step;
    } steps[] = {{'L', 0x80},    {'C', 0x1000},  {'H', 0x2000},  {'M', 0x4000}, {'R', 0x8000},
                 {'T', 0x10000}, {'U', 0x20000}, {'N', 0x40000}, {'B', 0x80000}};

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].letter == letter) {
            return (c->steps & steps[i].step) != 0;
        }
    }
    return true; /* macros, an abort, another session */
}

static bool took_packet(struct client *c)
{
    char letter = c->line[4];
    bool has_terms = c->line_len >= PACKET_HEAD_BYTES + TERMS_BYTES;

    c->place = AT_PACKET;
    c->line_len = 0;
    switch (letter) {
    case 'O':
        return has_terms && agree(c);
    case 'E':
        return took_message(c);
    case 'Q':
        return false;
    default:
        return is_silent(c, letter) || say(c, "\0\0\0\1c", 5);
    }
}

/* As http: of a packet its head is kept, and the terms that may follow. */
static size_t milter(struct client *c, const char *at, size_t len)
{
    bool in_head = c->place == AT_PACKET;
    size_t want = in_head ? PACKET_HEAD_BYTES - c->line_len : (size_t)c->left;
    size_t n = want < len ? want : len;
    size_t room = PACKET_HEAD_BYTES + TERMS_BYTES - c->line_len;
    size_t kept = n < room ? n : room;

    memcpy(c->line + c->line_len, at, kept);
    c->line_len += kept;
    if (!in_head) {
        c->left -= n;
    } else if (c->line_len == PACKET_HEAD_BYTES) {
        uint32_t bytes = number_at(c->line);

        if (bytes == 0) {
            return 0;
        }
        c->left = bytes - 1;
        c->place = AT_DATA;
    }
    return c->place == AT_DATA && c->left == 0 && !took_packet(c) ? 0 : n;
}

/* ---- connections ---- */

static bool read_from(struct client *c)
{
    static char room[READ_BYTES];
    ssize_t n = recv(c->fd, room, sizeof room, 0);
    size_t at = 0;

    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    while (at < (size_t)n) {
        size_t left = (size_t)n - at;
        size_t used = c->kind == HTTP ? http(c, room + at, left) : milter(c, room + at, left);

        if (used == 0) {
            return false;
        }
        at += used;
    }
    return true;
}

static void dismiss(struct client *c)
{
    forget_waiting(c);
    close(c->fd);
    free(c);
}

static struct client *client_new(int epoll, int fd, enum kind kind, bool is_listener)
{
    struct client *c = malloc(sizeof *c); /* the line's room costs nothing until used */
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};

    if (c == NULL || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
        close(fd);
        free(c);
        return NULL;
    }
    memset(c, 0, offsetof(struct client, line));
    c->fd = fd;
    c->kind = kind;
    c->is_listener = is_listener;
    c->place = kind == HTTP ? AT_HEAD : AT_PACKET;
    return c;
}

static void welcome(int epoll, const struct client *listener)
{
    for (;;) {
        int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            return;
        }
        socket_hurry(fd);
        connections += client_new(epoll, fd, listener->kind, false) != NULL;
    }
}

/* Those whose time has come; how long until the next one's has, in milliseconds. */
static int answer_due(void)
{
    struct client *c;

    while ((c = TAILQ_FIRST(&waiting)) != NULL) {
        uint64_t now = tally_now_ns();

        if (c->due_ns > now) {
            return (int)((c->due_ns - now) / 1000000) + 1;
        }
        forget_waiting(c);
        if (!answer(c)) {
            (void)shutdown(c->fd, SHUT_RDWR); /* its event ends it */
        }
    }
    return -1;
}

static void serve(int epoll)
{
    struct epoll_event events[256];

    while (!ended) {
        int n = epoll_wait(epoll, events, 256, answer_due());

        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;

            if (c->is_listener) {
                welcome(epoll, c);
            } else if (!read_from(c)) {
                dismiss(c);
            }
        }
    }
}

static bool open_at(int epoll, const struct sockaddr_in *at, enum kind kind)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (const struct sockaddr *)at, sizeof *at) == 0 && listen(fd, 4096) == 0 &&
           client_new(epoll, fd, kind, true) != NULL;
}

static int usage(void)
{
    fputs("usage: bench-scanner --http ADDR:PORT --milter ADDR:PORT [--delay-ms N]\n", stderr);
    return 64;
}

int main(int argc, char **argv)
{
    struct sockaddr_in http_at = {0}, milter_at = {0};
    struct sigaction act = {.sa_handler = on_signal};
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--delay-ms") == 0) {
            delay_ns = strtoull(argv[i + 1], NULL, 10) * 1000000;
        } else if (!(strcmp(argv[i], "--http") == 0 && socket_address(argv[i + 1], &http_at)) &&
                   !(strcmp(argv[i], "--milter") == 0 && socket_address(argv[i + 1], &milter_at))) {
            return usage();
        }
    }
    if (argc % 2 == 0 || http_at.sin_port == 0 || milter_at.sin_port == 0) {
        return usage();
    }
    socket_many();
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGINT, &act, NULL);
    if (!open_at(epoll, &http_at, HTTP) || !open_at(epoll, &milter_at, MILTER)) {
        perror("bench-scanner: listen");
        return 1;
    }
    serve(epoll);
    printf("{\"answered\":%llu,\"waiting_max\":%llu,\"body_max\":%llu,\"connections\":%llu}\n",
           (unsigned long long)answered, (unsigned long long)waiting_max,
           (unsigned long long)body_max, (unsigned long long)connections);
    return 0;
}
