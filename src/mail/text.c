#include "mail/text.h"

static void put(struct buf *out, struct str s, bool utf8, const char *not_these)
{
    bool high = utf8 && str_is_utf8(s);

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c < 0x20 || c == 0x7f) {
            c = ' ';
        } else if ((c >= 0x80 && !high) || (c < 0x80 && strchr(not_these, c) != NULL)) {
            c = '?';
        }
        buf_byte(out, (char)c);
    }
}

void text_put(struct buf *out, struct str s, bool utf8)
{
    put(out, s, utf8, "");
}

void text_put_quoted(struct buf *out, struct str s, bool utf8)
{
    put(out, s, utf8, "()<>\"\\");
}

void text_put_host(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool fine = byte_is_alnum(c) || (c != '\0' && strchr(".-_:[]", c) != NULL);

        buf_byte(out, fine ? c : '?');
    }
}
