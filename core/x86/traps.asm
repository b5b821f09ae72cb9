; One stub per vector, all 16 bytes apart, and the way into trap_handle() and back.

extern trap_handle

; Vectors whose exceptions push an error code (SDM volume 3, table "Protected-Mode Exceptions and Interrupts").
%define HAS_ERROR(v) (v == 8 || (v >= 10 && v <= 14) || v == 17 || v == 21 || v == 29 || v == 30)

section .text
bits 64

global trap_stubs
    align 16
trap_stubs:
%assign vector 0
%rep 256
    align 16
%if !HAS_ERROR(vector)
    push 0
%endif
    push strict dword vector
    jmp near trap_common
%assign vector vector + 1
%endrep

    align 16
trap_common:
    push rax
    push rcx
    push rdx
    push rbx
    push rbp
    push rsi
    push rdi
    push r8
    push r9
    push r10
    push r11
    push r12
    push r13
    push r14
    push r15
    cld
    mov rdi, rsp                ; the CPU aligned the stack to 16 before it pushed; 22 words leave it so
    call trap_handle
    pop r15
    pop r14
    pop r13
    pop r12
    pop r11
    pop r10
    pop r9
    pop r8
    pop rdi
    pop rsi
    pop rbp
    pop rbx
    pop rdx
    pop rcx
    pop rax
    add rsp, 16                 ; vector, error code
    iretq

; void cpu_switch_stack(void *top, void (*next)(void *arg), void *arg)
global cpu_switch_stack
cpu_switch_stack:
    mov rsp, rdi
    mov rdi, rdx
    xor ebp, ebp                ; the last frame of a stack trace
    call rsi
    ud2
