#include "mime/part.h"

#include "mail/utf8.h"

struct str mime_text(struct take *t, const char *text)
{
    return text == NULL ? STR_EMPTY : arena_dup(t->a, utf8_clean(t->a, str_of(text)));
}

static void take_headers(struct take *t, GMimeObject *from, struct mime_part *ret)
{
    GMimeHeaderList *list = g_mime_object_get_header_list(from);
    int count = g_mime_header_list_get_count(list);

    t->headers += (uint32_t)count;
    if (count > MIME_PART_HEADERS_MAX || t->headers > MIME_HEADERS_MAX) {
        t->is_beyond = true;
        return;
    }
    ret->headers = arena_array(t->a, (size_t)count, sizeof(*ret->headers));
    for (int i = 0; i < count; i++) {
        GMimeHeader *header = g_mime_header_list_get_header_at(list, i);
        struct str value = mime_text(t, g_mime_header_get_raw_value(header));

        while (value.len > 0 && strchr("\r\n", value.ptr[value.len - 1]) != NULL) {
            value.len--;
        }
        ret->headers[ret->header_count++] = (struct mime_header){
            mime_text(t, g_mime_header_get_name(header)), value};
    }
}

static void take_words(struct take *t, struct str list, struct mime_texts *ret)
{
    struct str rest = list, word;
    uint32_t size = 1;

    for (size_t i = 0; i < list.len; i++) {
        size += list.ptr[i] == ',';
    }
    ret->items = arena_array(t->a, size, sizeof(*ret->items));
    while (rest.len > 0) {
        str_cut(&rest, ',', &word);
        word = str_trim_ws(word);
        if (word.len > 0) {
            ret->items[ret->count++] = word;
        }
    }
}

static void take_type(struct take *t, GMimeObject *from, struct mime_part *ret)
{
    GMimeContentType *type = g_mime_object_get_content_type(from);
    GMimeContentDisposition *disposition = g_mime_object_get_content_disposition(from);
    const char *name = g_mime_content_type_get_parameter(type, "name");
    char *whole = g_mime_content_type_get_mime_type(type);

    ret->type = mime_text(t, whole);
    g_free(whole);
    ret->charset = mime_text(t, g_mime_content_type_get_parameter(type, "charset"));
    ret->is_text = g_mime_content_type_is_type(type, "text", "*");
    if (disposition != NULL) {
        const char *file = g_mime_content_disposition_get_parameter(disposition, "filename");

        ret->disposition = mime_text(t, g_mime_content_disposition_get_disposition(disposition));
        name = file != NULL ? file : name;
    }
    ret->name = mime_text(t, name);
    ret->cid = mime_text(t, g_mime_object_get_content_id(from));
    ret->location = str_trim_ws(mime_text(t, g_mime_object_get_header(from, "Content-Location")));
    take_words(t, mime_text(t, g_mime_object_get_header(from, "Content-Language")), &ret->language);
}

/* What a stream of GMime's was given, as ours. */
static struct str take_bytes(struct take *t, GMimeStream *stream)
{
    GByteArray *bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));

    t->content_bytes += bytes->len;
    if (t->content_bytes > MIME_CONTENT_BYTES_MAX) {
        t->is_beyond = true;
        return STR_EMPTY;
    }
    return arena_dup(t->a, str_make((const char *)bytes->data, bytes->len));
}

/* The content in UTF-8: by the charset it says it has, or with what is wrong replaced. */
static void take_text(struct take *t, struct mime_part *ret)
{
    char charset[64];
    char *text = NULL;

    if (ret->charset.len > 0 && ret->charset.len < sizeof(charset) &&
        !str_eq_nocase(ret->charset, STR("utf-8")) &&
        !str_eq_nocase(ret->charset, STR("us-ascii"))) {
        iconv_t conv;

        memcpy(charset, ret->charset.ptr, ret->charset.len);
        charset[ret->charset.len] = '\0';
        conv = g_mime_iconv_open("UTF-8", charset);
        if (conv != (iconv_t)-1) {
            text = g_mime_iconv_strndup(conv, ret->content.ptr, ret->content.len);
            g_mime_iconv_close(conv);
        }
        ret->has_problem = text == NULL;
    }
    if (text != NULL) {
        ret->text = mime_text(t, text);
        g_free(text);
    } else {
        ret->has_problem = ret->has_problem || !str_is_utf8(ret->content);
        ret->text = utf8_clean(t->a, ret->content);
    }
    t->content_bytes += ret->text.ptr == ret->content.ptr ? 0 : ret->text.len;
}

static void take_leaf(struct take *t, GMimeObject *from, struct mime_part *ret)
{
    GMimeStream *stream = g_mime_stream_mem_new();

    ret->id = arena_printf(t->a, "%u", ++t->leaves);
    if (GMIME_IS_PART(from)) {
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(from));

        if (content != NULL) {
            g_mime_data_wrapper_write_to_stream(content, stream);
        }
    } else if (GMIME_IS_MESSAGE_PART(from)) {
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(from));

        if (inner != NULL) {
            g_mime_object_write_to_stream(GMIME_OBJECT(inner), NULL, stream);
        }
    }
    ret->content = take_bytes(t, stream);
    g_object_unref(stream);
    if (ret->is_text) {
        take_text(t, ret);
    }
}

void mime_take_part(struct take *t, GMimeObject *from, struct mime_part *ret)
{
    if (t->is_beyond || t->depth == MIME_DEPTH_MAX) {
        t->is_beyond = true;
        return;
    }
    t->depth++;
    take_headers(t, from, ret);
    if (t->is_beyond) {
        return;
    }
    take_type(t, from, ret);
    if (GMIME_IS_MULTIPART(from)) {
        int count = g_mime_multipart_get_count(GMIME_MULTIPART(from));

        ret->parts = arena_array(t->a, (size_t)count, sizeof(*ret->parts));
        for (int i = 0; i < count; i++) {
            mime_take_part(t, g_mime_multipart_get_part(GMIME_MULTIPART(from), i),
                           &ret->parts[ret->part_count++]);
        }
    } else {
        take_leaf(t, from, ret);
    }
    t->depth--;
}
