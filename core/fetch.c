#include "core/fetch.h"

#include "core/lib/string.h"
#include "core/vcpu_ops.h"
#include "core/vm.h"

enum insn_mode vcpu_insn_mode(struct vcpu *vcpu)
{
    struct vcpu_code code;

    vcpu_ops->get_code(vcpu, &code);
    return code.mode;
}

/* Copies what lies on one page; 0 if it isn't there. */
static size_t vcpu_read_page(struct vcpu *vcpu, const struct gwalk_state *state, gva_t gva, uint32_t access,
                             void *buf, size_t len)
{
    struct gwalk_result result;
    size_t chunk = MIN(len, PAGE_SIZE - (gva & PAGE_MASK));

    if (!gwalk(&vcpu->vm->mem, state, gva, access, &result))
        return 0;
    return gmem_read(&vcpu->vm->mem, result.gpa, buf, chunk) ? 0 : chunk;
}

static size_t vcpu_read(struct vcpu *vcpu, const struct vcpu_code *code, gva_t gva, uint32_t access,
                        void *buf, size_t len)
{
    size_t done = 0;

    while (done < len) {
        size_t got = vcpu_read_page(vcpu, &code->walk, gva + done, access, (uint8_t *)buf + done, len - done);

        if (got == 0)
            break;
        done += got;
    }
    return done;
}

static gva_t code_address(struct vcpu *vcpu, const struct vcpu_code *code)
{
    return code->mode == INSN_MODE_64 ? vcpu->rip : (uint32_t)(code->cs_base + vcpu->rip);
}

size_t vcpu_fetch(struct vcpu *vcpu, uint8_t *buf, size_t max)
{
    struct vcpu_code code;

    vcpu_ops->get_code(vcpu, &code);
    return vcpu_read(vcpu, &code, code_address(vcpu, &code), GWALK_FETCH | code_user(&code), buf, max);
}

size_t vcpu_fetch_code(struct vcpu *vcpu, const struct vcpu_code *code, uint8_t *buf)
{
    uint32_t access = GWALK_FETCH | code_user(code);
    gva_t gva = code_address(vcpu, code);
    struct gwalk_result result;
    const void *ram;

    if (UNLIKELY((gva & PAGE_MASK) > PAGE_SIZE - FETCH_BYTES))
        return vcpu_read(vcpu, code, gva, access, buf, INSN_MAX_LEN);
    if (!gwalk(&vcpu->vm->mem, &code->walk, gva, access, &result))
        return 0;
    ram = gmem_ptr(&vcpu->vm->mem, result.gpa, FETCH_BYTES);
    if (!ram)
        return 0;
    __builtin_memcpy(buf, ram, FETCH_BYTES); /* of constant size: two loads */
    return INSN_MAX_LEN;
}

size_t vcpu_peek(struct vcpu *vcpu, gva_t gva, void *buf, size_t len)
{
    struct vcpu_code code;

    vcpu_ops->get_code(vcpu, &code);
    return vcpu_read(vcpu, &code, gva, GWALK_READ | GWALK_IMPLICIT, buf, len);
}
