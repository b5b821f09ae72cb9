; The entry points of both boot protocols, and the way to C: our own page tables, GDT and stack.

        extern payload_main, bss_start, bss_end, boot_params, first_tsc
        global gdt, tss, page_directory, pml4, stack_top, entry32

EFER equ 0xc0000080
EFER_LME equ 1 << 8
CR4_PAE equ 1 << 5
CR0_PG equ 1 << 31

        section .start progbits alloc exec

; ESI = the zero page; paging off, flat segments.
        bits 32
entry32:
        rdtsc
        mov ebp, eax
        mov edi, edx
        mov eax, 0x18
        mov ds, eax
        mov ss, eax
        lgdt [gdt_pointer]
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, pml4
        mov cr3, eax
        mov ecx, EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, cr0
        or eax, CR0_PG
        mov cr0, eax
        jmp 0x08:enter32

        bits 64
enter32:
        mov r14d, esi
        mov r15d, edi
        shl r15, 32
        mov eax, ebp
        or r15, rax
        jmp begin

        times 0x200 - ($ - $$) nop

; RSI = the zero page; long mode with an identity map of the loader's.
entry64:
        rdtsc
        shl rdx, 32
        or rax, rdx
        mov r15, rax
        mov r14, rsi
begin:
        cli
        lgdt [gdt_pointer]
        mov rax, pml4
        mov cr3, rax
        mov rsp, stack_top
        push 0x08
        push flat
        retfq
flat:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        cld
        mov rdi, bss_start
        mov rcx, bss_end
        sub rcx, rdi
        rep stosb
        mov [boot_params], r14
        mov [first_tsc], r15
        xor ebp, ebp
        call payload_main
.stop:  cli
        hlt
        jmp .stop

        section .data

        align 16
gdt:
        dq 0
        dq 0x00af9b000000ffff           ; 08 code, 64 bits
        dq 0x00cf93000000ffff           ; 10 data
        dq 0x00cff3000000ffff           ; 18 user data
        dq 0x00affb000000ffff           ; 20 user code
        dq 0x00cf13000000ffff           ; 28 data that isn't present
        dq 0, 0                         ; 30 TSS, filled in by trap_init
gdt_pointer:
        dw $ - gdt - 1
        dq gdt

        align 16
tss:    times 104 db 0

; 4 GiB to themselves in pages of 2 MiB, usable from ring 3; uncached from 3 GiB on.
        align 4096
pml4:
        dq page_directories + 7
        times 511 dq 0
page_directories:
%assign i 0
%rep 4
        dq page_directory + i * 4096 + 7
%assign i i + 1
%endrep
        times 508 dq 0
page_directory:
%assign i 0
%rep 2048
%if i >= 1536
        dq (i << 21) + 0x9f
%else
        dq (i << 21) + 0x87
%endif
%assign i i + 1
%endrep

        section .bss
        align 16
        resb 32768
stack_top:
