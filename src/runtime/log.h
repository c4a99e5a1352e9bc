/*
 * log: raising events (base/event.h) and writing them, one line each, without ever holding up mail.
 *
 * Real      Lines go into a bounded buffer that a thread of its own writes out; when it is full,
 *           lines are counted and left out, and the count is told as soon as there is room again.
 * Simulated Lines are kept in memory in order, with virtual dates: the record that replay compares.
 * Taps      Others may listen (metrics, --follow): log_tap, before world_run.
 */
#pragma once

#include "base/event.h"

#include <stddef.h>

enum log_format { LOG_JSON, LOG_TEXT };

/* To a descriptor the caller keeps open. Before this, events go to standard error as text. */
void log_start(int fd, enum log_format format, enum event_level least);
void log_level(enum event_level least); /* at a reload */
/* Writes out what is waiting; then the thread ends. */
void log_stop(void);

typedef void log_tap_fn(void *ctx, const struct event_kind *kind, const struct event_field *fields,
                        size_t count);
void log_tap(log_tap_fn *fn, void *ctx); /* called on the thread that raises */

void event_raise_all(const struct event_kind *kind, const struct event_field *fields, size_t count);

#define event_raise(kind, ...)                                                                     \
    event_raise_all((kind), (const struct event_field[]){__VA_ARGS__},                             \
                    sizeof((const struct event_field[]){__VA_ARGS__}) /                            \
                        sizeof(struct event_field))
