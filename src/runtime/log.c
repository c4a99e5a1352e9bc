#include "runtime/log.h"

#include "base/mem.h"
#include "runtime/clock.h"
#include "runtime/world.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

enum { WAITING_MAX = 1024 * 1024, LINE_BYTES = 768, TAPS_MAX = 8 };

static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    pthread_t thread;
    int fd;
    enum log_format format;
    _Atomic enum event_level least;
    bool started, stopping, idle;
    struct buf waiting; /* lines not yet taken by the thread */
    uint64_t lost;
    struct {
        log_tap_fn *fn;
        void *ctx;
    } taps[TAPS_MAX];
    unsigned tap_count;
} log_ = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .more = PTHREAD_COND_INITIALIZER,
          .fd = STDERR_FILENO,
          .format = LOG_TEXT,
          .least = LEVEL_INFO};

EVENT_DECLARE(log_lines_lost, WARN, "")
EVENT_DEFINE(log_lines_lost, WARN, "the log's reader was too slow; so many lines were left out")

static void render(struct buf *out, const struct event_kind *kind, const struct event_field *fields,
                   size_t count)
{
    struct date now = clock_date();

    if (log_.format == LOG_JSON) {
        event_json(out, now, kind, fields, count);
    } else {
        event_text(out, now, kind, fields, count);
    }
    buf_byte(out, '\n');
}

static void write_all(int fd, struct str s)
{
    while (s.len > 0) {
        ssize_t n = write(fd, s.ptr, s.len);

        if (n < 0 && errno != EINTR) {
            return; /* nobody reads us: mail goes on */
        }
        s = str_skip(s, n > 0 ? (size_t)n : 0);
    }
}

static void *write_lines(void *arg)
{
    struct buf taken = {0};

    (void)arg;
    pthread_mutex_lock(&log_.lock);
    for (;;) {
        struct buf swap = taken;

        if (log_.waiting.len == 0 && log_.lost == 0) {
            if (log_.stopping) {
                break;
            }
            log_.idle = true;
            pthread_cond_wait(&log_.more, &log_.lock);
            log_.idle = false;
            continue;
        }
        taken = log_.waiting;
        log_.waiting = swap;
        if (log_.lost > 0) {
            struct event_field lost = f_count((int64_t)log_.lost);

            render(&taken, &ev_log_lines_lost, &lost, 1);
            log_.lost = 0;
        }
        pthread_mutex_unlock(&log_.lock);
        write_all(log_.fd, buf_str(&taken));
        buf_clear(&taken);
        pthread_mutex_lock(&log_.lock);
    }
    pthread_mutex_unlock(&log_.lock);
    buf_done(&taken);
    return NULL;
}

void log_start(int fd, enum log_format format, enum event_level least)
{
    log_.fd = fd;
    log_.format = format;
    log_.least = least;
    log_.started = true;
    log_.stopping = false;
    must(pthread_create(&log_.thread, NULL, write_lines, NULL) == 0);
    pthread_setname_np(log_.thread, "log");
}

void log_level(enum event_level least)
{
    log_.least = least;
}

void log_stop(void)
{
    if (!log_.started) {
        return;
    }
    pthread_mutex_lock(&log_.lock);
    log_.stopping = true;
    pthread_cond_signal(&log_.more);
    pthread_mutex_unlock(&log_.lock);
    must(pthread_join(log_.thread, NULL) == 0);
    log_.started = false;
    buf_done(&log_.waiting);
}

void log_tap(log_tap_fn *fn, void *ctx)
{
    must(log_.tap_count < TAPS_MAX);
    log_.taps[log_.tap_count].fn = fn;
    log_.taps[log_.tap_count++].ctx = ctx;
}

static void hand_over(struct str line)
{
    bool ring;

    pthread_mutex_lock(&log_.lock);
    if (log_.waiting.len + line.len > WAITING_MAX) {
        log_.lost++;
    } else {
        buf_put(&log_.waiting, line);
    }
    ring = log_.idle;
    pthread_mutex_unlock(&log_.lock);
    if (ring) {
        pthread_cond_signal(&log_.more);
    }
}

void event_raise_all(const struct event_kind *kind, const struct event_field *fields, size_t count)
{
    struct buf line BUF_LOCAL = {0};

    for (unsigned i = 0; i < log_.tap_count; i++) {
        log_.taps[i].fn(log_.taps[i].ctx, kind, fields, count);
    }
    if (world_is_simulated()) {
        loop_self()->world->ops->log(kind, fields, count);
        return;
    }
    if (kind->level < log_.least) {
        return;
    }
    (void)buf_room(&line, LINE_BYTES); /* enough for most: one allocation */
    render(&line, kind, fields, count);
    if (log_.started) {
        hand_over(buf_str(&line));
    } else {
        write_all(log_.fd, buf_str(&line));
    }
}
