; Entering the guest as a C call that returns when there is more to do than to act on exits (SDM volume 3, 27 and 28).
;
; HOST_RSP points into struct vmx_frame and not at a stack: it never has to be written again, however deep the caller's
; stack is. Between the exit and the switch back to that stack one push goes to frame.scratch; NMIs and machine checks,
; which alone can come in between, have stacks of their own (IST).

bits 64

; enum vcpu_reg, times 8: checked in entry.c
RAX_AT      equ 0 * 8
RCX_AT      equ 1 * 8
RDX_AT      equ 2 * 8
RBX_AT      equ 3 * 8
RBP_AT      equ 5 * 8
RSI_AT      equ 6 * 8
RDI_AT      equ 7 * 8
R8_AT       equ 8 * 8
R9_AT       equ 9 * 8
R10_AT      equ 10 * 8
R11_AT      equ 11 * 8
R12_AT      equ 12 * 8
R13_AT      equ 13 * 8
R14_AT      equ 14 * 8
R15_AT      equ 15 * 8

; struct vmx_frame; the last from .gpr, where RSP is after an exit
FRAME_GPR   equ 8
FRAME_RSP   equ 16
FRAME_CR2   equ 24
GPR_TO_RSP  equ FRAME_RSP - FRAME_GPR

; The stack of vmx_run: the vCPU, then the caller's registers, of which RBP is the last.
SAVED_RBP   equ 6 * 8

section .text

; vmcs.h: checked in entry.c
EXIT_REASON  equ 0x4402
REASON_CPUID equ 10

; struct cpuid_row: checked in core/exit_quick.h
ROW_EAX      equ 0
ROW_EBX      equ 4
ROW_ECX      equ 8
ROW_EDX      equ 12

extern vmx_exited
extern vmx_exited_cpuid
extern vmx_exited_traced
extern trace_on

; uint32_t vmx_run(struct vmx_frame *frame, bool launched): enters the guest, and again while vmx_exited, which acts on the
; exit, returns the vCPU and not NULL
global vmx_run:function
vmx_run:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov rax, [rdi + FRAME_GPR]
    push rax                            ; the vCPU: gpr is its start
    mov [rdi + FRAME_RSP], rsp
    test sil, sil
.enter:                                 ; RAX: the vCPU; ZF: not launched, stays since only moves follow
    mov rbp, [rax + RBP_AT]
    mov r12, [rax + R12_AT]
    mov r13, [rax + R13_AT]
    mov r14, [rax + R14_AT]
    mov r15, [rax + R15_AT]
    mov rcx, [rax + RCX_AT]
    mov rdx, [rax + RDX_AT]
    mov rbx, [rax + RBX_AT]
    mov rsi, [rax + RSI_AT]
    mov r8, [rax + R8_AT]
    mov r9, [rax + R9_AT]
    mov r10, [rax + R10_AT]
    mov r11, [rax + R11_AT]
    mov rdi, [rax + RDI_AT]
    mov rax, [rax + RAX_AT]
    jz .launch
    vmresume
    jmp .failed
.launch:
    vmlaunch
.failed:                                ; RSP is the caller's still; CF: VMfailInvalid, ZF: VMfailValid
    setz al
    movzx eax, al
    inc eax
.leave:
    add rsp, 8
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

global vmx_run_exit:function
vmx_run_exit:
    push rdi                            ; to frame.scratch
.pushed:                                ; of the registers first those that a C function may change
    mov rdi, [rsp + 8]                  ; frame.gpr
    mov [rdi + RAX_AT], rax
    mov [rdi + RCX_AT], rcx
    mov [rdi + RDX_AT], rdx
    mov [rdi + RSI_AT], rsi
    mov [rdi + R8_AT], r8
    mov [rdi + R9_AT], r9
    mov [rdi + R10_AT], r10
    mov [rdi + R11_AT], r11
    pop qword [rdi + RDI_AT]
    mov rsp, [rsp + GPR_TO_RSP]
    mov esi, EXIT_REASON
    vmread rsi, rsi
    cmp esi, REASON_CPUID
    je .cpuid
.other:                                 ; RDI: the vCPU, RSI: why
    mov [rdi + RBX_AT], rbx
    mov [rdi + RBP_AT], rbp
    mov [rdi + R12_AT], r12
    mov [rdi + R13_AT], r13
    mov [rdi + R14_AT], r14
    mov [rdi + R15_AT], r15
    lea rbp, [rsp + SAVED_RBP]          ; for stack traces
    cmp byte [rel trace_on], 0
    jne .traced
    call vmx_exited
    test rax, rax
    jnz vmx_run.enter
    xor eax, eax
    jmp vmx_run.leave

.traced:
    call vmx_exited_traced
    test rax, rax
    jnz vmx_run.enter
    xor eax, eax
    jmp vmx_run.leave

.cpuid:
    cmp byte [rel trace_on], 0
    jne .other
    call vmx_exited_cpuid               ; RAX: the answer, or NULL
    mov rdi, [rsp]                      ; the vCPU
    mov esi, REASON_CPUID
    test rax, rax
    jz .other
    mov rsi, [rdi + RSI_AT]
    mov r8, [rdi + R8_AT]
    mov r9, [rdi + R9_AT]
    mov r10, [rdi + R10_AT]
    mov r11, [rdi + R11_AT]
    mov rdi, [rdi + RDI_AT]
    mov ebx, [rax + ROW_EBX]
    mov ecx, [rax + ROW_ECX]
    mov edx, [rax + ROW_EDX]
    mov eax, [rax + ROW_EAX]
    vmresume
    jmp vmx_run.failed

global vmx_run_exit_cr2:function
vmx_run_exit_cr2:
    push rdi
    mov rdi, cr2
    mov [rsp + FRAME_CR2], rdi
    jmp vmx_run_exit.pushed
