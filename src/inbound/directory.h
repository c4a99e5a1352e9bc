/*
 * directory: which addresses exist here, and what they stand for.
 *
 * Source    RFC 5321 sections 3.9.1 (aliases), 4.1.1.3 and 4.5.1 (postmaster); RFC 2142 (abuse).
 * Owns      All it was built from is copied. It never changes after directory_load, so any thread
 *           may ask it, until its last reference is given back.
 * Limits    Files of DIRECTORY_FILE_BYTES_MAX; aliases DIRECTORY_DEPTH_MAX deep; one address stands
 *           for at most DIRECTORY_EXPANSION_MAX.
 * Errors    Told with file and line, through struct faults.
 *
 * Local parts are compared without ASCII case here, since we are their final destination, and
 * quotes around one that needs none do not count. Addresses go on exactly as they were given.
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "config/fault.h"
#include "inbound/settings.h"

#include <stdbool.h>

enum {
    DIRECTORY_FILE_BYTES_MAX = 64 * 1024 * 1024,
    DIRECTORY_DEPTH_MAX = 10,
    DIRECTORY_EXPANSION_MAX = 1000
};

struct directory;

/* A file that cannot be read is an error, or with may_miss not even a fault: others have told of
 * it. Blocks. NULL: *faults has errors. */
struct directory *directory_load(const struct server_settings *settings, bool may_miss,
                                 struct faults *faults);
struct directory *directory_share(struct directory *d);
void directory_drop(struct directory *d); /* NULL is harmless */

/* The same from texts at hand; empty: none. `given` tells an empty list from no list. */
struct directory_text {
    struct str aliases, recipients;
    bool recipients_given;
};
struct directory *directory_build(const struct server_settings *settings,
                                  const struct directory_text *text, struct faults *faults);

bool directory_is_local(const struct directory *d, struct str domain);

enum directory_answer {
    DIRECTORY_ITSELF, /* one address, the one asked for */
    DIRECTORY_STANDS, /* it stands for those in *ret */
    DIRECTORY_UNKNOWN
};

/* An address of a local domain, or "postmaster". *ret lives in `a` or in the directory. */
enum directory_answer directory_ask(const struct directory *d, struct str address, struct arena *a,
                                    struct str_list *ret);
