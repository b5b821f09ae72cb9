#include "drivers/virt/vtext.h"

#include "core/lib/string.h"
#include "drivers/virt/isa.h"

#define QUIET_NS 50000000ull  /* without a change: the guest has said what it had to say */
#define LATE_NS  500000000ull /* at the latest */

#define PORT_INDEX  0
#define PORT_DATA   1
#define PORT_STATUS 6

#define CRTC_START_HIGH 0x0c /* of the screen, in cells */
#define CRTC_START_LOW  0x0d
#define STATUS_BLANK    BIT(0) /* between lines, between pictures */
#define STATUS_RETRACE  BIT(3)

/* -- from cells to lines ---------------------------------------------------------------------------------------- */

typedef uint8_t vtext_row[VTEXT_COLUMNS];

static uint8_t printable(uint8_t c)
{
    if (c == 0 || c == 0xff)
        return ' ';
    return c >= 0x20 && c < 0x7f ? c : '.';
}

static void screen_read(const struct vtext *t, vtext_row rows[VTEXT_ROWS])
{
    uint32_t start = (uint32_t)t->crtc[CRTC_START_HIGH] << 8 | t->crtc[CRTC_START_LOW];

    for (uint32_t i = 0; i < VTEXT_ROWS * VTEXT_COLUMNS; i++)
        rows[i / VTEXT_COLUMNS][i % VTEXT_COLUMNS] = printable(t->cells[(start + i) * 2 % VTEXT_SIZE]);
}

static uint32_t row_len(const vtext_row row)
{
    uint32_t len = VTEXT_COLUMNS;

    while (len && row[len - 1] == ' ')
        len--;
    return len;
}

static bool row_moved(const vtext_row old[VTEXT_ROWS], const vtext_row new[VTEXT_ROWS], uint32_t row,
                      uint32_t by)
{
    return row + by < VTEXT_ROWS && row_len(new[row]) && memcmp(new[row], old[row + by], VTEXT_COLUMNS) == 0;
}

/* By how many rows the screen has moved up: the number that explains most of the rows. */
static uint32_t scrolled(const vtext_row old[VTEXT_ROWS], const vtext_row new[VTEXT_ROWS])
{
    uint32_t best = 0, most = 0;

    for (uint32_t by = 0; by < VTEXT_ROWS; by++) {
        uint32_t same = 0;

        for (uint32_t row = 0; row < VTEXT_ROWS; row++)
            same += row_moved(old, new, row, by);
        if (same > most) {
            most = same;
            best = by;
        }
    }
    return best;
}

static void row_show(struct vtext *t, const vtext_row row)
{
    uint32_t len = row_len(row);

    for (uint32_t i = 0; i < len; i++)
        t->sink(t->ctx, row[i]);
    t->sink(t->ctx, '\r');
    t->sink(t->ctx, '\n');
}

void vtext_flush(struct vtext *t)
{
    vtext_row rows[VTEXT_ROWS];
    uint32_t by;

    if (!t->changed)
        return;
    t->changed = false;
    timer_disarm(&t->timer);
    screen_read(t, rows);
    by = scrolled(t->shown, rows);
    for (uint32_t row = 0; row < VTEXT_ROWS; row++)
        if (row_len(rows[row]) && !row_moved(t->shown, rows, row, by))
            row_show(t, rows[row]);
    memcpy(t->shown, rows, sizeof(rows));
}

/* -- what the guest does ---------------------------------------------------------------------------------------- */

static void on_timer(struct timer *timer, uint64_t now)
{
    struct vtext *t = CONTAINER_OF(timer, struct vtext, timer);

    if (t->waits && now < t->first_change + LATE_NS)
        timer_arm(timer, MIN(now + QUIET_NS, t->first_change + LATE_NS));
    else
        vtext_flush(t);
}

static void note_change(struct vtext *t, uint64_t now)
{
    if (!t->changed)
        t->first_change = now;
    t->changed = true;
    timer_arm(&t->timer, MIN(now + QUIET_NS, t->first_change + LATE_NS));
}

enum bus_result vtext_mmio(void *dev, struct bus_access *access)
{
    struct vtext *t = dev;

    if (access->size > VTEXT_SIZE - access->addr)
        return BUS_UNCLAIMED;
    if (!access->write) {
        access->value = 0;
        memcpy(&access->value, t->cells + access->addr, access->size);
        return BUS_OK;
    }
    memcpy(t->cells + access->addr, &access->value, access->size);
    note_change(t, access->now);
    return BUS_OK;
}

static void crtc_write(struct vtext *t, const struct bus_access *access)
{
    uint8_t index = t->crtc_index % VTEXT_CRTC;

    t->crtc[index] = (uint8_t)access->value;
    if (index == CRTC_START_HIGH || index == CRTC_START_LOW)
        note_change(t, access->now);
}

enum bus_result vtext_ports(void *dev, struct bus_access *access)
{
    struct vtext *t = dev;

    if (access->size != 1)
        return isa_split(vtext_ports, dev, access);
    switch (access->addr) {
    case PORT_INDEX:
        if (access->write)
            t->crtc_index = (uint8_t)access->value;
        else
            access->value = t->crtc_index;
        return BUS_OK;
    case PORT_DATA:
        if (access->write)
            crtc_write(t, access);
        else
            access->value = t->crtc[t->crtc_index % VTEXT_CRTC];
        return BUS_OK;
    case PORT_STATUS:
        /* Whoever waits for a retrace, or for its end, sees it soon. */
        t->status ^= STATUS_BLANK | STATUS_RETRACE;
        access->value = t->status;
        return BUS_OK;
    default:
        return BUS_UNCLAIMED;
    }
}

/* As a BIOS leaves it in mode 3: an empty screen. */
void vtext_reset(struct vtext *t)
{
    for (uint32_t i = 0; i < VTEXT_SIZE; i += 2) {
        t->cells[i] = ' ';
        t->cells[i + 1] = 0x07;
    }
    memset(t->shown, ' ', sizeof(t->shown));
    memset(t->crtc, 0, sizeof(t->crtc));
    t->crtc_index = t->status = 0;
    t->changed = false;
    timer_disarm(&t->timer);
}

void vtext_init(struct vtext *t, struct timer_queue *timers, void (*sink)(void *ctx, uint8_t byte), void *ctx)
{
    memset(t, 0, sizeof(*t));
    t->sink = sink;
    t->ctx = ctx;
    timer_init(&t->timer, timers, on_timer);
    vtext_reset(t);
}
