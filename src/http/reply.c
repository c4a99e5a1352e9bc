#include "http/reply.h"

size_t reply_head_size(struct str bytes)
{
    size_t at = str_find_str(str_head(bytes, REPLY_HEAD_MAX), STR("\r\n\r\n"));

    return at == STR_NONE ? 0 : at + 4;
}

bool reply_chunk_size(struct str line, uint64_t *ret)
{
    return str_hex_to_u64(line, ret);
}

/* Up to the next CRLF; false when a CR or LF stands alone. */
static bool cut_line(struct str *rest, struct str *line)
{
    size_t at = str_find_str(*rest, STR("\r\n"));

    if (at == STR_NONE) {
        return false;
    }
    *line = str_head(*rest, at);
    *rest = str_skip(*rest, at + 2);
    return str_find(*line, '\r') == STR_NONE && str_find(*line, '\n') == STR_NONE;
}

/* "HTTP/1.1 200 OK"; the reason may be empty, its blank not. */
static bool parse_status(struct str line, int *ret)
{
    uint64_t status;

    if (!str_starts(line, STR("HTTP/1.1 ")) && !str_starts(line, STR("HTTP/1.0 "))) {
        return false;
    }
    line = str_skip(line, 9);
    if (!str_to_u64(str_head(line, 3), &status) || status < 200 || status > 599 ||
        (line.len > 3 && line.ptr[3] != ' ')) {
        return false;
    }
    *ret = (int)status;
    return true;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (!byte_is_alnum(s.ptr[i]) && str_find(STR("!#$%&'*+-.^_`|~"), s.ptr[i]) == STR_NONE) {
            return false;
        }
    }
    return s.len > 0;
}

static bool is_field_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (((unsigned char)s.ptr[i] < 0x20 && s.ptr[i] != '\t') || s.ptr[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool take_field(struct str name, struct str value, struct reply_head *ret)
{
    uint64_t length;

    if (str_eq_nocase(name, STR("Content-Length"))) {
        if (!str_to_u64(value, &length) || ret->body == REPLY_CHUNKED ||
            (ret->body == REPLY_LENGTH && ret->length != length)) {
            return false;
        }
        ret->body = REPLY_LENGTH;
        ret->length = length;
    } else if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
        if (!str_eq_nocase(value, STR("chunked")) || ret->body != REPLY_UNTIL_CLOSE) {
            return false;
        }
        ret->body = REPLY_CHUNKED;
    } else if (str_eq_nocase(name, STR("Content-Encoding"))) {
        return str_eq_nocase(value, STR("identity"));
    } else if (str_eq_nocase(name, STR("Content-Type"))) {
        ret->type = value;
    }
    return true;
}

struct err reply_head_parse(struct str head, struct reply_head *ret)
{
    struct reply_head r = {.body = REPLY_UNTIL_CLOSE, .type = STR_EMPTY};
    struct str line, name;
    unsigned fields = 0;

    if (!cut_line(&head, &line) || !parse_status(line, &r.status)) {
        return err_of(ERR_PROTOCOL);
    }
    while (cut_line(&head, &line) && line.len > 0) {
        if (++fields > REPLY_FIELDS_MAX || !str_cut(&line, ':', &name) || !is_token(name) ||
            !is_field_text(line) || !take_field(name, str_trim(line), &r)) {
            return err_of(ERR_PROTOCOL);
        }
    }
    if (head.len > 0 || line.len > 0) {
        return err_of(ERR_PROTOCOL);
    }
    if (r.status == 204 || r.status == 304) {
        r.body = REPLY_NO_BODY;
    }
    *ret = r;
    return ERR_OK;
}
