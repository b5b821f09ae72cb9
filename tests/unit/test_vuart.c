#include "drivers/virt/vuart.h"

#include <string.h>

#include "tests/unit/device.h"

static struct vuart uart;
static struct wire irq;
static uint8_t sent[64];
static uint32_t sent_count;

static void tx(void *ctx, uint8_t byte)
{
    assert_ptr_equal(ctx, &uart);
    sent[sent_count++ % sizeof(sent)] = byte;
}

static int start(void **state)
{
    (void)state;
    bench_start(5 * MS);
    sent_count = 0;
    vuart_init(&uart, &(struct vuart_config){
                          .pin = wire_pin(&irq), .timers = &bench_timers, .tx = tx, .ctx = &uart});
    return 0;
}

static uint8_t in(uint32_t port)
{
    return (uint8_t)bench_read(vuart_ports, &uart, port, 1);
}

static void out(uint32_t port, uint8_t value)
{
    bench_write(vuart_ports, &uart, port, 1, value);
}

static void receive(const char *text)
{
    size_t len = strlen(text);

    assert_int_equal(vuart_receive(&uart, (const uint8_t *)text, len, bench_now), len);
}

/* What Linux' autoconfig() and autoconfig_16550a() look at. */
static void test_linux_finds_16550a(void **state)
{
    uint8_t status;

    (void)state;
    out(1, 0);
    assert_int_equal(in(1), 0);
    out(1, 0xff);
    assert_int_equal(in(1), 0x0f);
    out(1, 0);
    out(4, 0x1a);
    assert_int_equal(in(6) & 0xf0, 0x90);
    out(4, 0);
    out(2, 1);
    assert_int_equal(in(2) & 0xc0, 0xc0);
    out(3, 0x80);
    assert_int_not_equal(in(2), 0); /* no EFR */
    out(3, 0xbf);
    assert_int_not_equal(in(2), 0);
    out(3, 0);
    out(4, 0x10);
    out(3, 0xe0);
    assert_int_equal(in(2) & 0x10, 0); /* no National SuperIO */
    out(3, 0);
    out(2, 0x21);
    assert_int_equal(in(2) & 0x20, 0); /* no 64-byte FIFO */
    out(1, 0x40);
    assert_int_equal(in(1), 0); /* no XScale */
    /* THRE comes back when it is enabled again: no UPF_BUG_THRE. */
    out(4, 8);
    out(1, 2);
    status = in(2);
    assert_int_equal(status & 0x0f, 2);
    out(1, 0);
    out(1, 2);
    assert_int_equal(in(2) & 0x0f, 2);
    assert_int_equal(in(2) & 0x0f, 1);
}

static void test_registers(void **state)
{
    (void)state;
    assert_int_equal(in(5), 0x60);
    assert_int_equal(in(6), 0xb0);
    assert_int_equal(in(2), 1);
    out(7, 0x5a);
    assert_int_equal(in(7), 0x5a);
    out(3, 0x83);
    out(0, 0x34);
    out(1, 0x12);
    assert_int_equal(in(0), 0x34);
    assert_int_equal(in(1), 0x12);
    out(3, 0x03);
    assert_int_equal(in(1), 0);
    assert_int_equal(in(3), 3);
    out(4, 0xff);
    assert_int_equal(in(4), 0x1f);
    /* A word is two byte cycles. */
    out(4, 0);
    bench_write(vuart_ports, &uart, 6, 2, 0x7700);
    assert_int_equal(bench_read(vuart_ports, &uart, 6, 2) >> 8, 0x77);
}

static void test_transmit(void **state)
{
    (void)state;
    out(4, 8);
    out(0, 'a');
    assert_int_equal(sent_count, 1);
    assert_int_equal(sent[0], 'a');
    assert_false(irq.level);
    out(1, 2);
    assert_true(irq.level);
    assert_int_equal(in(2), 2);
    assert_false(irq.level);
    out(0, 'b');
    assert_true(irq.level);
    /* Writing without reading IIR makes a new edge for each byte. */
    out(0, 'c');
    assert_int_equal(irq.rises, 3);
    out(1, 0);
    assert_false(irq.level);
}

static void test_out2_is_the_gate(void **state)
{
    (void)state;
    out(1, 2);
    assert_false(irq.level);
    out(4, 8);
    assert_true(irq.level);
    out(4, 0x18);
    assert_false(irq.level);
    out(4, 8);
    assert_true(irq.level);
}

static void test_receive_trigger_and_timeout(void **state)
{
    (void)state;
    out(4, 8);
    out(1, 1);
    out(2, 0x81); /* trigger level 8 */
    receive("1234567");
    assert_false(irq.level);
    assert_int_equal(in(5) & 1, 1);
    bench_wait(300 * US); /* four characters at 115200 are 347 us */
    assert_false(irq.level);
    bench_wait(50 * US);
    assert_true(irq.level);
    assert_int_equal(in(2), 0xcc);
    assert_int_equal(in(0), '1');
    assert_false(irq.level);
    bench_wait(1 * MS);
    assert_true(irq.level);
    receive("89");
    assert_int_equal(in(2), 0xc4);
    assert_int_equal(in(0), '2');
    assert_false(irq.level);
    for (char c = '3'; c <= '9'; c++)
        assert_int_equal(in(0), c);
    assert_int_equal(in(5) & 1, 0);
    assert_int_equal(in(0), 0);
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
}

static void test_no_timer_when_polled(void **state)
{
    (void)state;
    out(2, 0xc1);
    receive("x");
    assert_true(timer_queue_next(&bench_timers) == TIMER_NEVER);
    out(1, 1);
    assert_true(timer_queue_next(&bench_timers) != TIMER_NEVER);
}

static void test_without_fifo(void **state)
{
    (void)state;
    out(4, 8);
    out(1, 1);
    receive("ab");
    assert_true(irq.level);
    assert_int_equal(in(2), 4);
    assert_int_equal(in(0), 'a');
    assert_true(irq.level);
    assert_int_equal(in(0), 'b');
    assert_false(irq.level);
}

static void test_nothing_is_lost(void **state)
{
    uint8_t bytes[VUART_RING + 100];
    size_t taken;

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    out(2, 1);
    taken = vuart_receive(&uart, bytes, sizeof(bytes), bench_now);
    assert_int_equal(taken, VUART_RING);
    assert_int_equal(vuart_room(&uart), VUART_FIFO); /* that much went on into the FIFO */
    for (size_t i = 0; i < taken; i++)
        assert_int_equal(in(0), (uint8_t)(i * 7));
    assert_int_equal(in(5) & 1, 0);
    assert_int_equal(vuart_room(&uart), VUART_RING);
}

static void test_loopback(void **state)
{
    (void)state;
    in(6);
    out(2, 1);
    out(4, 0x1f);
    assert_int_equal(in(6), 0xf0); /* no line changed but RI, which rose */
    out(4, 0x10);
    assert_int_equal(in(6), 0x0f); /* all fell */
    assert_int_equal(in(6), 0);
    receive("wire");
    assert_int_equal(in(5) & 1, 0);
    out(0, 'q');
    assert_int_equal(sent_count, 0);
    assert_int_equal(in(5), 0x61);
    assert_int_equal(in(0), 'q');
    for (int i = 0; i < 17; i++)
        out(0, (uint8_t)i);
    assert_int_equal(in(5), 0x63); /* overrun, once */
    assert_int_equal(in(5), 0x61);
    for (int i = 0; i < 16; i++)
        assert_int_equal(in(0), i);
    out(4, 0);
    assert_int_equal(in(0), 'w');
}

static void test_priorities(void **state)
{
    (void)state;
    out(2, 1);
    out(4, 0x10);
    out(1, 0x0f);
    for (int i = 0; i < 17; i++)
        out(0, (uint8_t)i);
    assert_int_equal(in(2), 0xc6);
    in(5);
    assert_int_equal(in(2), 0xc4);
    out(2, 3);
    assert_int_equal(in(2), 0xc2);
    assert_int_equal(in(2), 0xc0);
    in(6);
    assert_int_equal(in(2), 0xc1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_linux_finds_16550a, start),
        cmocka_unit_test_setup(test_registers, start),
        cmocka_unit_test_setup(test_transmit, start),
        cmocka_unit_test_setup(test_out2_is_the_gate, start),
        cmocka_unit_test_setup(test_receive_trigger_and_timeout, start),
        cmocka_unit_test_setup(test_no_timer_when_polled, start),
        cmocka_unit_test_setup(test_without_fifo, start),
        cmocka_unit_test_setup(test_nothing_is_lost, start),
        cmocka_unit_test_setup(test_loopback, start),
        cmocka_unit_test_setup(test_priorities, start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
