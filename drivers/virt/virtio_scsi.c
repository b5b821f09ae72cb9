#include "drivers/virt/virtio_scsi.h"

#include "core/lib/bytes.h"
#include "core/lib/string.h"

#define QUEUE_CONTROL 0
#define QUEUE_EVENT   1
#define QUEUE_REQUEST 2
#define QUEUES        3

/* The configuration: 5.6.4 */
#define CONFIG_QUEUES      0
#define CONFIG_SEG_MAX     4
#define CONFIG_MAX_SECTORS 8
#define CONFIG_CMD_PER_LUN 12
#define CONFIG_EVENT_SIZE  16
#define CONFIG_SENSE_SIZE  20 /* this and the next are the driver's to write */
#define CONFIG_CDB_SIZE    24
#define CONFIG_MAX_TARGET  30
#define CONFIG_LENGTH      36

#define MAX_SECTORS   65535
#define EVENT_SIZE    16
#define SENSE_DEFAULT 96
#define CDB_DEFAULT   32

/* Requests: 5.6.6.1. The CDB follows the header, sense data the response, and data each of them. */
#define HEADER_LENGTH       19
#define RESPONSE_LENGTH     12
#define RESPONSE_SENSE_LEN  0
#define RESPONSE_RESIDUAL   4
#define RESPONSE_STATUS     10
#define RESPONSE_CODE       11
#define RESPONSE_OK         0
#define RESPONSE_OVERRUN    1
#define RESPONSE_BAD_TARGET 3

/* Requests of the control queue: 5.6.6.2 */
#define CONTROL_TMF       0
#define CONTROL_QUERY     1
#define CONTROL_SUBSCRIBE 2
#define TMF_LUN           8
#define NOTIFICATION_LUN  4
#define CONTROL_LENGTH    24 /* of the longest */
#define CONTROL_FAILURE   9

/* How much is done for one notification before vCPUs and other VMs get their turn again. */
#define BATCH_BYTES (1 * MiB)
#define BATCH_COST  (4 * KiB) /* what a request without data counts for */

/* A request that is being carried out. */
struct work {
    uint8_t lun[8], cdb[VCDROM_CDB];
    struct vring_cursor answer, data; /* response and sense; what follows */
    uint32_t sense_size;
    uint64_t room; /* for data */
    uint64_t done; /* of what is read from a disc, in earlier turns */
    bool more;     /* it isn't through */
};

static struct virtio_scsi *scsi_of(struct virtio *v)
{
    return CONTAINER_OF(v, struct virtio_scsi, v);
}

/* 5.6.6.1: 1, the target, and a LUN in one level, flat or as a peripheral device. NULL: nothing is there. */
static struct vcdrom *target_find(struct virtio_scsi *scsi, const uint8_t lun[8])
{
    if (lun[0] != 1 || lun[1] >= scsi->target_count || (lun[2] & ~0x40) || lun[3])
        return NULL;
    return &scsi->targets[lun[1]];
}

/* Takes the request apart, wherever the driver has cut its buffers. False: it isn't all there. */
static bool work_begin(const struct virtio *v, struct work *work)
{
    const struct vring_chain *chain = v->host.chain;
    struct vring_cursor from = vring_readable(chain);
    uint32_t cdb_size = get_le32(v->config + CONFIG_CDB_SIZE);
    uint8_t header[HEADER_LENGTH];

    *work = (struct work){.answer = vring_writable(chain), .data = vring_writable(chain)};
    work->sense_size = get_le32(v->config + CONFIG_SENSE_SIZE);
    if (!vring_read(&from, header, HEADER_LENGTH) ||
        chain->readable_bytes < HEADER_LENGTH + (uint64_t)cdb_size ||
        !vring_read(&from, work->cdb, MIN(cdb_size, (uint32_t)VCDROM_CDB)) ||
        !vring_skip(&work->data, RESPONSE_LENGTH + (uint64_t)work->sense_size))
        return false;
    memcpy(work->lun, header, sizeof(work->lun));
    work->room = chain->writable_bytes - RESPONSE_LENGTH - work->sense_size;
    return true;
}

/* Goes on with `len` bytes; the driver may have changed how many they are meanwhile. */
static void disc_read(struct vcdrom *cd, struct work *work, uint64_t offset, uint64_t len)
{
    uint64_t done = MIN(work->done, len), left = MIN(len - done, BATCH_BYTES);
    uint8_t *bytes;
    uint32_t run;

    vring_skip(&work->data, done);
    work->done = done + left;
    work->more = work->done < len;
    for (offset += done; left && (bytes = vring_run(&work->data, left, &run)); left -= run, offset += run)
        vdisk_read(&cd->disc, offset, bytes, run);
    if (work->more)
        return;
    cd->reads++;
    cd->read_bytes += len;
}

static void respond(struct work *work, const struct vcdrom_answer *a, uint8_t code, uint64_t sent)
{
    uint8_t response[RESPONSE_LENGTH] = {0};
    uint32_t sense = a->status == VCDROM_CHECK ? MIN(work->sense_size, (uint32_t)VCDROM_SENSE) : 0;

    put_le32(response + RESPONSE_SENSE_LEN, sense);
    put_le32(response + RESPONSE_RESIDUAL, (uint32_t)MIN(work->room - sent, (uint64_t)UINT32_MAX));
    response[RESPONSE_STATUS] = a->status;
    response[RESPONSE_CODE] = code;
    vring_write(&work->answer, response, sizeof(response));
    vring_write(&work->answer, a->sense, sense);
}

/* Returns how many bytes of data it gave, all in all; or, if there is more to do, what it cost. */
static uint64_t work_do(struct virtio_scsi *scsi, struct work *work)
{
    struct vcdrom *cd = target_find(scsi, work->lun);
    struct vcdrom_answer answer = {0};
    uint64_t sent = 0;

    if (!cd) {
        respond(work, &answer, RESPONSE_BAD_TARGET, 0);
        return 0;
    }
    vcdrom_command(cd, work->cdb, &answer);
    if (answer.disc_bytes) {
        sent = MIN(answer.disc_bytes, work->room);
        disc_read(cd, work, answer.offset, sent);
    } else {
        sent = MIN((uint64_t)answer.len, work->room);
        vring_write(&work->data, answer.data, (uint32_t)sent);
    }
    if (work->more)
        return BATCH_BYTES;
    respond(work, &answer, sent < answer.disc_bytes + answer.len ? RESPONSE_OVERRUN : RESPONSE_OK, sent);
    return sent;
}

/* Returns what the request has cost; 0: it was none. A read that isn't through stays the next. */
static uint64_t scsi_request(struct virtio_scsi *scsi)
{
    uint64_t *progress = &scsi->v.queues[QUEUE_REQUEST].progress, sent;
    struct work work;

    if (!work_begin(&scsi->v, &work)) {
        virtio_break(&scsi->v);
        return 0;
    }
    work.done = *progress;
    sent = work_do(scsi, &work);
    *progress = work.more ? work.done : 0;
    if (work.more) {
        virtio_untake(&scsi->v, QUEUE_REQUEST);
        return sent;
    }
    virtio_give(&scsi->v, QUEUE_REQUEST, (uint32_t)(RESPONSE_LENGTH + work.sense_size + sent));
    return BATCH_COST + sent;
}

/* There is nothing to abort, and a reset changes nothing; and nothing happens that could be told. */
static uint64_t control_request(struct virtio_scsi *scsi)
{
    const struct vring_chain *chain = scsi->v.host.chain;
    struct vring_cursor from = vring_readable(chain), to = vring_writable(chain);
    uint8_t request[CONTROL_LENGTH] = {0}, answer[5] = {0};
    uint32_t type, skip, lun;

    vring_read(&from, request, (uint32_t)MIN(chain->readable_bytes, (uint64_t)CONTROL_LENGTH));
    type = get_le32(request);
    skip = type == CONTROL_QUERY || type == CONTROL_SUBSCRIBE ? 4 : 0; /* the events, none */
    lun = type == CONTROL_TMF ? TMF_LUN : NOTIFICATION_LUN;
    answer[skip] = type > CONTROL_SUBSCRIBE                   ? CONTROL_FAILURE
                   : target_find(scsi, request + lun) == NULL ? RESPONSE_BAD_TARGET
                                                              : RESPONSE_OK;
    if (!vring_write(&to, answer, skip + 1)) {
        virtio_break(&scsi->v);
        return 0;
    }
    virtio_give(&scsi->v, QUEUE_CONTROL, skip + 1);
    return BATCH_COST;
}

/* Buffers for events stay where they are. */
static void scsi_notify(struct virtio *v, uint32_t queue)
{
    uint64_t cost = 0, done = 1;

    if (queue == QUEUE_EVENT)
        return;
    while (done && cost < BATCH_BYTES && virtio_take(v, queue)) {
        done = queue == QUEUE_REQUEST ? scsi_request(scsi_of(v)) : control_request(scsi_of(v));
        cost += done;
    }
    virtio_signal(v, queue);
    if (cost >= BATCH_BYTES)
        virtio_defer(v, queue);
}

/* 5.6.4.1: the sizes are what they were. */
static void scsi_reset(struct virtio *v)
{
    put_le32(v->config + CONFIG_SENSE_SIZE, SENSE_DEFAULT);
    put_le32(v->config + CONFIG_CDB_SIZE, CDB_DEFAULT);
}

static const struct virtio_ops scsi_ops = {.reset = scsi_reset, .notify = scsi_notify};

void virtio_scsi_init(struct virtio_scsi *scsi, const struct virtio_host *host, uint32_t slot, bool packed)
{
    const struct virtio_config desc = {
        .name = "virtio-scsi",
        .id = 8,
        .pci_class = 0x0100,
        .packed = packed,
        .queues = QUEUES,
        .config_len = CONFIG_LENGTH,
        .driver_from = CONFIG_SENSE_SIZE,
        .driver_len = 8,
        .ops = &scsi_ops,
    };
    uint8_t *config = scsi->v.config;

    virtio_init(&scsi->v, host, slot, &desc);
    put_le32(config + CONFIG_QUEUES, QUEUES - QUEUE_REQUEST);
    put_le32(config + CONFIG_SEG_MAX, VRING_MAX - 2);
    put_le32(config + CONFIG_MAX_SECTORS, MAX_SECTORS);
    put_le32(config + CONFIG_CMD_PER_LUN, VRING_MAX / 2);
    put_le32(config + CONFIG_EVENT_SIZE, EVENT_SIZE);
    put_le16(config + CONFIG_MAX_TARGET, (uint16_t)(scsi->target_count - 1));
}
