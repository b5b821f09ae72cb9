#include "drivers/virt/virtio_balloon.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

/* Without it, a driver might use a page before there is memory behind it again. */
#define F_MUST_TELL_HOST BIT(0)
#define F_REPORTING      BIT(5)

/*
 * 5.5.2 gives the reporting queue the number 4. Linux leaves no gap for the two before it, which need features that aren't offered,
 * and takes the number 2: what is behind the first two is a reporting queue.
 */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUES = 5 };

#define CONFIG_TARGET 0
#define CONFIG_ACTUAL 4 /* the driver's to write */
#define CONFIG_LENGTH 8

#define ENTRY       4    /* a page's number */
#define ENTRIES_MAX 4096 /* of one buffer; drivers have 256 */
#define BATCH       4    /* buffers in one go, before others get their turn */
#define RETRY_NS    1000000
#define REPORT_NS   100000 /* until a report is looked at again */

static struct virtio_balloon *balloon_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_balloon, v);
}

/* False: the driver breaks the rules. */
static bool buffer_good(struct virtio_balloon *b)
{
    const struct vring_chain *chain = b->v.host.chain;

    if (chain->readable == chain->count && chain->readable_bytes <= ENTRY * ENTRIES_MAX)
        return true;
    virtio_break(&b->v);
    return false;
}

static void buffer_inflate(struct virtio_balloon *b)
{
    struct vring_cursor from = vring_readable(b->v.host.chain);
    uint8_t entry[ENTRY];

    for (; vring_read(&from, entry, ENTRY); b->inflated++)
        b->config.give(b->config.ctx, get_le32(entry));
}

static void balloon_inflate(struct virtio_balloon *b)
{
    uint32_t done = 0;

    for (; done < BATCH && virtio_take(&b->v, QUEUE_INFLATE) && buffer_good(b); done++) {
        buffer_inflate(b);
        virtio_give(&b->v, QUEUE_INFLATE, 0);
    }
    virtio_signal(&b->v, QUEUE_INFLATE);
    if (done == BATCH)
        virtio_defer(&b->v, QUEUE_INFLATE);
    b->config.settle(b->config.ctx);
}

/* True: all of them are there. */
static bool buffer_deflate(struct virtio_balloon *b)
{
    struct vring_cursor from = vring_readable(b->v.host.chain);
    uint8_t entry[ENTRY];
    bool here = true;

    while (vring_read(&from, entry, ENTRY))
        here &= b->config.take(b->config.ctx, get_le32(entry));
    return here;
}

/* A buffer is given back when there is memory behind all its pages; until then it stays the next one. */
static void balloon_deflate(struct virtio_balloon *b)
{
    uint32_t done = 0;
    bool here = true;

    for (; here && done < BATCH && virtio_take(&b->v, QUEUE_DEFLATE) && buffer_good(b); done++) {
        here = buffer_deflate(b);
        if (here) {
            b->deflated += b->v.host.chain->readable_bytes / ENTRY;
            virtio_give(&b->v, QUEUE_DEFLATE, 0);
        } else {
            virtio_untake(&b->v, QUEUE_DEFLATE);
        }
    }
    virtio_signal(&b->v, QUEUE_DEFLATE);
    if (!here)
        virtio_defer_until(&b->v, QUEUE_DEFLATE, b->v.now + RETRY_NS);
    else if (done == BATCH)
        virtio_defer(&b->v, QUEUE_DEFLATE);
    b->config.settle(b->config.ctx);
}

/* The parts of a buffer are the free memory. False: the driver breaks the rules (5.5.6.7: the device may write to all of it). */
static bool buffer_report(struct virtio_balloon *b)
{
    const struct vring_chain *chain = b->v.host.chain;

    if (chain->readable) {
        virtio_break(&b->v);
        return false;
    }
    for (uint32_t i = 0; i < chain->count; i++)
        b->config.report(b->config.ctx, (gpa_t)(chain->parts[i].bytes - b->v.host.mem->window),
                         chain->parts[i].len);
    return true;
}

/*
 * The driver may use the memory again as soon as it has its buffer back: what is to go is gone then, and until then the buffer stays
 * the next one.
 */
static void balloon_report(struct virtio_balloon *b, uint32_t queue)
{
    uint32_t done = 0;
    bool busy;

    while (!(busy = b->config.busy(b->config.ctx)) && done < BATCH && virtio_take(&b->v, queue)) {
        if (b->reported) {
            virtio_give(&b->v, queue, 0);
            done++;
        } else if (!buffer_report(b)) {
            return;
        } else {
            virtio_untake(&b->v, queue);
        }
        b->reported = !b->reported;
    }
    virtio_signal(&b->v, queue);
    if (busy || done == BATCH)
        virtio_defer_until(&b->v, queue, b->v.now + REPORT_NS);
    b->config.settle(b->config.ctx);
}

static void balloon_notify(struct virtio *v, uint32_t queue)
{
    if (queue == QUEUE_INFLATE)
        balloon_inflate(balloon_of(v));
    else if (queue == QUEUE_DEFLATE)
        balloon_deflate(balloon_of(v));
    else if (virtio_has(v, F_REPORTING))
        balloon_report(balloon_of(v), queue);
}

void virtio_balloon_set_target(struct virtio_balloon *b, uint32_t pages)
{
    put_le32(b->v.config + CONFIG_TARGET, pages);
    virtio_config_changed(&b->v);
}

uint32_t virtio_balloon_target(const struct virtio_balloon *b)
{
    return get_le32(b->v.config + CONFIG_TARGET);
}

uint32_t virtio_balloon_actual(const struct virtio_balloon *b)
{
    return get_le32(b->v.config + CONFIG_ACTUAL);
}

/* What is asked of it stays, and the next driver hears of it. A kernel that comes behind another one knows of no balloon. */
static void balloon_reset(struct virtio *v)
{
    struct virtio_balloon *b = balloon_of(v);

    put_le32(v->config + CONFIG_ACTUAL, 0);
    b->reported = false;
    b->config.empty(b->config.ctx);
    b->config.settle(b->config.ctx);
}

static bool balloon_accepts(uint64_t features)
{
    return features & F_MUST_TELL_HOST;
}

static const struct virtio_ops balloon_ops = {
    .reset = balloon_reset, .notify = balloon_notify, .accepts = balloon_accepts};

void virtio_balloon_init(struct virtio_balloon *b, const struct virtio_host *host, uint32_t slot,
                         const struct virtio_balloon_config *config)
{
    const struct virtio_config desc = {
        .name = "virtio-balloon",
        .id = 5,
        .pci_class = 0x00ff,
        .features = F_MUST_TELL_HOST | F_REPORTING,
        .packed = config->packed,
        .queues = QUEUES,
        .config_len = CONFIG_LENGTH,
        .driver_from = CONFIG_ACTUAL,
        .driver_len = 4,
        .ops = &balloon_ops,
    };

    memset(b, 0, sizeof(*b));
    b->config = *config;
    virtio_init(&b->v, host, slot, &desc);
}
