#include "scene.h"

static void accepts(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, OPENED "C: From: a@b.example\nC: Date: today\nC: Message-ID: <1@b.example>\nC: \n"
                   "C: hello\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n");
    EXPECT_STR(content_after_trace(), "From: a@b.example\r\nDate: today\r\n"
                                      "Message-ID: <1@b.example>\r\n\r\nhello\r\n");
    assert_true(str_find_str(buf_str(&fake.content), STR("for <x@y.example>")) != STR_NONE);
    assert_int_equal(fake.last->message.header_bytes, fake.content.len - 7);
    assert_int_equal(fake.last->message.body, BODY_7BIT);
    assert_true(fake.last->message.is_trusted);
    EXPECT_STR(fake.last->message.sender, "a@b.example");
    EXPECT_STR(fake.last->message.client_ip, "127.0.0.1");
    EXPECT_STR(fake.last->message.listener, "test");

    /* Again in the same session, with two recipients, one of them named twice. */
    talk(s, "C: MAIL FROM:<> RET=HDRS ENVID=x+20y SMTPUTF8\nS: 250 2.1.0 Sender ok\n"
            "C: RCPT TO:<x@y.example> NOTIFY=NEVER ORCPT=rfc822;z@y.example\n"
            "S: 250 2.1.5 Recipient ok\n" RCPT_OK
            "C: RCPT TO:<\xc3\xbc@y.example>\nS: 250 2.1.5 Recipient ok\n" GO
            "C: Subject: gr\xc3\xbc\xc3\x9f\nC: \nC: .\n"
            "S: 250 2.0.0 Ok: queued as 0000000000000002\n" QUIT);
    hear_end(s);
    assert_true(str_find_str(buf_str(&fake.content), STR("for <")) == STR_NONE);
    const struct message *m = &fake.last->message;

    assert_int_equal(m->to_count, 2);
    EXPECT_STR(m->to[0].address, "x@y.example");
    EXPECT_STR(m->to[0].orcpt, "rfc822;z@y.example");
    assert_int_equal(m->to[0].notify, NOTIFY_NEVER);
    EXPECT_STR(m->to[1].address, "\xc3\xbc@y.example");
    EXPECT_STR(m->envid, "x y");
    assert_int_equal(m->ret, RET_HDRS);
    assert_true(m->utf8_headers && m->smtputf8);
    assert_int_equal(m->body, BODY_8BIT);
    /* A submission got its Date and Message-ID, before its own bytes. */
    assert_true(str_starts(content_after_trace(), STR("Date: ")));
    assert_true(str_ends(content_after_trace(), STR(">\r\nSubject: gr\xc3\xbc\xc3\x9f\r\n\r\n")));
    assert_true(str_find_str(content_after_trace(), STR("\r\nMessage-ID: <")) != STR_NONE);
    assert_int_equal(m->header_bytes, m->size);
}

static void a_message_becomes_a_parcel(void **state)
{
    play("", accepts);
    (void)state;
}

static void send_large(struct scene *scene, size_t lines)
{
    struct stream *s = client(scene);
    struct buf text BUF_LOCAL = {0};
    size_t added = 0;

    talk(s, OPENED);
    buf_put(&text, STR("Subject: large\r\n\r\n"));
    for (size_t i = 0; i < lines; i++) {
        buf_printf(&text, "line %zu\r\n", i);
    }
    put(s, buf_str(&text));
    talk(s, "C: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    added = content_after_trace().len - text.len;
    assert_true(str_eq(str_skip(content_after_trace(), added), buf_str(&text)));
    assert_true(str_starts(content_after_trace(), STR("Date: ")));
    assert_true(fake.last->head.len <= PARCEL_HEAD_MAX);
    assert_true(parcel_is_whole(fake.last) || fake.content.len > 48000);
    assert_true(!parcel_is_whole(fake.last) || fake.content.len <= PARCEL_HEAD_MAX);
}

static void sends_sizes(struct scene *scene)
{
    static const size_t lines[] = {100, 3000, 4200, 4700, 5000, 5400, 6200, 7000, 100000};

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        fake.ids = 0;
        send_large(scene, lines[i]);
    }
    assert_int_equal(fake.abandoned, 0);
}

static void what_is_large_goes_to_the_store_in_pieces(void **state)
{
    play("", sends_sizes);
    (void)state;
}

static void relays(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@y.example>\nS: 550 5.7.1 Relaying denied\n"
                            "C: RCPT TO:<x@sub.example.org>\nS: 550 5.7.1 Relaying denied\n"
                            "C: RCPT TO:<ann@Example.ORG>\nS: 250 2.1.5 Recipient ok\n"
                            "C: RCPT TO:<postmaster>\nS: 250 2.1.5 Recipient ok\n"
                            "C: RCPT TO:<x@[127.0.0.1]>\nS: 550 5.7.1 Relaying denied\n" GO
                            "C: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" QUIT);
    hear_end(s);
    assert_int_equal(fake.last->message.to_count, 2);
    EXPECT_STR(fake.last->message.to[0].address, "ann@example.org");
    EXPECT_STR(fake.last->message.to[1].address, "admin@example.org");
    assert_false(fake.last->message.is_trusted);
    /* Nothing is added for strangers (P12). */
    EXPECT_STR(content_after_trace(), "x\r\n");
}

static void strangers_send_to_local_domains_only(void **state)
{
    play("  local-domains: [example.org]\n  postmaster: admin@example.org\n"
         "  trusted-networks: [192.0.2.0/24]\n",
         relays);
    (void)state;
}

static void refuses(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, GREETED MAIL_OK "C: RCPT TO:<x@[127.0.0.1]>\n"
                            "S: 550 5.1.2 Mail to address literals is not relayed\n" RCPT_OK GO);
    for (unsigned i = 0; i < 11; i++) {
        put(s, STR("received: somewhere\r\n"));
    }
    talk(s, "C: .\nS: 554 5.4.6 Mail loop: too many Received fields\n" MAIL_OK RCPT_OK GO);
    for (unsigned i = 0; i < 10; i++) {
        put(s, STR("Received: somewhere\r\n"));
    }
    talk(s, "C: \nC: Received: not a field\nC: .\nS: 250 2.0.0 Ok: queued as "
            "0000000000000002\n" MAIL_OK RCPT_OK GO);
    for (unsigned i = 0; i < 100; i++) {
        put(s, STR("X-Long: 0123456789\r\n"));
    }
    talk(s, "C: .\nS: 552 5.3.4 The header section is too large\n"
            "C: MAIL FROM:<a@b.example> BODY=BINARYMIME\nS: 250 2.1.0 Sender ok\n" RCPT_OK
            "C: BDAT 8 LAST\n");
    put(s, STR("A: b\nc\r\n"));
    talk(s, "S: 550 5.6.0 The message has a bare CR, a bare LF or a NUL\n");

    fake.room = STORE_LOW;
    talk(s, "C: MAIL FROM:<a@b.example>\n"
            "S: 452 4.3.1 Not enough room on disk, try again later\n");
    fake.room = STORE_ROOM;
    fake.room_bytes = 1000;
    talk(s, "C: MAIL FROM:<a@b.example> SIZE=1001\n"
            "S: 452 4.3.1 Not enough room on disk, try again later\n"
            "C: MAIL FROM:<a@b.example> SIZE=1000\nS: 250 2.1.0 Sender ok\n");
    for (unsigned i = 0; i < 100; i++) {
        char line[64];

        (void)snprintf(line, sizeof line, "C: RCPT TO:<x%u@y.example>\n", i);
        talk(s, line);
        talk(s, "S: 250 2.1.5 Recipient ok\n");
    }
    fake.accept_fails = err_of(ERR_DISK);
    talk(s, "C: RCPT TO:<x@y.example>\nS: 452 4.5.3 Too many recipients\n" GO
            "C: x\nC: .\nS: 451 4.3.0 The message could not be stored, try again later\n" MAIL_OK
                RCPT_OK GO);
    fake.accept_fails = err_of(ERR_FULL);
    talk(s, "C: x\nC: .\nS: 452 4.3.1 Not enough room on disk, try again later\n" QUIT);
    hear_end(s);
}

/* 451 4.3.0, since a disk that fails is no mistake of the configuration (4.3.5). */
static void what_cannot_be_taken_is_refused(void **state)
{
    play("  limits: { received-fields: 10, recipients: 100, header-size: 1024B }\n", refuses);
    (void)state;
}

static void put_fields(struct stream *s, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        put(s, STR("a:\r\n"));
    }
}

static void counts_fields(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, OPENED);
    put_fields(s, INTAKE_FIELDS_MAX);
    talk(s, "C: \nC: x\nC: .\nS: 250 2.0.0 Ok: queued as 0000000000000001\n" MAIL_OK RCPT_OK GO);
    put_fields(s, INTAKE_FIELDS_MAX + 1);
    talk(s, "C: \nC: x\nC: .\nS: 552 5.3.4 The header section has too many fields\n" MAIL_OK RCPT_OK
                GO);
    put_fields(s, INTAKE_FIELDS_MAX * 2); /* refused before it ends */
    talk(s, "C: .\nS: 552 5.3.4 The header section has too many fields\n" QUIT);
    hear_end(s);
}

static void a_header_section_has_so_many_fields_and_no_more(void **state)
{
    play("", counts_fields);
    (void)state;
}

/* What the log says of a refused RCPT is that command's, not what an earlier one left behind. */
static void asks_badly(struct scene *scene)
{
    struct stream *s = client(scene);

    talk(s, GREETED MAIL_OK RCPT_OK "C: RCPT TO:<nonsense\n"
                                    "S: 501 5.1.3 This is not an address in angle brackets\n" QUIT);
    hear_end(s);
}

static void a_recipient_without_a_path_is_refused_after_a_good_one(void **state)
{
    play("", asks_badly);
    (void)state;
}

static void fails_in_the_middle(struct scene *scene)
{
    struct stream *s = client(scene);

    fake.add_fails = err_of(ERR_DISK);
    talk(s, OPENED);
    for (unsigned i = 0; i < 20000; i++) {
        put(s, STR("0123456789\r\n"));
    }
    talk(s, "C: .\nS: 451 4.3.0 The message could not be stored, try again later\n" MAIL_OK);
    assert_int_equal(fake.abandoned, 1);
    /* And a client that goes away in the middle of a large message. */
    fake.add_fails = ERR_OK;
    talk(s, RCPT_OK GO);
    for (unsigned i = 0; i < 20000; i++) {
        put(s, STR("0123456789\r\n"));
    }
    assert_int_equal(stream_flush(s, when_after(10000)).code, OK);
    stream_close(s);
    while (inbound_sessions(scene->in) > 0) {
        assert_int_equal(signal_wait(&scene->in->came_home, "end", when_after(10000)).code, OK);
    }
    assert_int_equal(fake.abandoned, 2);
    assert_int_equal(fake.accepted, 0);
}

static void a_body_that_comes_to_nothing_is_abandoned(void **state)
{
    play("", fails_in_the_middle);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_becomes_a_parcel),
        cmocka_unit_test(what_is_large_goes_to_the_store_in_pieces),
        cmocka_unit_test(strangers_send_to_local_domains_only),
        cmocka_unit_test(what_cannot_be_taken_is_refused),
        cmocka_unit_test(a_header_section_has_so_many_fields_and_no_more),
        cmocka_unit_test(a_recipient_without_a_path_is_refused_after_a_good_one),
        cmocka_unit_test(a_body_that_comes_to_nothing_is_abandoned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
