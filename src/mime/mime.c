#include "mime/mime.h"

#include "mime/part.h"
#include "runtime/fiber.h"

/* GMime reads whole, with the depth the message has: what can begin a part is counted before. */
static bool has_too_many_parts(struct str message)
{
    static const struct str word = STR_INIT("content-type");
    uint32_t count = 0;

    for (size_t at = 0; at + word.len <= message.len; at++) {
        const char *colon = message.ptr + at;

        if ((*colon == 'c' || *colon == 'C') && bytes_eq_nocase(colon, word.ptr, word.len)) {
            at += word.len - 1;
            if (++count > MIME_PARTS_MAX) {
                return true;
            }
        }
    }
    return false;
}

static void take_ids(struct take *t, GMimeMessage *m, const char *field, struct mime_texts *ret)
{
    const char *value = g_mime_object_get_header(GMIME_OBJECT(m), field);
    GMimeReferences *list = value != NULL ? g_mime_references_parse(NULL, value) : NULL;
    int count = list != NULL ? g_mime_references_length(list) : 0;

    ret->items = arena_array(t->a, (size_t)count, sizeof(*ret->items));
    for (int i = 0; i < count; i++) {
        ret->items[ret->count++] = mime_text(t, g_mime_references_get_message_id(list, i));
    }
    if (list != NULL) {
        g_mime_references_free(list);
    }
}

/* Groups are shown as their members. */
static uint32_t count_addresses(InternetAddressList *list)
{
    uint32_t count = 0;

    for (int i = 0; list != NULL && i < internet_address_list_length(list); i++) {
        InternetAddress *one = internet_address_list_get_address(list, i);

        count += INTERNET_ADDRESS_IS_GROUP(one)
                     ? count_addresses(
                           internet_address_group_get_members(INTERNET_ADDRESS_GROUP(one)))
                     : 1;
    }
    return count;
}

static void put_addresses(struct take *t, InternetAddressList *list, struct mime_addresses *ret)
{
    for (int i = 0; list != NULL && i < internet_address_list_length(list); i++) {
        InternetAddress *one = internet_address_list_get_address(list, i);

        if (INTERNET_ADDRESS_IS_GROUP(one)) {
            put_addresses(t, internet_address_group_get_members(INTERNET_ADDRESS_GROUP(one)), ret);
        } else {
            ret->items[ret->count++] = (struct mime_address){
                mime_text(t, internet_address_get_name(one)),
                mime_text(t, internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(one)))};
        }
    }
}

static void take_addresses(struct take *t, InternetAddressList *list, struct mime_addresses *ret)
{
    ret->items = arena_array(t->a, count_addresses(list), sizeof(*ret->items));
    put_addresses(t, list, ret);
}

static void take_message(struct take *t, GMimeMessage *m, struct mime_message *ret)
{
    GDateTime *date = g_mime_message_get_date(m);
    const char *subject = g_mime_message_get_subject(m);
    const char *id = g_mime_message_get_message_id(m);

    if (id != NULL) {
        ret->message_id = (struct mime_texts){ARENA_NEW(t->a, struct str), 1};
        ret->message_id.items[0] = mime_text(t, id);
    }
    take_ids(t, m, "In-Reply-To", &ret->in_reply_to);
    take_ids(t, m, "References", &ret->references);
    ret->has_subject = subject != NULL;
    ret->subject = mime_text(t, subject);
    if (date != NULL) {
        char *text = g_date_time_format(date, "%Y-%m-%dT%H:%M:%S%:z");

        ret->sent_at = mime_text(t, text);
        g_free(text);
    }
    take_addresses(t, g_mime_message_get_sender(m), &ret->sender);
    take_addresses(t, g_mime_message_get_from(m), &ret->from);
    take_addresses(t, g_mime_message_get_to(m), &ret->to);
    take_addresses(t, g_mime_message_get_cc(m), &ret->cc);
    take_addresses(t, g_mime_message_get_bcc(m), &ret->bcc);
    take_addresses(t, g_mime_message_get_reply_to(m), &ret->reply_to);
    if (g_mime_message_get_mime_part(m) != NULL) {
        mime_take_part(t, g_mime_message_get_mime_part(m), &ret->root);
    }
}

struct job {
    struct str message;
    struct take take;
    struct mime_message *ret;
};

static void parse(void *arg)
{
    struct job *job = arg;
    GMimeStream *stream;
    GMimeParser *parser;
    GMimeMessage *m;

    stream = g_mime_stream_mem_new_with_buffer(job->message.ptr, job->message.len);
    parser = g_mime_parser_new_with_stream(stream);
    g_mime_parser_set_persist_stream(parser, TRUE);
    m = g_mime_parser_construct_message(parser, NULL);
    if (m != NULL) {
        take_message(&job->take, m, job->ret);
        g_object_unref(m);
    }
    g_object_unref(parser);
    g_object_unref(stream);
}

struct err mime_parse(struct str message, struct arena *a, struct mime_message *ret)
{
    static gsize is_ready;
    struct job job = {.message = message, .take = {.a = a}, .ret = ret};

    *ret = (struct mime_message){0};
    if (message.len > MIME_BYTES_MAX || has_too_many_parts(message)) {
        return err_of(ERR_LIMIT);
    }
    if (g_once_init_enter(&is_ready)) {
        g_mime_init();
        g_once_init_leave(&is_ready, 1);
    }
    on_big_stack(parse, &job);
    return job.take.is_beyond ? err_of(ERR_LIMIT) : ERR_OK;
}
