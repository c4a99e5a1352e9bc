/*
 * A look-up file: whatever is in it, there is a table or a line in error; and what the table has is
 * what its lines say, whichever way one looks.
 */
#include "base/check.h"
#include "lookup/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size), line, value;
    const char *why = NULL;
    size_t number, keys = 0;
    struct table *t = table_parse(text, &number, &why);

    if (t == NULL) {
        must(number > 0);
        must(why != NULL);
        return 0;
    }
    while (text.len > 0) {
        (void)str_cut(&text, '\n', &line);
        line = str_trim_ws(line);
        if (line.len == 0 || line.ptr[0] == '#') {
            continue;
        }
        size_t end = 0;

        while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t') {
            end++;
        }
        must(table_get(t, str_head(line, end), &value));
        must(str_eq(value, str_trim(str_skip(line, end))));
        must(str_is_utf8(value));
        keys++;
    }
    must(table_count(t) <= keys);
    must((table_count(t) == 0) == (keys == 0));
    table_drop(t);
    return 0;
}
