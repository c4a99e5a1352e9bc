/*
 * classic_part: what the files of the classic dialect share: an answer's modifications, as they are
 * kept from the answers of a stage until its end.
 *
 * Owns      Nothing: texts are the answer's, in the arena it was decoded with.
 */
#pragma once

#include "doc/doc.h"
#include "hooks/dialect.h"

enum classic_type {
    CLASSIC_CHANGE_FROM,
    CLASSIC_ADD_RECIPIENT,
    CLASSIC_DELETE_RECIPIENT,
    CLASSIC_REPLACE_CONTENTS,
    CLASSIC_ADD_HEADER,
    CLASSIC_INSERT_HEADER,
    CLASSIC_CHANGE_HEADER,
    CLASSIC_DELETE_HEADER,
    CLASSIC_TYPES,
    CLASSIC_QUARANTINE = CLASSIC_TYPES /* no type of the wire: the action, in its place */
};

struct hook_modification {
    enum classic_type type;
    uint32_t answer; /* which of the stage's answers it was in; from 1 */
    uint32_t index;
    struct str name, value; /* addresses without blanks and brackets around them */
    struct hook_params params;
};

/* The modifications of an answer; false: it is none, and *why. */
bool classic_modifications_read(const struct doc *list, struct arena *a, struct hook_pending *ret,
                                struct buf *why);
/* Whether what they bring may stand where it goes; cuts what is borne at the end of a value. */
bool classic_modifications_check(struct hook_pending *p, const struct hook_view *view,
                                 struct arena *a, struct buf *why);
void classic_finish(const struct hook_pending *pending, const struct hook_view *view,
                    struct arena *a, struct hook_outcome *ret);

/* An address as classic hooks are shown it: in lower case, the domain in A-labels. */
struct str classic_address(struct str address, struct arena *a);
