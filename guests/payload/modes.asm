; From long mode through all other modes and back (test_modes.c looks at what is recorded on the way): compatibility mode,
; protected mode without paging, PAE paging, hardware tasks of 32 and 16 bits, paging of 32 bits, virtual-8086 mode, 16-bit
; protected mode, real mode.

        extern gdt, modes_gdt, modes_idt, modes_pae, modes_legacy, modes_main_tss, modes_gate
        extern modes_results, modes_count
        global modes_walk, levels_switch, modes_low, modes_low_end, modes_task32, modes_task16, modes_fault, modes_low_real
        global modes_stack_top, modes_task_stack_top, modes_vm86_stack_top

CODE64 equ 0x08                         ; selectors of modes_gdt
DATA equ 0x10
CODE32 equ 0x18
CODE16 equ 0x20
DATA16 equ 0x28
MAIN equ 0x30
TASK32 equ 0x38
TASK16 equ 0x40

LOW equ 0x6000                          ; where modes_low is copied to
WINDOW equ 0x40000000                   ; each set of page tables has another page there

EFER equ 0xc0000080
EFER_LME equ 1 << 8
CR0_PE equ 1 << 0
CR0_TS equ 1 << 3
CR0_PG equ 1 << 31
CR4_PSE equ 1 << 4
CR4_PAE equ 1 << 5
CR4_PGE equ 1 << 7
EFLAGS_NT equ 1 << 14
EFLAGS_VM equ 1 << 17

%macro record 1
        mov eax, %1
        call keep
%endmacro

%macro paging 1                         ; on or off
        mov eax, cr0
%ifidn %1, on
        or eax, CR0_PG
%else
        and eax, ~CR0_PG
%endif
        mov cr0, eax
        jmp %%next
%%next:
%endmacro

        section .text
        bits 64
modes_walk:
        push rbx
        push rbp
        push r12
        push r13
        push r14
        push r15
        pushfq
        cli
        mov [long_rsp], rsp
        sgdt [long_gdt]
        sidt [long_idt]
        mov rax, cr3
        mov [long_cr3], rax
        lgdt [walk_gdt]
        lidt [walk_idt]
        push CODE32
        push compatibility
        retfq

        bits 32
compatibility:
        mov eax, DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        mov esp, modes_stack_top
        mov eax, 5
        db 0x48                         ; DEC EAX; in 64-bit code it would be REX.W
        call keep
        paging off
        mov ecx, EFER
        rdmsr
        and eax, ~EFER_LME
        wrmsr
        rdmsr
        shr eax, 8
        and eax, 5                      ; LME and LMA
        call keep

; CR4.PAE is still on.
        mov eax, [modes_pae]
        mov cr3, eax
        paging on
        record [WINDOW]
        cpuid                           ; a hypervisor may have to read it through these tables
        mov eax, cr4                    ; loads the pointers again, which have been used
        xor eax, CR4_PGE
        mov cr4, eax
        xor eax, CR4_PGE
        mov cr4, eax

        mov eax, MAIN
        ltr ax
        call TASK32:0
        record 0x101
        call TASK32:0
        int 0x40                        ; a task gate
        mov eax, 0x1234                 ; of the LDT, and there is none
        mov es, eax                     ; #GP through a task gate, which goes on behind it
        record 0x102
        jmp TASK32:0
        call TASK16:0
        movzx eax, word [LOW + low_task16 - modes_low]
        call keep
        str eax
        call keep
        record [WINDOW]
        clts
        paging off

        mov eax, cr4
        and eax, ~CR4_PAE
        or eax, CR4_PSE
        mov cr4, eax
        mov eax, [modes_legacy]
        mov cr3, eax
        paging on
        record [WINDOW]
        cpuid

; The tasks' switches were the CPU's. What LTR loads, perhaps by a hypervisor's hand, has the stack for an interrupt gate, too.
        and byte [modes_gdt + MAIN + 5], ~2
        mov eax, MAIN
        ltr ax

; #GP through an interrupt gate brings it back.
        mov eax, [modes_gate]
        mov [modes_idt + 13 * 8], eax
        mov eax, [modes_gate + 4]
        mov [modes_idt + 13 * 8 + 4], eax
        mov [walk_esp], esp
        push 0                          ; GS, FS, DS, ES
        push 0
        push LOW >> 4
        push 0x5678
        push LOW >> 4                   ; stack
        push 0xe00
        push EFLAGS_VM | 2
        push LOW >> 4
        push vm86 - modes_low
        iretd

; Out of virtual-8086 mode, where INT isn't allowed.
modes_fault:
        mov eax, DATA
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        pop eax                         ; the error code
        call keep
        mov eax, [esp]
        sub eax, vm86.int - modes_low
        call keep
        mov eax, [esp + 8]
        and eax, EFLAGS_VM
        call keep
        mov eax, [esp + 20]             ; ES
        call keep
        mov esp, [walk_esp]
        movzx eax, word [LOW + low_vm86 - modes_low]
        call keep
        paging off
        mov eax, cr4
        and eax, ~CR4_PSE
        mov cr4, eax
        mov ecx, EFER                   ; long mode is asked for long before it can be had, with PAE off
        rdmsr
        or eax, EFER_LME
        wrmsr
        rdmsr
        shr eax, 8
        and eax, 5                      ; LME and LMA
        call keep
        cpuid                           ; an exit in that state
        jmp CODE16:protected16 - modes_low

protected32:
        mov eax, DATA
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov fs, eax
        mov gs, eax
        mov esp, [walk_esp]
        record [LOW + low_protected16 - modes_low]
        cmp byte [LOW + modes_low_real - modes_low], 0
        je .long
        record [LOW + low_int - modes_low]
        movzx eax, word [LOW + low_msw - modes_low]
        call keep
        record [LOW + low_high - modes_low]
.long:
        mov eax, cr4
        or eax, CR4_PAE
        mov cr4, eax
        mov eax, [long_cr3]
        mov cr3, eax
        paging on
        jmp CODE64:long_again

        bits 64
long_again:
        mov rsp, [long_rsp]
        lgdt [long_gdt]
        lidt [long_idt]
        push 0x08
        push .flat
        retfq
.flat:
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        xor eax, eax
        mov fs, eax
        mov gs, eax
        and byte [gdt + 0x30 + 5], ~2   ; the TSS isn't busy any more
        mov eax, 0x30
        ltr ax
        popfq
        pop r15
        pop r14
        pop r13
        pop r12
        pop rbp
        pop rbx
        ret

; void levels_switch(uint64_t cr3, uint64_t cr4): other page tables, of as many levels as CR4.LA57 says, which can only be
; changed without paging. All of them map this code where it is.
levels_switch:
        pushfq
        cli
        mov [long_rsp], rsp
        sgdt [long_gdt]
        lgdt [walk_gdt]
        push CODE32
        push .narrow
        retfq
        bits 32
.narrow:
        mov eax, DATA
        mov ds, eax
        mov ss, eax
        paging off
        mov cr4, esi
        mov cr3, edi
        paging on
        jmp CODE64:.wide
        bits 64
.wide:  mov rsp, [long_rsp]
        lgdt [long_gdt]
        push 0x08
        push .flat
        retfq
.flat:  mov eax, 0x10
        mov ds, eax
        mov ss, eax
        popfq
        ret

        bits 32
; Appends EAX.
keep:
        push ebx
        mov ebx, [modes_count]
        mov [modes_results + ebx * 4], eax
        inc dword [modes_count]
        pop ebx
        ret

; Goes on behind each IRET when it is entered again.
modes_task32:
        str eax
        call keep
        mov eax, cr0
        and eax, CR0_TS
        call keep
        clts
        record [WINDOW]
        pushfd
        pop eax
        and eax, EFLAGS_NT
        call keep
        iretd
        record 0x201
        iretd
        record 0x202                    ; by INT
        iretd
        pop eax                         ; by #GP, with an error code
        call keep
        mov eax, [modes_main_tss + 0x24]
        and eax, 1 << 16                ; RF
        call keep
        add dword [modes_main_tss + 0x20], 2
        iretd
        record 0x203                    ; by JMP
        jmp MAIN:0

; From here on copied to LOW ------------------------------------------------------------------------------------------
        bits 16
modes_low:
modes_task16 equ 0
        mov word [low_task16 - modes_low], 0x1616
        iret                            ; NT is on: to the task before

vm86:
        mov ax, es
        mov [low_vm86 - modes_low], ax
.int:   int 0x41

protected16:
        mov ax, DATA16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0xe00
        push dword 0x12345678
        pop word [low_protected16 - modes_low + 2]
        pop word [low_protected16 - modes_low]
        cmp byte [modes_low_real - modes_low], 0
        je .back
        xor ax, ax
        mov gs, ax                      ; a null selector, and in real mode another one
        mov eax, cr0
        and al, ~CR0_PE
        mov cr0, eax
        jmp word (LOW >> 4):real - modes_low
.back:  jmp dword CODE32:protected32

real:
        mov ax, cs
        mov ds, ax
        mov ss, ax
        mov sp, 0xe00
        mov gs, ax
        cpuid                           ; an exit with that
        o32 lidt [low_ivt - modes_low]
        int 0x60
        smsw [low_msw - modes_low]
        and word [low_msw - modes_low], 1
        mov ax, 0xffff                  ; beyond 1 MiB
        mov es, ax
        mov eax, [es:0x10]
        mov [low_high - modes_low], eax
        smsw ax
        or al, CR0_PE
        lmsw ax
        jmp CODE16:.protected - modes_low
.protected:
        mov ax, DATA16
        mov ds, ax
        jmp dword CODE32:protected32

; The frame: IP, CS, flags.
real_int:
        push bp
        mov bp, sp
        mov ax, [bp + 4]
        mov [low_int - modes_low], ax
        mov word [low_int - modes_low + 2], 0x6060
        pop bp
        iret

        align 4
low_task16: dw 0
low_vm86: dw 0
low_protected16: dd 0
low_int: dd 0
low_msw: dw 0xffff
modes_low_real: dw 0
low_high: dd 0
low_ivt:                                ; a table of its own: vector 60H alone is used
        dw 0x61 * 4 - 1
        dd LOW + low_vectors - modes_low - 0x60 * 4
        align 4
low_vectors:
        dw real_int - modes_low, LOW >> 4
modes_low_end:

        section .data
        align 8
walk_gdt:
        dw 0x47
        dq modes_gdt
walk_idt:
        dw 0x41 * 8 - 1
        dq modes_idt

        section .bss
        align 16
long_rsp: resq 1
long_cr3: resq 1
long_gdt: resb 16
long_idt: resb 16
walk_esp: resd 4
        resb 1024
modes_stack_top:
        resb 1024
modes_task_stack_top:
        resb 1024
modes_vm86_stack_top:
