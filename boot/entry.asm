; The way from the boot loader to boot_main(): Multiboot2 header, 32-bit entry, boot page tables, 64-bit mode.
;
; This code is linked at LOAD_BASE but runs wherever the loader put it. Until paging is on, EBP holds the distance
; between the two, and every address is formed as [ebp + label].

extern boot_main
extern boot_tables_low
extern boot_stack_low

LOAD_BASE   equ 0x200000
LOAD_ALIGN  equ 0x200000        ; so that 2 MiB leaves can map the image
BOOT_MAP    equ 4               ; of those; linker.ld checks that it is enough

MB2_MAGIC   equ 0xe85250d6
MB2_LOADER  equ 0x36d76289

CR0_PE      equ 1 << 0
CR0_ET      equ 1 << 4
CR0_NE      equ 1 << 5
CR0_WP      equ 1 << 16
CR0_PG      equ 1 << 31
CR4_PAE     equ 1 << 5
MSR_EFER    equ 0xc0000080
EFER_LME    equ 1 << 8
EFER_NXE    equ 1 << 11
CPUID_LM    equ 1 << 29         ; leaf 0x80000001 EDX
CPUID_NX    equ 1 << 20

COM1        equ 0x3f8
VGA_TEXT    equ 0xb8000

PTE_P       equ 1 << 0
PTE_W       equ 1 << 1
PTE_PS      equ 1 << 7

; Multiboot2 header (specification 0.6.96, section 3.1). There is no framebuffer tag: with one, GRUB would leave text mode
; on BIOS machines. On UEFI machines it hands its framebuffer over in any case.
section .multiboot2 progbits alloc noexec nowrite align=8
header:
    dd MB2_MAGIC, 0, header_end - header, 0x100000000 - (MB2_MAGIC + 0 + (header_end - header))

    align 8, db 0
    dw 1, 1                     ; information request, optional
    dd 8 + 8 * 4
    dd 1, 3, 6, 8, 12, 14, 15, 17 ; command line, modules, memory map, framebuffer, EFI64, both RSDPs, EFI memory map

    align 8, db 0
    dw 4, 1                     ; console flags: EGA text will do, none will do too
    dd 12, 1 << 1

    align 8, db 0
    dw 6, 1                     ; modules page-aligned
    dd 8

    align 8, db 0
    dw 10, 1                    ; relocatable, as low as possible
    dd 24, LOAD_BASE, 0xffffffff, LOAD_ALIGN, 1

    align 8, db 0
    dw 0, 0
    dd 8
header_end:

section .boot progbits alloc exec nowrite align=16
bits 32

global boot_entry
boot_entry:
    cli
    cld
    cmp eax, MB2_LOADER
    jne boot_halt
    lea esp, [ebx + 8]          ; there is no stack yet: the call borrows the reserved word of the information
    call .here
.here:
    pop ebp
    sub ebp, .here
    lea esp, [ebp + boot_stack_low]
    rdtsc                       ; when it all began, for the benchmark
    push edx
    push eax
    mov esi, text_align
    test ebp, LOAD_ALIGN - 1
    jnz boot_stop
    mov edi, ebx                ; the information: EBX is CPUID's
    call check_cpu
    call build_tables
    call enter_long_mode        ; returns in 64-bit mode, still at the physical address
bits 64
    mov edi, edi                ; information, load address, and the TSC at the start
    lea esi, [rbp + LOAD_BASE]
    mov esp, esp
    pop rdx
    mov rsp, boot_stack_top
    xor ebp, ebp                ; the last frame of a stack trace
    mov rax, boot_main
    call rax
bits 32

boot_halt:
    hlt
    jmp boot_halt

; Long mode is the one thing without which not even the 64-bit code can explain itself.
check_cpu:
    mov esi, text_cpu
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb boot_stop
    mov eax, 0x80000001
    cpuid
    test edx, CPUID_LM
    jz boot_stop
    ret

; The first 4 GiB at their own addresses and at DIRECT_BASE, the image at IMAGE_BASE, all in 2 MiB leaves. The loader
; has cleared the tables, as it has all of .bss. Keeps EDI and EBP.
build_tables:
    lea ebx, [ebp + boot_tables_low]
    lea eax, [ebx + PDPT_LOW + PTE_P + PTE_W]
    mov [ebx + PML4 + 0 * 8], eax
    mov [ebx + PML4 + 256 * 8], eax
    lea eax, [ebx + PDPT_HIGH + PTE_P + PTE_W]
    mov [ebx + PML4 + 511 * 8], eax
    lea eax, [ebx + PD_IMAGE + PTE_P + PTE_W]
    mov [ebx + PDPT_HIGH + 510 * 8], eax

    lea eax, [ebx + PD_LOW + PTE_P + PTE_W]
    xor ecx, ecx
.pdpt:
    mov [ebx + PDPT_LOW + ecx * 8], eax
    add eax, 0x1000
    inc ecx
    cmp ecx, 4
    jb .pdpt

    mov eax, PTE_P + PTE_W + PTE_PS
    xor ecx, ecx
.pd:
    mov [ebx + PD_LOW + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 4 * 512
    jb .pd

    lea eax, [ebp + LOAD_BASE + PTE_P + PTE_W + PTE_PS]
    xor ecx, ecx
.image:
    mov [ebx + PD_IMAGE + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, BOOT_MAP
    jb .image
    ret

; The order is the manual's: PAE, CR3, LME, then PG (SDM volume 3, section "Initializing IA-32e Mode").
enter_long_mode:
    mov eax, CR4_PAE
    mov cr4, eax
    lea eax, [ebp + boot_tables_low]
    mov cr3, eax

    mov eax, 0x80000001
    cpuid
    mov ebx, edx
    mov ecx, MSR_EFER
    rdmsr
    or eax, EFER_LME
    test ebx, CPUID_NX
    jz .no_nx
    or eax, EFER_NXE
.no_nx:
    wrmsr

    mov eax, CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE
    mov cr0, eax
    lea eax, [ebp + boot_gdt]
    mov [ebp + boot_gdtr + 2], eax
    lgdt [ebp + boot_gdtr]
    pop eax                     ; the return address, for a far return into the 64-bit segment
    push 0x08
    push eax
    retf

; Prints the line at ESI + EBP on the first serial port and in the first row of the text screen, and stops.
boot_stop:
    add esi, ebp
    mov edi, VGA_TEXT
.next:
    lodsb
    test al, al
    jz boot_halt
    mov ah, 0x07
    cmp al, 10
    je .serial
    stosw
.serial:
    mov bl, al
    mov ecx, 0x100000           ; a port that isn't there is never ready, or always
    mov dx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    loopz .wait
    mov dx, COM1
    mov al, bl
    out dx, al
    jmp .next

text_cpu:
    db 13, 10, "keel[0.0] this CPU has no 64-bit mode; Keel needs one with VT-x or SVM", 13, 10, 0
text_align:
    db 13, 10, "keel[0.0] the boot loader put Keel at an address that isn't a multiple of 2 MiB", 13, 10, 0

    align 8, db 0
boot_gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 64-bit code
boot_gdtr:
    dw $ - boot_gdt - 1
    dd 0

section .bss nobits alloc noexec write align=4096
global boot_tables
boot_tables:
PML4        equ 0x0000
PDPT_LOW    equ 0x1000
PDPT_HIGH   equ 0x2000
PD_LOW      equ 0x3000
PD_IMAGE    equ 0x7000
    resb 0x8000

; The boot core's stack until it gets one with guard pages.
    resb 0x4000
global boot_stack_top
boot_stack_top:
