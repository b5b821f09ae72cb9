; A kernel for each boot protocol, from one source: the header of -DMULTIBOOT1 (with -DKLUDGE, for an image that isn't ELF),
; -DMULTIBOOT2 (with -DADDRESS likewise) or -DPVH. With -DHIGH it is linked at 3 GiB above where it is loaded and runs there by
; segments with a base. Then 32-bit C.

        extern formats_main, image_start, image_end, bss_end
        global start, start_state

%ifdef HIGH
OFFSET equ 0xc0000000
%else
OFFSET equ 0
%endif

        section .head progbits alloc exec

%ifdef MULTIBOOT1
MB1_MAGIC equ 0x1badb002
MB1_WANT equ 0x7                        ; aligned modules, memory, video mode
%ifdef KLUDGE
MB1_FLAGS equ MB1_WANT | 0x10000
%else
MB1_FLAGS equ MB1_WANT
%endif
        align 4
mb1:    dd MB1_MAGIC, MB1_FLAGS, -(MB1_MAGIC + MB1_FLAGS)
%ifdef KLUDGE
        dd mb1, image_start, image_end, bss_end, start
%else
        dd 0, 0, 0, 0, 0
%endif
        dd 0, 1024, 768, 32             ; linear graphics, which it won't get
%endif

%ifdef MULTIBOOT2
        align 8
mb2:    dd 0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + (mb2_end - mb2))
        dw 1, 0                         ; wants the command line, modules and the memory map
        dd 20, 1, 3, 6
        align 8
%ifdef ADDRESS
        dw 2, 0
        dd 24, mb2, image_start, image_end, bss_end
        dw 3, 0
        dd 12, start
        align 8
%else
        dw 10, 0                        ; could be moved, but has no wish to
        dd 24, 0x100000, 0xffffffff, 0x1000, 0
%endif
        dw 5, 0                         ; framebuffer
        dd 20, 1024, 768, 32
        align 8
        dw 77, 1                        ; optional, and unknown to everybody
        dd 12, 0
        align 8
        dw 0, 0
        dd 8
mb2_end:
%endif

        bits 32
start:
        mov [start_state - OFFSET], eax
        mov [start_state + 4 - OFFSET], ebx
        mov eax, cr0
        mov [start_state + 8 - OFFSET], eax
        mov eax, cr4
        mov [start_state + 12 - OFFSET], eax
        mov ax, cs
        mov [start_state + 20 - OFFSET], ax
        mov ax, ss
        mov [start_state + 22 - OFFSET], ax
        str ax
        mov [start_state + 24 - OFFSET], ax
        mov esp, stack_top - OFFSET     ; by the segments that the loader left
        pushfd
        pop dword [start_state + 16 - OFFSET]
        push dword 0                    ; segments that the loader left can be loaded again
        mov ax, ds
        mov es, ax
        mov fs, ax
        mov gs, ax
        lgdt [gdt_pointer - OFFSET]
        jmp dword 0x08:flat
flat:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        mov esp, stack_top
        xor ebp, ebp
        cld
        call formats_main
.stop:  cli
        hlt
        jmp .stop

        section .data
        align 8
start_state:                            ; struct start_state of main.c
        times 32 db 0

; Base 0x40000000 takes 0xc0100000 to 0x00100000.
%ifdef HIGH
BASE equ 0x40
%else
BASE equ 0
%endif
gdt:    dq 0
        dq 0x00cf9b000000ffff | BASE << 56
        dq 0x00cf93000000ffff | BASE << 56
gdt_pointer:
        dw $ - gdt - 1
        dd gdt - OFFSET

%ifdef PVH
        section .note progbits alloc noexec nowrite
        align 4
        dd 4, 4, 18                     ; XEN_ELFNOTE_PHYS32_ENTRY
        db "Xen", 0
        dd start - OFFSET
%endif

        section .bss
        align 16
        resb 16384
stack_top:
