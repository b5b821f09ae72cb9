; The way into a guest and back (APM volume 2, 15.5, 15.6, 15.17).
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

; struct vcpu *svm_run(struct vcpu *vcpu, hpa_t guest_vmcb, hpa_t host_vmcb): returns its argument, so that the caller has
; to keep nothing
global svm_run:function
svm_run:
    push rbp
    mov rbp, rsp
    push rbx
    push r12
    push r13
    push r14
    push r15
    push rdi
    push rdx
    mov rax, rsi

    mov rcx, [rdi + GPR(1)]
    mov rdx, [rdi + GPR(2)]
    mov rbx, [rdi + GPR(3)]
    mov rbp, [rdi + GPR(5)]
    mov rsi, [rdi + GPR(6)]
    mov r8, [rdi + GPR(8)]
    mov r9, [rdi + GPR(9)]
    mov r10, [rdi + GPR(10)]
    mov r11, [rdi + GPR(11)]
    mov r12, [rdi + GPR(12)]
    mov r13, [rdi + GPR(13)]
    mov r14, [rdi + GPR(14)]
    mov r15, [rdi + GPR(15)]
    mov rdi, [rdi + GPR(7)]

    clgi
    sti
    vmload
    vmrun
    cli
    vmsave
    mov rax, [rsp]
    vmload

    mov rax, [rsp + 8]
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

    add rsp, 16
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret
