/* CD-ROM drives behind a hostile driver: no byte outside of RAM is written, nor any of the discs. */
#include "drivers/virt/virtio_scsi.h"

#include "tests/fuzz/virtio_fuzz.h"

#define LEN (9 * VCDROM_BLOCK)

static struct virtio_scsi scsi;
static uint8_t disc[LEN + 512], short_disc[512];

/* Any command, with its answer checked: what it gives is on the disc, or fits. */
static void command(void)
{
    struct vcdrom *cd = &scsi.targets[fuzz_number(1) & 1];
    struct vcdrom_answer answer;
    uint8_t cdb[VCDROM_CDB];

    for (uint32_t i = 0; i < VCDROM_CDB; i++)
        cdb[i] = (uint8_t)fuzz_number(1);
    vcdrom_command(cd, cdb, &answer);
    assert(answer.status == VCDROM_GOOD || (answer.status == VCDROM_CHECK && answer.sense[0] == 0x70));
    assert(answer.len <= sizeof(answer.data) && (!answer.len || !answer.disc_bytes));
    assert(answer.disc_bytes <= cd->disc.len && answer.offset <= cd->disc.len - answer.disc_bytes);
}

/* The CDB of a request that fuzz_chain is about to send: it follows the LUN in what that takes for a header. */
static void prepare(void)
{
    for (uint32_t i = 0; i < 24; i++)
        fuzz_memory[FUZZ_DATA + 0x100 + i] = (uint8_t)fuzz_number(1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start(data, size);
    fuzz_virtio_start();
    memset(&scsi, 0, sizeof(scsi));
    memset(disc, 0, sizeof(disc));
    scsi.targets[0].disc = (struct vdisk){.image = disc, .len = sizeof(disc), .read_only = true};
    scsi.targets[1].disc = (struct vdisk){.image = short_disc, .len = sizeof(short_disc), .read_only = true};
    scsi.target_count = 2;
    virtio_scsi_init(&scsi, &fuzz_host, 2, true);
    while (fuzz_more()) {
        uint32_t step = (uint32_t)fuzz_number(1);

        if (step < 0x40)
            command();
        else if (step < 0x60)
            prepare();
        else if (step < 0x68) /* sense_size and cdb_size: small, so that requests get through */
            fuzz_set(0x200 + 20 + (step & 4), 4, fuzz_number(1) % 40);
        else
            fuzz_virtio_step(&scsi.v);
        for (uint32_t i = 0; i < sizeof(disc); i += 512)
            assert(disc[i] == 0);
    }
    return 0;
}
