; Where a started core comes to life: real mode, at the start of a page below 1 MiB, into which core/x86/smp.c copies this
; and which it addresses by offsets. It goes to 64-bit mode in one step and on to data.entry(data.cpu).

CR0_VALUE   equ 1 << 31 | 1 << 16 | 1 << 5 | 1 << 4 | 1 << 0 ; PG WP NE ET PE; CD and NW, which INIT leaves set, clear
CR4_PAE     equ 1 << 5
MSR_EFER    equ 0xc0000080
CLAIM_TAKEN equ 0xffffffff

global trampoline_begin, trampoline_end, trampoline_gdt, trampoline_gdt_end, trampoline_long, trampoline_data

%define OFFSET(label) (label - trampoline_begin)

section .rodata
bits 16

    align 16
trampoline_begin:
    cli
    cld
    mov ax, cs
    mov ds, ax

; Only the core whose id stands in data.claim may go on, and only once. There is no stack yet, and may never be one.
    xor eax, eax
    cpuid
    cmp eax, 0x0b
    jb .leaf1
    mov eax, 0x0b               ; x2APIC id in EDX, if the leaf has anything to say
    xor ecx, ecx
    cpuid
    mov eax, edx
    test bx, bx
    jnz .claim
.leaf1:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov eax, ebx
.claim:
    mov ecx, CLAIM_TAKEN
    lock cmpxchg [OFFSET(data.claim)], ecx
    je .go
.sleep:
    hlt
    jmp .sleep

.go:
    o32 lgdt [OFFSET(data.gdtr)]
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [OFFSET(data.root)]
    mov cr3, eax
    mov ecx, MSR_EFER
    rdmsr
    or eax, [OFFSET(data.efer)]
    wrmsr
    mov eax, CR0_VALUE
    mov cr0, eax                ; protection and paging at once: straight into long mode
    jmp dword far [OFFSET(data.jump)]

bits 64
trampoline_long:
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rsp, [rel data.stack]
    mov rdi, [rel data.cpu]
    xor ebp, ebp                ; the last frame of a stack trace
    call [rel data.entry]
    ud2

    align 8, db 0
trampoline_gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 64-bit code
trampoline_gdt_end:

    align 8, db 0
trampoline_data:
data:                           ; struct smp_data in core/x86/smp.c
.claim: dd 0
.root:  dd 0
.efer:  dd 0
.jump:  dd 0
        dw 0
.gdtr:  dw 0
        dd 0
.stack: dq 0
.cpu:   dq 0
.entry: dq 0
trampoline_end:
