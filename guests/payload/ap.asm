; Where a start-up IPI leads: from real mode at the page that its vector names straight to long mode, and to C.

        extern pml4, gdt, ap_main, ap_stacks
        global ap_trampoline, ap_trampoline_end

EFER equ 0xc0000080
EFER_LME equ 1 << 8
CR4_PAE equ 1 << 5
CR0_PE equ 1 << 0
CR0_NE equ 1 << 5
CR0_PG equ 1 << 31
AP_STACK equ 4096                       ; as in smp.c

        section .text

; Copied to that page: CS:0. The addresses beyond the copy are absolute.
        bits 16
ap_trampoline:
        cli
        mov ax, cs
        mov ds, ax
        o32 lgdt [ap_gdt_pointer - ap_trampoline]
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, pml4
        mov cr3, eax
        mov ecx, EFER
        rdmsr
        or eax, EFER_LME
        wrmsr
        mov eax, CR0_PE | CR0_NE | CR0_PG
        mov cr0, eax
        jmp dword 0x08:ap_flat
        align 8
ap_gdt_pointer:
        dw 0x3f
        dd gdt
ap_trampoline_end:

; The APIC id is the CPU's number, and says which stack is its.
        bits 64
ap_flat:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        mov eax, 1
        cpuid
        shr ebx, 24
        mov edi, ebx
        lea rax, [rbx + 1]
        imul rax, AP_STACK
        lea rsp, [ap_stacks + rax]
        xor ebp, ebp
        cld
        call ap_main
.stop:  cli
        hlt
        jmp .stop
