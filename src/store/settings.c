#include "store/settings.h"

#include "base/check.h"

enum { BLOCK = 4096, CHECKPOINT_SEGMENTS = 2 };

#define SETTINGS_OF struct store_settings
static const struct setting rows[] = {
#include "store/settings.def"
};
#undef SETTINGS_OF

const struct setting_table store_table = {
    .key = "store",
    .kind = TABLE_ONE,
    .prose = "Where accepted mail is kept until it is delivered.",
    .rows = rows,
    .row_count = COUNT_OF(rows),
    .size = sizeof(struct store_settings),
};

struct store_options store_options_of(const struct store_settings *s)
{
    uint64_t segment_bytes = s->segment_bytes / BLOCK * BLOCK;

    return (struct store_options){.segment_bytes = segment_bytes,
                                  .min_free_bytes = s->min_free_bytes,
                                  .node = s->node,
                                  .checkpoint_bytes = CHECKPOINT_SEGMENTS * segment_bytes};
}
