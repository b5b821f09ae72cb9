; The way into a guest and back, as long as there is nothing but exits to act on (APM volume 2, 15.5, 15.6, 15.17).
;
; From CLGI to STGI nothing interrupts this core. VMRUN is executed with RFLAGS.IF set, since under V_INTR_MASKING it is
; the host's IF that lets physical interrupts through, as exits; IF is clear again before STGI, which takes only a waiting
; NMI or SMI: interrupts stay pending for the run loop's window. VMRUN itself switches RAX, RSP, RIP, RFLAGS, the control
; registers and most segments; VMLOAD and VMSAVE switch FS, GS, TR, LDTR and the system call MSRs.

bits 64
default rel

; struct vcpu begins with gpr[], in the numbering of instruction encodings: checked in entry.c.
%define GPR(n) 8 * (n)

section .text

; The frame of svm_run: its arguments, then the caller's registers, of which RBP is the last.
%define VCPU       rsp
%define VMCB       rsp + 8
%define GUEST_VMCB rsp + 16
%define HOST_VMCB  rsp + 24
%define SAVED_RBP  rsp + 72

; vmcb.h: checked in entry.c
EXIT_CODE  equ 0x70
EXIT_CPUID equ 0x72

; struct cpuid_row, without EAX, which is in the VMCB: checked in core/exit_quick.h
ROW_EBX    equ 4
ROW_ECX    equ 8
ROW_EDX    equ 12

extern svm_exited
extern svm_exited_cpuid
extern svm_exited_traced
extern trace_on

; void svm_run(struct vcpu *vcpu, struct vmcb *vmcb, hpa_t guest_vmcb, hpa_t host_vmcb): enters the guest, and again while svm_exited, which
; acts on the exit, returns the vCPU and not NULL
global svm_run:function
svm_run:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rcx
    push rdx
    push rsi
    push rdi

    mov rax, rdi
.enter:                                 ; RAX: the vCPU
    mov rcx, [rax + GPR(1)]
    mov rdx, [rax + GPR(2)]
    mov rbx, [rax + GPR(3)]
    mov rbp, [rax + GPR(5)]
    mov rsi, [rax + GPR(6)]
    mov r8, [rax + GPR(8)]
    mov r9, [rax + GPR(9)]
    mov r10, [rax + GPR(10)]
    mov r11, [rax + GPR(11)]
    mov r12, [rax + GPR(12)]
    mov r13, [rax + GPR(13)]
    mov r14, [rax + GPR(14)]
    mov r15, [rax + GPR(15)]
    mov rdi, [rax + GPR(7)]
    mov rax, [GUEST_VMCB]

    clgi
    sti
    vmload
.vmrun:
    vmrun

    ; Of the registers first those that a C function may change. RAX is GUEST_VMCB again.
    push rdi
    mov rdi, [VCPU + 8]
    mov [rdi + GPR(1)], rcx
    mov [rdi + GPR(2)], rdx
    mov [rdi + GPR(6)], rsi
    mov [rdi + GPR(8)], r8
    mov [rdi + GPR(9)], r9
    mov [rdi + GPR(10)], r10
    mov [rdi + GPR(11)], r11
    pop qword [rdi + GPR(7)]
    mov rsi, [VMCB]
    cmp dword [rsi + EXIT_CODE], EXIT_CPUID
    je .cpuid
.other:                                 ; RDI: the vCPU, RSI: its VMCB, RAX: where that is in the machine
    mov [rdi + GPR(3)], rbx
    mov [rdi + GPR(5)], rbp
    mov [rdi + GPR(12)], r12
    mov [rdi + GPR(13)], r13
    mov [rdi + GPR(14)], r14
    mov [rdi + GPR(15)], r15
    cli
    vmsave
    mov rax, [HOST_VMCB]
    vmload
    stgi

    lea rbp, [SAVED_RBP]                ; for stack traces
    movzx eax, byte [trace_on]
    call [exited + 8 * rax]
    test rax, rax
    jnz .enter
    add rsp, 32
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

.cpuid:
    cmp byte [trace_on], 0
    jne .other
    call svm_exited_cpuid               ; RAX: the answer, or NULL
    mov rdi, [VCPU]
    test rax, rax
    jz .usual
    mov rsi, [rdi + GPR(6)]
    mov r8, [rdi + GPR(8)]
    mov r9, [rdi + GPR(9)]
    mov r10, [rdi + GPR(10)]
    mov r11, [rdi + GPR(11)]
    mov rdi, [rdi + GPR(7)]
    mov ebx, [rax + ROW_EBX]
    mov ecx, [rax + ROW_ECX]
    mov edx, [rax + ROW_EDX]
    mov rax, [GUEST_VMCB]
    jmp .vmrun                          ; GIF is clear still, IF set, and what VMLOAD loads is the guest's
.usual:
    mov rsi, [VMCB]
    mov rax, [GUEST_VMCB]
    jmp .other

section .rodata

exited:                                 ; by trace_on
    dq svm_exited
    dq svm_exited_traced
