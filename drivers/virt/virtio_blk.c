#include "drivers/virt/virtio_blk.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

/* Features: 5.2.3 */
#define F_SIZE_MAX     BIT(1)
#define F_SEG_MAX      BIT(2)
#define F_RO           BIT(5)
#define F_BLK_SIZE     BIT(6)
#define F_FLUSH        BIT(9)
#define F_TOPOLOGY     BIT(10)
#define F_MQ           BIT(12)
#define F_DISCARD      BIT(13)
#define F_WRITE_ZEROES BIT(14)

/* The configuration: 5.2.4 */
#define CONFIG_CAPACITY     0
#define CONFIG_SIZE_MAX     8
#define CONFIG_SEG_MAX      12
#define CONFIG_BLK_SIZE     20
#define CONFIG_PHYSICAL_EXP 24
#define CONFIG_QUEUES       34
#define CONFIG_DISCARD      36 /* sectors, segments, alignment */
#define CONFIG_WRITE_ZEROES 48 /* sectors, segments, may unmap */
#define CONFIG_LENGTH       60

/* Requests: 5.2.6 */
#define HEADER_LENGTH 16
#define HEADER_SECTOR 8
#define RANGE_LENGTH  16
#define RANGE_SECTORS 8
#define RANGE_FLAGS   12
#define RANGE_UNMAP   BIT(0)
/* These bound what one request may cost that is carried out at one go, so that a reset leaves none half done. */
#define RANGES_MAX      16
#define ZERO_SECTORS    (1 * MiB / VDISK_SECTOR)
#define DISCARD_SECTORS (64 * MiB / VDISK_SECTOR)
#define WRITE_MAX       (16 * MiB)
/* What the driver is told of that: no request that heeds both is longer. */
#define SEGMENT_MAX  (64 * KiB)
#define SEGMENTS_MAX (VRING_MAX - 2) /* beside header and status */
_Static_assert(SEGMENTS_MAX *SEGMENT_MAX <= WRITE_MAX, "a request within both limits is carried out");

enum request {
    REQUEST_IN = 0,
    REQUEST_OUT = 1,
    REQUEST_FLUSH = 4,
    REQUEST_ID = 8,
    REQUEST_DISCARD = 11,
    REQUEST_WRITE_ZEROES = 13
};
enum status { STATUS_OK, STATUS_IOERR, STATUS_UNSUPPORTED };

/* How much is done for one notification before vCPUs and other VMs get their turn again. */
#define BATCH_BYTES  (1 * MiB)
#define BATCH_COST   (4 * KiB) /* what a request without data counts for */
#define DISCARD_COST 32        /* so many discarded bytes count for one */

/* A request that is being carried out. */
struct work {
    struct vring_cursor from, to; /* data: behind the header, before the status */
    uint64_t from_len, to_len;
    uint32_t type, written;
    uint64_t done;   /* of what is read, in earlier turns and in this one */
    uint64_t zeroed; /* bytes */
    uint64_t cost;
    uint64_t sector;
};

static struct virtio_blk *blk_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_blk, v);
}

static bool range_sound(const struct virtio_blk *blk, uint64_t sector, uint64_t len)
{
    return sector <= UINT64_MAX / VDISK_SECTOR && vdisk_holds(&blk->disk, sector * VDISK_SECTOR, len);
}

static enum status blk_in(struct virtio_blk *blk, struct work *work)
{
    uint64_t offset = work->sector * VDISK_SECTOR + work->done, left;
    uint8_t *bytes;
    uint32_t run;

    if (!range_sound(blk, work->sector, work->to_len))
        return STATUS_IOERR;
    left = MIN(work->to_len - work->done, BATCH_BYTES);
    work->cost += left;
    work->done += left;
    for (; left && (bytes = vring_run(&work->to, left, &run)); left -= run, offset += run)
        vdisk_read(&blk->disk, offset, bytes, run);
    if (work->done < work->to_len)
        return STATUS_OK;
    work->written = (uint32_t)work->to_len;
    blk->reads++;
    blk->read_bytes += work->to_len;
    return STATUS_OK;
}

static enum status blk_out(struct virtio_blk *blk, struct work *work)
{
    uint64_t offset = work->sector * VDISK_SECTOR, left = work->from_len;
    const uint8_t *bytes;
    uint32_t run;

    if (blk->disk.read_only || left > WRITE_MAX || !range_sound(blk, work->sector, left))
        return STATUS_IOERR;
    work->cost += left;
    for (; left && (bytes = vring_run(&work->from, left, &run)); left -= run, offset += run)
        if (!vdisk_write(&blk->disk, offset, bytes, run))
            return STATUS_IOERR;
    blk->writes++;
    blk->written_bytes += work->from_len;
    return STATUS_OK;
}

/* 5.2.6.2: the string ends with a NUL only if it is shorter than its field. */
static enum status blk_id(struct virtio_blk *blk, struct work *work)
{
    work->written = (uint32_t)MIN(work->to_len, (uint64_t)VIRTIO_BLK_SERIAL);
    vring_write(&work->to, blk->serial, work->written);
    return STATUS_OK;
}

static enum status range_check(const struct virtio_blk *blk, uint32_t type, const uint8_t *range)
{
    uint32_t flags = get_le32(range + RANGE_FLAGS), sectors = get_le32(range + RANGE_SECTORS);

    if (flags & ~(type == REQUEST_DISCARD ? 0 : RANGE_UNMAP))
        return STATUS_UNSUPPORTED;
    if (sectors > (type == REQUEST_DISCARD ? DISCARD_SECTORS : ZERO_SECTORS) ||
        !range_sound(blk, get_le64(range), (uint64_t)sectors * VDISK_SECTOR))
        return STATUS_IOERR;
    return STATUS_OK;
}

/* Discard and write zeroes: a list of ranges, all checked before the first is touched. */
static enum status blk_ranges(struct virtio_blk *blk, struct work *work)
{
    uint8_t ranges[RANGES_MAX][RANGE_LENGTH];
    uint64_t count = work->from_len / RANGE_LENGTH;

    if (blk->disk.read_only || work->from_len % RANGE_LENGTH || count > RANGES_MAX)
        return STATUS_IOERR;
    vring_read(&work->from, ranges, (uint32_t)work->from_len);
    for (uint64_t i = 0; i < count; i++) {
        enum status status = range_check(blk, work->type, ranges[i]);

        if (status != STATUS_OK)
            return status;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t offset = get_le64(ranges[i]) * VDISK_SECTOR;
        uint64_t len = (uint64_t)get_le32(ranges[i] + RANGE_SECTORS) * VDISK_SECTOR;

        if (work->type == REQUEST_WRITE_ZEROES)
            work->zeroed += len;
        work->cost += work->type == REQUEST_WRITE_ZEROES ? len : len / DISCARD_COST;
        if (!(work->type == REQUEST_DISCARD ? vdisk_discard : vdisk_zero)(&blk->disk, offset, len))
            return STATUS_IOERR;
    }
    return STATUS_OK;
}

static enum status blk_do(struct virtio_blk *blk, struct work *work)
{
    switch (work->type) {
    case REQUEST_IN:
        return blk_in(blk, work);
    case REQUEST_OUT:
        return blk_out(blk, work);
    case REQUEST_FLUSH:
        return STATUS_OK;
    case REQUEST_ID:
        return blk_id(blk, work);
    case REQUEST_DISCARD:
    case REQUEST_WRITE_ZEROES:
        return blk_ranges(blk, work);
    default:
        return STATUS_UNSUPPORTED;
    }
}

/* Takes header and status apart from the data, wherever the driver has cut its buffers. False: they aren't there. */
static bool work_begin(struct work *work, const struct vring_chain *chain)
{
    uint8_t header[HEADER_LENGTH];

    *work = (struct work){.from = vring_readable(chain), .to = vring_writable(chain), .cost = BATCH_COST};
    if (chain->writable_bytes == 0 || !vring_read(&work->from, header, HEADER_LENGTH))
        return false;
    work->from_len = chain->readable_bytes - HEADER_LENGTH;
    work->to_len = chain->writable_bytes - 1;
    work->type = get_le32(header);
    work->sector = get_le64(header + HEADER_SECTOR);
    return true;
}

/* What counts against a limit: what is read or written, zeros, too. */
static uint64_t request_bytes(const struct work *work)
{
    return work->type == REQUEST_IN    ? work->to_len
           : work->type == REQUEST_OUT ? work->from_len
                                       : work->zeroed;
}

/* Goes on with what a long read has come to. The driver may have changed its length meanwhile. */
static void work_resume(struct work *work, uint64_t progress)
{
    if (work->type != REQUEST_IN)
        return;
    work->done = MIN(progress, work->to_len);
    vring_skip(&work->to, work->done);
}

/* Returns what the request has cost; 0: it was none. A read that isn't through stays the next. */
static uint64_t blk_request(struct virtio_blk *blk, uint32_t queue)
{
    const struct vring_chain *chain = blk->v.host.chain;
    uint64_t *progress = &blk->v.queues[queue].progress;
    struct vring_cursor last = vring_writable(chain);
    struct work work;
    uint8_t status;

    if (!work_begin(&work, chain)) {
        virtio_break(&blk->v);
        return 0;
    }
    work_resume(&work, *progress);
    status = (uint8_t)blk_do(blk, &work);
    *progress = status == STATUS_OK && work.done < work.to_len ? work.done : 0;
    if (*progress) {
        virtio_untake(&blk->v, queue);
        return work.cost;
    }
    blk->errors += status != STATUS_OK;
    vlimit_pay(&blk->limit, blk->v.now, 1, request_bytes(&work));
    vring_skip(&last, work.to_len);
    vring_write(&last, &status, 1);
    /* The status counts as written only with all that is before it. */
    virtio_give(&blk->v, queue, work.written == work.to_len ? work.written + 1 : work.written);
    return work.cost;
}

static void blk_notify(struct virtio *v, uint32_t queue)
{
    struct virtio_blk *blk = blk_of(v);
    uint64_t cost = 0, done = 1, wait = 0;

    while (done && cost < BATCH_BYTES && !(wait = vlimit_wait(&blk->limit, v->now)) &&
           virtio_take(v, queue)) {
        done = blk_request(blk, queue);
        cost += done;
    }
    virtio_signal(v, queue);
    if (wait || cost >= BATCH_BYTES)
        virtio_defer_until(v, queue, wait);
}

static const struct virtio_ops blk_ops = {.notify = blk_notify};

static void blk_describe(struct virtio_blk *blk, uint32_t queues)
{
    uint8_t *config = blk->v.config;

    put_le64(config + CONFIG_CAPACITY, blk->disk.len / VDISK_SECTOR);
    put_le32(config + CONFIG_SIZE_MAX, (uint32_t)SEGMENT_MAX);
    put_le32(config + CONFIG_SEG_MAX, SEGMENTS_MAX);
    put_le32(config + CONFIG_BLK_SIZE, VDISK_SECTOR);
    config[CONFIG_PHYSICAL_EXP] = 3; /* a cluster is 8 sectors */
    put_le16(config + CONFIG_QUEUES, (uint16_t)queues);
    put_le32(config + CONFIG_DISCARD, (uint32_t)DISCARD_SECTORS);
    put_le32(config + CONFIG_DISCARD + 4, RANGES_MAX);
    put_le32(config + CONFIG_DISCARD + 8, VDISK_CLUSTER / VDISK_SECTOR);
    put_le32(config + CONFIG_WRITE_ZEROES, (uint32_t)ZERO_SECTORS);
    put_le32(config + CONFIG_WRITE_ZEROES + 4, RANGES_MAX);
    config[CONFIG_WRITE_ZEROES + 8] = 1;
}

void virtio_blk_init(struct virtio_blk *blk, const struct virtio_host *host, uint32_t slot,
                     const struct virtio_blk_config *config)
{
    const struct virtio_config desc = {
        .name = "virtio-blk",
        .id = 2,
        .pci_class = 0x0100,
        .features = F_SIZE_MAX | F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY | F_FLUSH | F_MQ |
                    (config->disk.read_only ? F_RO : F_DISCARD | F_WRITE_ZEROES),
        .packed = config->packed,
        .queues = MIN(MAX(config->queues, 1u), (uint32_t)VIRTIO_BLK_QUEUES),
        .config_len = CONFIG_LENGTH,
        .ops = &blk_ops,
    };

    memset(blk, 0, sizeof(*blk));
    virtio_init(&blk->v, host, slot, &desc);
    blk->disk = config->disk;
    vlimit_set(&blk->limit, &config->rates);
    memcpy(blk->serial, config->serial, str_nlen(config->serial, sizeof(blk->serial)));
    blk_describe(blk, desc.queues);
}

void virtio_blk_limit(struct virtio_blk *blk, const struct vlimit_rates *rates)
{
    vlimit_set(&blk->limit, rates);
    virtio_hurry(&blk->v);
}
