; The setup part of a bzImage (Documentation/arch/x86/boot.rst, protocol 2.13): its header, and the few real-mode
; instructions that loaders need which enter there. Loaders of the 32- and 64-bit protocols read the header only.

%ifndef SYSTEM_BYTES
%error "SYSTEM_BYTES: the length of the protected-mode part"
%endif

KERNEL_BASE equ 0x100000
LOADED_HIGH equ 1
XLF_KERNEL_64 equ 1

        bits 16
        org 0

        times 0x1f1 db 0
        db 1                            ; 1f1 setup_sects
        dw 0                            ; 1f2 root_flags
        dd (SYSTEM_BYTES + 15) / 16     ; 1f4 syssize
        dw 0                            ; 1f8 ram_size
        dw 0xffff                       ; 1fa vid_mode: normal
        dw 0                            ; 1fc root_dev
        dw 0xaa55                       ; 1fe boot_flag
        jmp short start                 ; 200; the header ends at 202 + the displacement
        db "HdrS"                       ; 202
        dw 0x020d                       ; 206 version
        dd 0                            ; 208 realmode_swtch
        dw 0                            ; 20c start_sys_seg
        dw name - 0x200                 ; 20e kernel_version
        db 0                            ; 210 type_of_loader
        db LOADED_HIGH                  ; 211 loadflags
        dw 0                            ; 212 setup_move_size
        dd KERNEL_BASE                  ; 214 code32_start
        dd 0, 0                         ; 218 ramdisk_image, ramdisk_size
        dd 0                            ; 220 bootsect_kludge
        dw 0                            ; 224 heap_end_ptr
        db 0, 0                         ; 226 ext_loader_ver, ext_loader_type
        dd 0                            ; 228 cmd_line_ptr
        dd 0x7fffffff                   ; 22c initrd_addr_max
        dd 0x1000                       ; 230 kernel_alignment
        db 0, 12                        ; 234 relocatable_kernel, min_alignment
        dw XLF_KERNEL_64                ; 236 xloadflags
        dd 2047                         ; 238 cmdline_size
        dd 0                            ; 23c hardware_subarch
        dq 0                            ; 240 hardware_subarch_data
        dd 0, 0                         ; 248 payload_offset, payload_length
        dq 0                            ; 250 setup_data
        dq KERNEL_BASE                  ; 258 pref_address
        dd 0x800000                     ; 260 init_size: image, BSS and the memory that tests play with
        dd 0                            ; 264 handover_offset

; DS is the segment of the header, CS 0x20 more. The header becomes the zero page; of it the 32-bit side reads the
; command line's address only.
start:
        cli
        xor esi, esi
        mov si, ds
        shl esi, 4
        lea eax, [esi + gdt]
        mov [gdtr + 2], eax
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp dword 0x10:KERNEL_BASE

        align 8
gdt:    dq 0, 0
        dq 0x00cf9b000000ffff           ; 10 code
        dq 0x00cf93000000ffff           ; 18 data
gdtr:   dw gdtr - gdt - 1
        dd 0

name:   db "keel test payload", 0

        times 0x400 - ($ - $$) db 0
