#include "drivers/virt/vcdrom.h"

#include "core/lib/string.h"

enum command {
    TEST_UNIT_READY = 0x00,
    REQUEST_SENSE = 0x03,
    INQUIRY = 0x12,
    MODE_SENSE_6 = 0x1a,
    START_STOP_UNIT = 0x1b,
    PREVENT_ALLOW = 0x1e,
    READ_CAPACITY = 0x25,
    READ_10 = 0x28,
    READ_TOC = 0x43,
    GET_CONFIGURATION = 0x46,
    GET_EVENT_STATUS = 0x4a,
    READ_DISC_INFORMATION = 0x51,
    MODE_SENSE_10 = 0x5a,
    REPORT_LUNS = 0xa0,
    READ_12 = 0xa8,
};

/* Sense: key, additional code, qualifier (SPC-3 4.5.6, tables 27 and 28). */
#define NO_SENSE        0x000000
#define NO_MEDIUM       0x023a00
#define BAD_COMMAND     0x052000
#define BAD_ADDRESS     0x052100
#define BAD_FIELD       0x052400
#define REMOVAL_REFUSED 0x055302

#define SENSE_CURRENT 0x70 /* fixed format */

#define TRACK_DATA  0x14 /* ADR 1, CONTROL 4: a data track */
#define LEAD_OUT    0xaa
#define MSF_OFFSET  150 /* frames before block 0 */
#define PAGE_CD     0x2a
#define PAGE_CD_LEN 20
#define PAGE_ALL    0x3f
#define CD_SPEED    0x1b90 /* 40 times 176.4 kB/s */
#define PROFILE_CD  0x0008
#define EVENT_MEDIA 4
#define MEDIA_IN    0x02
#define DISC_CLOSED 0x0e /* the disc and its last session are complete */
#define START_LOEJ  0x02
#define START_START 0x01
#define POLLED      0x01

static uint16_t get_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get_be32(const uint8_t *p)
{
    return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

static void put_be16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put_be32(uint8_t *p, uint32_t value)
{
    put_be16(p, value >> 16);
    put_be16(p + 2, value);
}

static void sense_put(uint8_t sense[VCDROM_SENSE], uint32_t code)
{
    memset(sense, 0, VCDROM_SENSE);
    sense[0] = SENSE_CURRENT;
    sense[2] = (uint8_t)(code >> 16);
    sense[7] = VCDROM_SENSE - 8;
    sense[12] = (uint8_t)(code >> 8);
    sense[13] = (uint8_t)code;
}

static void fail(struct vcdrom_answer *a, uint32_t code)
{
    a->status = VCDROM_CHECK;
    a->len = 0;
    a->disc_bytes = 0;
    sense_put(a->sense, code);
}

/* So many bytes of data, cut to what the initiator has room for. */
static void give(struct vcdrom_answer *a, uint32_t len, uint32_t allocated)
{
    a->len = MIN(len, allocated);
}

static uint64_t blocks_of(const struct vcdrom *cd)
{
    return MIN(cd->disc.len / VCDROM_BLOCK, (uint64_t)UINT32_MAX);
}

/* -- what the drive is ------------------------------------------------------------------------------------------ */

/* SPC-3 6.4: a removable CD device by SPC-3; of the vital product data there is the list of pages alone. */
static void inquiry(struct vcdrom_answer *a, const uint8_t *cdb)
{
    static const uint8_t standard[36] = "\x05\x80\x05\x02\x1f\x00\x00\x00KEEL    CD-ROM          1.0";
    static const uint8_t pages[5] = {0x05, 0, 0, 1, 0};
    bool vital = cdb[1] & 1;

    if ((cdb[1] & ~1) || cdb[2]) {
        fail(a, BAD_FIELD);
        return;
    }
    memcpy(a->data, vital ? pages : standard, vital ? sizeof(pages) : sizeof(standard));
    if (!vital)
        a->data[35] = ' ';
    give(a, vital ? sizeof(pages) : sizeof(standard), get_be16(cdb + 3));
}

/* MMC-4 7.11, as of MMC-3: reads CDs, has a tray, can't lock it. */
static void capabilities_put(uint8_t *page)
{
    page[0] = PAGE_CD;
    page[1] = PAGE_CD_LEN - 2;
    page[2] = 0x03; /* reads CD-R, CD-RW */
    page[4] = 0x70; /* multi-session, both forms of mode 2 */
    page[6] = 0x20; /* a tray */
    put_be16(page + 8, CD_SPEED);
    put_be16(page + 14, CD_SPEED);
}

/* Behind the header (SPC-3 7.4.3), without block descriptors. */
static void mode_sense(struct vcdrom_answer *a, const uint8_t *cdb, bool ten)
{
    uint32_t header = ten ? 8 : 4, len = header + PAGE_CD_LEN, page = cdb[2] & 0x3f;

    if ((page != PAGE_CD && page != PAGE_ALL) || cdb[3]) {
        fail(a, BAD_FIELD);
        return;
    }
    capabilities_put(a->data + header);
    if (ten)
        put_be16(a->data, len - 2);
    else
        a->data[0] = (uint8_t)(len - 1);
    give(a, len, ten ? get_be16(cdb + 7) : cdb[4]);
}

/* MMC-4 6.6: the profile list, if it was asked for, and the one profile in it. */
static void configuration(const struct vcdrom *cd, struct vcdrom_answer *a, const uint8_t *cdb)
{
    uint32_t first = get_be16(cdb + 2), len = first == 0 ? 16 : 8;

    put_be32(a->data, len - 4);
    put_be16(a->data + 6, blocks_of(cd) ? PROFILE_CD : 0);
    if (len == 16) {
        a->data[10] = 0x03; /* persistent, current */
        a->data[11] = 4;
        put_be16(a->data + 12, PROFILE_CD);
        a->data[14] = blocks_of(cd) != 0;
    }
    give(a, len, get_be16(cdb + 7));
}

static void luns(struct vcdrom_answer *a, const uint8_t *cdb)
{
    a->data[3] = 8; /* number 0, and no other */
    give(a, 16, get_be32(cdb + 6));
}

/* -- the disc --------------------------------------------------------------------------------------------------- */

static void address_put(uint8_t *at, bool msf, uint32_t block)
{
    uint32_t frames = block + MSF_OFFSET;

    if (!msf) {
        put_be32(at, block);
        return;
    }
    at[1] = (uint8_t)(frames / 75 / 60);
    at[2] = (uint8_t)(frames / 75 % 60);
    at[3] = (uint8_t)(frames % 75);
}

static uint32_t track_put(uint8_t *at, uint8_t number, bool msf, uint32_t block)
{
    at[1] = TRACK_DATA;
    at[2] = number;
    address_put(at + 4, msf, block);
    return 8;
}

/* MMC-4 6.30: format 0 is the list of tracks from one on, format 1 the first track of the last session. */
static void toc(const struct vcdrom *cd, struct vcdrom_answer *a, const uint8_t *cdb)
{
    uint32_t format = cdb[2] & 0xf ? cdb[2] & 0xf : cdb[9] >> 6, from = format == 0 ? cdb[6] : 0, len = 4;
    bool msf = cdb[1] & 2;

    if (format > 1 || (from > 1 && from != LEAD_OUT)) {
        fail(a, BAD_FIELD);
        return;
    }
    a->data[2] = a->data[3] = 1; /* the first and the last, of tracks or sessions */
    if (from <= 1)
        len += track_put(a->data + len, 1, msf, 0);
    if (format == 0)
        len += track_put(a->data + len, LEAD_OUT, msf, (uint32_t)blocks_of(cd));
    put_be16(a->data, len - 2);
    give(a, len, get_be16(cdb + 7));
}

static void disc_information(struct vcdrom_answer *a, const uint8_t *cdb)
{
    if (cdb[1] & 7) {
        fail(a, BAD_FIELD);
        return;
    }
    put_be16(a->data, 32);
    a->data[2] = DISC_CLOSED;
    a->data[3] = a->data[4] = a->data[5] = a->data[6] = 1;
    memset(a->data + 16, 0xff, 8); /* no lead-in or lead-out to write to */
    give(a, 34, get_be16(cdb + 7));
}

/* MMC-4 6.7: only for who asks; and nothing ever happens. */
static void event_status(const struct vcdrom *cd, struct vcdrom_answer *a, const uint8_t *cdb)
{
    bool media = cdb[4] & 1u << EVENT_MEDIA;

    if (!(cdb[1] & POLLED)) {
        fail(a, BAD_FIELD);
        return;
    }
    put_be16(a->data, media ? 6 : 2);
    a->data[2] = media ? EVENT_MEDIA : 0x80; /* no class that was asked for */
    a->data[3] = 1u << EVENT_MEDIA;
    a->data[5] = media && blocks_of(cd) ? MEDIA_IN : 0;
    give(a, media ? 8 : 4, get_be16(cdb + 7));
}

static void capacity(const struct vcdrom *cd, struct vcdrom_answer *a)
{
    put_be32(a->data, (uint32_t)blocks_of(cd) - 1);
    put_be32(a->data + 4, VCDROM_BLOCK);
    a->len = 8;
}

static void read(struct vcdrom *cd, struct vcdrom_answer *a, uint32_t block, uint32_t count)
{
    if (block > blocks_of(cd) || count > blocks_of(cd) - block) {
        fail(a, BAD_ADDRESS);
        return;
    }
    a->offset = (uint64_t)block * VCDROM_BLOCK;
    a->disc_bytes = (uint64_t)count * VCDROM_BLOCK;
}

static void start_stop(struct vcdrom_answer *a, const uint8_t *cdb)
{
    if ((cdb[4] & (START_LOEJ | START_START)) == START_LOEJ)
        fail(a, REMOVAL_REFUSED);
}

/* -- commands --------------------------------------------------------------------------------------------------- */

/* Those that need no disc; false if it is none of them. */
static bool drive_command(const struct vcdrom *cd, const uint8_t *cdb, struct vcdrom_answer *a)
{
    switch (cdb[0]) {
    case REQUEST_SENSE: /* what there was to say came with the command that it was about */
        sense_put(a->data, NO_SENSE);
        give(a, VCDROM_SENSE, cdb[4]);
        return true;
    case INQUIRY:
        inquiry(a, cdb);
        return true;
    case MODE_SENSE_6:
    case MODE_SENSE_10:
        mode_sense(a, cdb, cdb[0] == MODE_SENSE_10);
        return true;
    case START_STOP_UNIT:
        start_stop(a, cdb);
        return true;
    case PREVENT_ALLOW:
        return true;
    case GET_CONFIGURATION:
        configuration(cd, a, cdb);
        return true;
    case GET_EVENT_STATUS:
        event_status(cd, a, cdb);
        return true;
    case REPORT_LUNS:
        luns(a, cdb);
        return true;
    default:
        return false;
    }
}

static void disc_command(struct vcdrom *cd, const uint8_t *cdb, struct vcdrom_answer *a)
{
    switch (cdb[0]) {
    case TEST_UNIT_READY:
        break;
    case READ_CAPACITY:
        capacity(cd, a);
        break;
    case READ_10:
        read(cd, a, get_be32(cdb + 2), get_be16(cdb + 7));
        break;
    case READ_12:
        read(cd, a, get_be32(cdb + 2), get_be32(cdb + 6));
        break;
    case READ_TOC:
        toc(cd, a, cdb);
        break;
    case READ_DISC_INFORMATION:
        disc_information(a, cdb);
        break;
    default:
        fail(a, BAD_COMMAND);
    }
}

void vcdrom_command(struct vcdrom *cd, const uint8_t cdb[VCDROM_CDB], struct vcdrom_answer *a)
{
    memset(a, 0, sizeof(*a));
    if (!drive_command(cd, cdb, a)) {
        disc_command(cd, cdb, a);
        /* A file too short for a single block is no disc. */
        if (a->status == VCDROM_GOOD && blocks_of(cd) == 0)
            fail(a, NO_MEDIUM);
    }
    cd->errors += a->status != VCDROM_GOOD;
}
