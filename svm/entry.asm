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
%define GUEST_VMCB rsp + 8
%define HOST_VMCB  rsp + 16
%define SAVED_RBP  rsp + 64

extern svm_exited
extern svm_exited_traced
extern trace_on

; void svm_run(struct vcpu *vcpu, hpa_t guest_vmcb, hpa_t host_vmcb): enters the guest, and again while svm_exited, which
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
    vmrun
    cli
    vmsave
    mov rax, [HOST_VMCB]
    vmload

    mov rax, [VCPU]
    mov [rax + GPR(1)], rcx
    mov [rax + GPR(2)], rdx
    mov [rax + GPR(3)], rbx
    mov [rax + GPR(5)], rbp
    mov [rax + GPR(6)], rsi
    mov [rax + GPR(7)], rdi
    mov [rax + GPR(8)], r8
    mov [rax + GPR(9)], r9
    mov [rax + GPR(10)], r10
    mov [rax + GPR(11)], r11
    mov [rax + GPR(12)], r12
    mov [rax + GPR(13)], r13
    mov [rax + GPR(14)], r14
    mov [rax + GPR(15)], r15
    stgi

    lea rbp, [SAVED_RBP]                ; for stack traces
    mov rdi, rax
    cmp byte [trace_on], 0
    jne .traced
    call svm_exited
    test rax, rax
    jnz .enter
.leave:
    add rsp, 24
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

.traced:
    call svm_exited_traced
    test rax, rax
    jnz .enter
    jmp .leave
