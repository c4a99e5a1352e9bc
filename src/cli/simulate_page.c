/*
 * The report as a page: a frame (simulate_page.html, made into bytes at build time) with the JSON
 * in the place of its mark. "<" is written as \u003c, so that no name of a scenario ends the
 * script.
 */
#include "base/check.h"
#include "cli/simulate.h"

extern const char simulate_frame[];
extern const size_t simulate_frame_bytes;

void simulate_page(const struct tally *t, struct buf *out)
{
    static const struct str mark = STR_INIT("/*REPORT*/null");
    struct str frame = str_make(simulate_frame, simulate_frame_bytes);
    struct buf json BUF_LOCAL = {0};
    size_t at = str_find_str(frame, mark);

    must(at != STR_NONE);
    simulate_json(t, &json);
    buf_put(out, str_head(frame, at));
    for (size_t i = 0; i < json.len; i++) {
        if (json.ptr[i] == '<') {
            buf_put(out, STR("\\u003c"));
        } else {
            buf_byte(out, json.ptr[i]);
        }
    }
    buf_put(out, str_skip(frame, at + mark.len));
}
