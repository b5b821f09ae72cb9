; Into the sandbox and out of it again, whatever became of the CPU there. In long mode every vector has a stack of its own (IST);
; in protected mode every gate but NMI's is a task gate, so that nothing of the state at a fault is needed; in real mode the handlers are in
; low memory. All ways end behind the call of chaos_enter.

        extern chaos_area, chaos_runner_cr3, chaos_idt_pointer, chaos_gdt_pointer, chaos_task_idt_pointer
        global chaos_enter, chaos_stubs, chaos_task_entry, chaos_nmi, chaos_low, chaos_low_end, chaos_low_handler, chaos_low_registers

CODE64 equ 0x08                         ; selectors: chaos.h
DATA equ 0x10
CODE32 equ 0x28
TASK equ 0x70
LDT32 equ 0x80
LOWCODE equ 0x88
LOWDATA equ 0x90

STEP_RIP equ 16 * 8                     ; struct chaos_step
STEP_DS equ STEP_RIP + 5 * 8
STEP_KIND equ STEP_DS + 4 * 8
STEP_FRAME equ STEP_KIND + 8
STEP_CR0 equ STEP_FRAME + 8
STEP_CR3 equ STEP_CR0 + 8
STEP_CR4 equ STEP_CR3 + 8
KIND_LONG equ 0
KIND_REAL equ 2

AREA_TF_LEFT equ 0                      ; struct area
AREA_GDT equ 16
LOW equ 0x7000                          ; where chaos_low is copied to
EFER equ 0xc0000080
EFER_LME equ 1 << 8
CR0_PG equ 1 << 31
CR0_LONG equ 0x80010021                 ; PG, WP, NE, PE
CR4_PAE equ 1 << 5
RFLAGS_TF equ 1 << 8
RFLAGS_RF equ 1 << 16
IMAGE equ 0x100000                      ; nothing of the sandbox's is in this MiB
IMAGE_END equ 0x200000

%define REG0 rax
%define REG1 rcx
%define REG2 rdx
%define REG3 rbx
%define REG5 rbp
%define REG6 rsi
%define REG8 r8
%define REG9 r9
%define REG10 r10
%define REG11 r11
%define REG12 r12
%define REG13 r13
%define REG14 r14
%define REG15 r15

        section .text
        bits 64
; uint64_t chaos_enter(const struct chaos_step *step): the vector that ended it, NO_TRAP where that isn't known.
chaos_enter:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        mov [runner_rsp], rsp
        lgdt [chaos_gdt_pointer]
        lidt [chaos_idt_pointer]
        cmp qword [rdi + STEP_KIND], KIND_LONG
        jne legacy
        mov rax, [rdi + STEP_CR3]
        mov cr3, rax
        mov ds, [rdi + STEP_DS]
        mov es, [rdi + STEP_DS + 8]
        mov fs, [rdi + STEP_DS + 16]
        mov gs, [rdi + STEP_DS + 24]
        lea rsp, [rdi + STEP_RIP]
%assign i 0
%rep 16
%if i != 4 && i != 7
        mov REG %+ i, [rdi + i * 8]
%endif
%assign i i + 1
%endrep
        mov rdi, [rdi + 7 * 8]
        iretq

        align 16
chaos_stubs:
%assign vector 0
%rep 256
        align 16
%if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
        push 0
%endif
        push strict dword vector
%if vector == 1
        jmp near debug
%elif vector == 2
        jmp near nmi
%else
        jmp near leave
%endif
%assign vector vector + 1
%endrep

; A step of the sandbox, or a breakpoint that it has set and the runner has hit.
debug:
        cmp qword [rsp + 24], CODE64
        jne .count
        cmp qword [rsp + 16], IMAGE
        jb .count
        cmp qword [rsp + 16], IMAGE_END
        jae .count
        or dword [rsp + 32], RFLAGS_RF
        and dword [rsp + 32], ~RFLAGS_TF
        jmp .back
.count: dec dword [chaos_area + AREA_TF_LEFT]
        jle leave
.back:  add rsp, 16
        iretq

; The watchdog's. The runner doesn't mind.
nmi:
        cmp qword [rsp + 24], CODE64
        jne leave
        cmp qword [rsp + 16], IMAGE
        jb leave
        cmp qword [rsp + 16], IMAGE_END
        jae leave
        add rsp, 16
        iretq

leave:
        mov eax, [rsp]
        mov rcx, [chaos_runner_cr3]
        mov cr3, rcx
recovered:
        cld
        lgdt [chaos_gdt_pointer]
        lidt [chaos_idt_pointer]
        mov ecx, DATA
        mov ss, ecx
        mov rsp, [runner_rsp]
        mov ds, ecx
        mov es, ecx
        mov fs, ecx
        mov gs, ecx
        push 2
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; To protected mode without long mode, with or without paging.
legacy:
        push CODE32
        push .compatibility
        retfq
        bits 32
.compatibility:
        mov eax, DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, legacy_stack
        mov eax, cr0
        and eax, ~CR0_PG
        mov cr0, eax
        jmp .unpaged
.unpaged:
        mov ecx, EFER
        rdmsr
        and eax, ~EFER_LME
        wrmsr
        cmp dword [edi + STEP_KIND], KIND_REAL
        je .real
        lidt [chaos_task_idt_pointer]
        mov eax, [edi + STEP_CR4]
        mov cr4, eax
        mov eax, [edi + STEP_CR3]
        mov cr3, eax
        mov eax, [edi + STEP_CR0]
        mov cr0, eax
        jmp .as_wanted
.as_wanted:
        mov eax, TASK
        ltr ax
        mov eax, LDT32
        lldt ax
        mov esp, [edi + STEP_FRAME]
        mov ds, [edi + STEP_DS]
        mov es, [edi + STEP_DS + 8]
        mov fs, [edi + STEP_DS + 16]
        mov gs, [edi + STEP_DS + 24]
        mov ecx, [cs:edi + 1 * 8]
        mov edx, [cs:edi + 2 * 8]
        mov ebx, [cs:edi + 3 * 8]
        mov ebp, [cs:edi + 5 * 8]
        mov esi, [cs:edi + 6 * 8]
        mov eax, [cs:edi]
        mov edi, [cs:edi + 7 * 8]
        iretd

.real:
        xor eax, eax
        mov cr4, eax
        jmp LOWCODE:0

; The recovering task begins here.
chaos_task_entry:
        mov edi, 0x101
        jmp recover

; The watchdog's, which often comes late, when other VMs have had their turns: on the way out of the sandbox it must find no task that is
; busy. Where there is no stack for it, that is a double fault, and the task's again.
chaos_nmi:
        cmp dword [esp + 4], CODE32
        jne chaos_task_entry
        cmp dword [esp], IMAGE
        jb chaos_task_entry
        cmp dword [esp], IMAGE_END
        jae chaos_task_entry
        iretd

; Out of real mode, where EDI is 102H.
recover:
        mov eax, DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov esp, legacy_stack
        mov eax, cr0
        and eax, ~CR0_PG
        mov cr0, eax
        jmp .unpaged
.unpaged:
        lgdt [chaos_gdt_pointer]
        mov eax, CR4_PAE
        mov cr4, eax
        mov eax, [chaos_runner_cr3]
        mov cr3, eax
        mov ecx, EFER
        mov eax, EFER_LME
        xor edx, edx
        wrmsr
        mov eax, CR0_LONG
        mov cr0, eax
        jmp CODE64:.long
        bits 64
.long:  mov eax, edi
        jmp recovered

; In low memory ----------------------------------------------------------------------------------------------------
        bits 16
chaos_low:
        mov ax, LOWDATA
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov fs, ax
        mov gs, ax
        o32 lidt [LOW + low_ivt - chaos_low]
        mov eax, cr0
        and al, ~1
        mov cr0, eax
        jmp LOW >> 4:.real - chaos_low
.real:  xor sp, sp
        lss esp, [cs:low_registers - chaos_low]
        mov ds, [cs:low_registers - chaos_low + 6]
        mov es, [cs:low_registers - chaos_low + 8]
        mov fs, [cs:low_registers - chaos_low + 10]
        mov gs, [cs:low_registers - chaos_low + 12]
        mov eax, [cs:low_registers - chaos_low + 16]
        mov ecx, [cs:low_registers - chaos_low + 20]
        mov edx, [cs:low_registers - chaos_low + 24]
        mov ebx, [cs:low_registers - chaos_low + 28]
        mov ebp, [cs:low_registers - chaos_low + 36]
        mov esi, [cs:low_registers - chaos_low + 40]
        mov edi, [cs:low_registers - chaos_low + 44]
        iret

chaos_low_handler equ handler - chaos_low
handler:
        cli
        o32 lgdt [cs:low_gdt - chaos_low]
        mov edi, 0x102
        mov eax, cr0
        and eax, ~CR0_PG
        or al, 1
        mov cr0, eax
        jmp dword CODE32:recover

        align 8
low_ivt: dw 0x3ff
        dd 0
        align 8
low_gdt: dw 0x3ff
        dd chaos_area + AREA_GDT
        align 8
low_registers:
        times 48 db 0
chaos_low_registers equ low_registers - chaos_low
chaos_low_end:

        section .bss
        align 16
runner_rsp: resq 1
        resb 2048
legacy_stack:
