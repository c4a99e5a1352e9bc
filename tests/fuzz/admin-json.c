/* JSON that programs and servers send: whatever is read can be written, and reads the same again.
 */
#include "admin/request.h"
#include "admin/view.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void try_request(enum request_kind kind, struct str in)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf once BUF_LOCAL = {0}, twice BUF_LOCAL = {0};
    struct request ask, again;
    struct str why;

    if (!request_read(kind, in, &a, &ask, &why)) {
        must(why.len > 0);
        return;
    }
    request_write(&ask, &once);
    must(request_says(&ask, &a).len > 0);
    must(request_read(kind, buf_str(&once), &a, &again, &why));
    request_write(&again, &twice);
    must(str_eq(buf_str(&once), buf_str(&twice)));
}

static void try_view(struct str in)
{
    struct arena a ARENA_LOCAL = {0};
    struct buf once BUF_LOCAL = {0}, twice BUF_LOCAL = {0};
    struct view_message m, again;
    struct view_member *members;
    struct view_page page;
    size_t count;

    (void)view_read_flat(in, &a, &members, &count);
    (void)view_read_page(in, &a, &page);
    if (view_read(in, &a, &m).code != OK) {
        return;
    }
    view_write(&m, &once);
    must(view_read(buf_str(&once), &a, &again).code == OK);
    view_write(&again, &twice);
    must(str_eq(buf_str(&once), buf_str(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct str in = {(const char *)bytes, len};

    for (int kind = 0; kind < REQUEST_COUNT; kind++) {
        try_request((enum request_kind)kind, in);
    }
    try_view(in);
    return 0;
}
