/*
 * sink: a destination that costs next to nothing, and measures: messages by tenths of a second, and
 * how long each was under way, from the time that load.c wrote into it ("X-Bench: " and nanoseconds
 * of the monotonic clock).
 *
 *     bench-sink --listen 127.0.0.1:2600 [--counter FILE] [--no-chunking] [--no-pipelining]
 *
 * SIGUSR1 forgets the latencies so far (the end of the warm-up). SIGTERM prints the tally as JSON.
 * The counter file holds the number of messages so far, eight bytes, mapped.
 */
#include "bench/socket.h"
#include "bench/tally.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/mman.h>

enum { READ_BYTES = 256 * 1024, LINE_BYTES = 2048, HEAD_BYTES = 8192, REPLY_BYTES = 4096 };

enum place { AT_COMMAND, AT_DATA, AT_CHUNK };

struct client {
    int fd;
    enum place place;
    bool last_chunk;
    unsigned dot; /* how much of CR LF . CR LF was seen */
    uint64_t chunk_left;
    size_t line_len, head_len, said_len;
    char line[LINE_BYTES];  /* a command that came in pieces */
    char head[HEAD_BYTES];  /* the content's beginning, where the time stands */
    char said[REPLY_BYTES]; /* not yet sent */
};

static struct tally tally;
static uint64_t own_counter, *counter = &own_counter;
static bool chunking = true, pipelining = true;
static volatile sig_atomic_t ended, marked;

static void on_signal(int number)
{
    if (number == SIGUSR1) {
        marked = 1;
    } else {
        ended = 1;
    }
}

static void say(struct client *c, const char *text)
{
    size_t len = strlen(text);

    if (len <= REPLY_BYTES - c->said_len) {
        memcpy(c->said + c->said_len, text, len);
        c->said_len += len;
    }
}

/* False: the client is gone, or does not read what it is told. */
static bool send_said(struct client *c)
{
    ssize_t n = c->said_len > 0 ? send(c->fd, c->said, c->said_len, MSG_NOSIGNAL) : 0;

    if (n < (ssize_t)c->said_len) {
        return false;
    }
    c->said_len = 0;
    return true;
}

static void took_message(struct client *c)
{
    static const char mark[] = "X-Bench: ";
    const char *stamp = memmem(c->head, c->head_len, mark, sizeof mark - 1);
    uint64_t now = tally_now_ns();

    tally_count(&tally, now);
    __atomic_store_n(counter, tally.count, __ATOMIC_RELAXED);
    if (stamp != NULL && stamp + sizeof mark - 1 + 20 <= c->head + c->head_len) {
        char digits[21] = "";
        uint64_t then;

        memcpy(digits, stamp + sizeof mark - 1, 20);
        then = strtoull(digits, NULL, 10);
        if (then > 0 && then <= now) {
            tally_latency(&tally, now - then);
        }
    }
    c->head_len = 0;
    c->place = AT_COMMAND;
    say(c, "250 2.0.0 Ok\r\n");
}

static void keep_head(struct client *c, const char *at, size_t len)
{
    size_t room = HEAD_BYTES - c->head_len;

    len = len < room ? len : room;
    if (len > 0) {
        memcpy(c->head + c->head_len, at, len);
        c->head_len += len;
    }
}

/* One command; false: goodbye. */
static bool command(struct client *c, const char *line)
{
    if (strncasecmp(line, "EHLO", 4) == 0) {
        say(c, "250-sink.example\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n"
               "250-ENHANCEDSTATUSCODES\r\n");
        say(c, pipelining ? "250-PIPELINING\r\n" : "");
        say(c, chunking ? "250-CHUNKING\r\n250-BINARYMIME\r\n" : "");
        say(c, "250 SIZE\r\n");
    } else if (strncasecmp(line, "DATA", 4) == 0) {
        say(c, "354 Go\r\n");
        c->place = AT_DATA;
        c->dot = 2;
    } else if (strncasecmp(line, "BDAT ", 5) == 0) {
        char *end;

        c->chunk_left = strtoull(line + 5, &end, 10);
        c->last_chunk = strncasecmp(end, " LAST", 5) == 0;
        c->place = AT_CHUNK;
    } else if (strncasecmp(line, "QUIT", 4) == 0) {
        say(c, "221 2.0.0 Bye\r\n");
        return false;
    } else {
        say(c, "250 2.0.0 Ok\r\n");
    }
    return true;
}

/* How much of `at` belongs to the content; the place changes at its end. */
static size_t content(struct client *c, const char *at, size_t len)
{
    static const char end[] = "\r\n.\r\n";
    size_t i = 0;

    while (i < len) {
        if (c->dot == 0) {
            const char *cr = memmem(at + i, len - i, "\r\n.", 3);

            /* The last two bytes may begin what the next read ends. */
            i = cr != NULL ? (size_t)(cr - at) : (len - i > 2 ? len - 2 : i);
            if (at[i] != '\r') {
                i++;
                continue;
            }
        }
        if (at[i] == end[c->dot]) {
            c->dot++;
        } else {
            c->dot = at[i] == '\r' ? 1 : 0;
        }
        i++;
        if (c->dot == 5) {
            keep_head(c, at, i);
            took_message(c);
            return i;
        }
    }
    keep_head(c, at, len);
    return len;
}

static size_t chunk(struct client *c, const char *at, size_t len)
{
    size_t n = c->chunk_left < len ? (size_t)c->chunk_left : len;

    keep_head(c, at, n);
    c->chunk_left -= n;
    if (c->chunk_left == 0) {
        c->place = AT_COMMAND;
        if (c->last_chunk) {
            took_message(c);
        } else {
            say(c, "250 2.0.0 Ok\r\n");
        }
    }
    return n;
}

/* 0: a line that is too long. */
static size_t commands(struct client *c, const char *at, size_t len, bool *over)
{
    const char *lf = memchr(at, '\n', len);
    size_t n = lf != NULL ? (size_t)(lf - at) + 1 : len;

    if (n >= LINE_BYTES - c->line_len) {
        return 0;
    }
    memcpy(c->line + c->line_len, at, n);
    c->line_len += n;
    if (lf != NULL) {
        c->line[c->line_len] = '\0';
        c->line_len = 0;
        *over = !command(c, c->line);
    }
    return n;
}

static bool read_from(struct client *c)
{
    static char room[READ_BYTES];
    ssize_t n = recv(c->fd, room, sizeof room, 0);
    size_t at = 0;
    bool over = false;

    if (n <= 0) {
        return n < 0 && errno == EAGAIN;
    }
    while (at < (size_t)n && !over) {
        size_t left = (size_t)n - at, used;

        if (c->place == AT_DATA) {
            used = content(c, room + at, left);
        } else if (c->place == AT_CHUNK) {
            used = chunk(c, room + at, left);
        } else {
            used = commands(c, room + at, left, &over);
        }
        if (used == 0 && c->place == AT_COMMAND) {
            return false;
        }
        at += used;
        if (c->place == AT_CHUNK && c->chunk_left == 0) {
            (void)chunk(c, room + at, 0); /* BDAT 0 */
        }
    }
    return send_said(c) && !over;
}

static void welcome(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct client *c;
        struct epoll_event e = {.events = EPOLLIN};

        if (fd < 0) {
            return;
        }
        c = malloc(sizeof *c); /* its rooms stay untouched, and cost nothing, until used */
        if (c == NULL) {
            close(fd);
            return;
        }
        memset(c, 0, offsetof(struct client, line));
        c->fd = fd;
        socket_hurry(fd);
        e.data.ptr = c;
        say(c, "220 sink.example ESMTP\r\n");
        if (!send_said(c) || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
            close(fd);
            free(c);
        }
    }
}

static int serve(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[256], e = {.events = EPOLLIN};

    (void)epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    while (!ended) {
        int n = epoll_wait(epoll, events, 256, -1);

        if (marked) {
            marked = 0;
            tally_forget_latencies(&tally);
        }
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;

            if (c == NULL) {
                welcome(epoll, listener);
            } else if (!read_from(c)) {
                close(c->fd);
                free(c);
            }
        }
    }
    return 0;
}

static bool counter_map(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    void *at;

    if (fd < 0 || ftruncate(fd, sizeof *counter) < 0) {
        return false;
    }
    at = mmap(NULL, sizeof *counter, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED) {
        return false;
    }
    counter = at;
    return true;
}

static int usage(void)
{
    fputs("usage: bench-sink --listen ADDR:PORT [--counter FILE] [--no-chunking] "
          "[--no-pipelining]\n",
          stderr);
    return 64;
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {0};
    struct sigaction act = {.sa_handler = on_signal};
    int listener, on = 1;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--no-chunking") == 0) {
            chunking = false;
        } else if (strcmp(argv[i], "--no-pipelining") == 0) {
            pipelining = false;
        } else if (i + 1 < argc && strcmp(argv[i], "--listen") == 0) {
            if (!socket_address(argv[++i], &at)) {
                return usage();
            }
        } else if (i + 1 < argc && strcmp(argv[i], "--counter") == 0) {
            if (!counter_map(argv[++i])) {
                perror("bench-sink: counter");
                return 1;
            }
        } else {
            return usage();
        }
    }
    if (at.sin_port == 0) {
        return usage();
    }
    socket_many();
    (void)sigaction(SIGUSR1, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGINT, &act, NULL);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) {
        perror("bench-sink: listen");
        return 1;
    }
    tally.start_ns = tally_now_ns();
    (void)serve(listener);
    fputs("{", stdout);
    tally_print(&tally, stdout);
    fputs("}\n", stdout);
    return 0;
}
