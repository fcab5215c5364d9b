/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * int registers_survive_(void **save, void *load, unsigned long base)
 *
 * Fills every register that a callee must keep with base + 1, base + 2, ..., switches by weft_switch_, and looks at them when
 * it is come back to: 0, or the number of the last one that has changed.
 */
    .text
    .globl  registers_survive_
    .hidden registers_survive_
    .p2align 4

#if defined(__x86_64__)

    .type   registers_survive_, @function
    .macro  look register, number
    subq    %rdx, \register
    cmpq    $\number, \register
    movl    $\number, %ecx
    cmovne  %ecx, %eax
    .endm

registers_survive_:
    .cfi_startproc
    endbr64
    pushq   %rbx
    pushq   %rbp
    pushq   %r12
    pushq   %r13
    pushq   %r14
    pushq   %r15
    pushq   %rdx
    .cfi_adjust_cfa_offset 56
    leaq    1(%rdx), %rbx
    leaq    2(%rdx), %rbp
    leaq    3(%rdx), %r12
    leaq    4(%rdx), %r13
    leaq    5(%rdx), %r14
    leaq    6(%rdx), %r15
    callq   weft_switch_
    popq    %rdx
    xorl    %eax, %eax
    look    %rbx, 1
    look    %rbp, 2
    look    %r12, 3
    look    %r13, 4
    look    %r14, 5
    look    %r15, 6
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %rbp
    popq    %rbx
    .cfi_adjust_cfa_offset -56
    ret
    .cfi_endproc
    .section .note.GNU-stack, "", @progbits

#elif defined(__aarch64__)

    .type   registers_survive_, %function
    .macro  look number, register
    sub     \register, \register, x2
    cmp     \register, #\number
    mov     w3, #\number
    csel    w0, w0, w3, eq
    .endm
    .macro  look_double number, register
    fmov    x4, \register
    look    \number, x4
    .endm
    .macro  fill_double number, register
    add     x4, x2, #\number
    fmov    \register, x4
    .endm

registers_survive_:
    .cfi_startproc
    hint    #34                     /* bti c */
    sub     sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    stp     d8, d9, [sp, #96]
    stp     d10, d11, [sp, #112]
    stp     d12, d13, [sp, #128]
    stp     d14, d15, [sp, #144]
    str     x2, [sp, #160]
    add     x19, x2, #1
    add     x20, x2, #2
    add     x21, x2, #3
    add     x22, x2, #4
    add     x23, x2, #5
    add     x24, x2, #6
    add     x25, x2, #7
    add     x26, x2, #8
    add     x27, x2, #9
    add     x28, x2, #10
    add     x29, x2, #11
    fill_double 12, d8
    fill_double 13, d9
    fill_double 14, d10
    fill_double 15, d11
    fill_double 16, d12
    fill_double 17, d13
    fill_double 18, d14
    fill_double 19, d15
    bl      weft_switch_
    ldr     x2, [sp, #160]
    mov     w0, #0
    look    1, x19
    look    2, x20
    look    3, x21
    look    4, x22
    look    5, x23
    look    6, x24
    look    7, x25
    look    8, x26
    look    9, x27
    look    10, x28
    look    11, x29
    look_double 12, d8
    look_double 13, d9
    look_double 14, d10
    look_double 15, d11
    look_double 16, d12
    look_double 17, d13
    look_double 18, d14
    look_double 19, d15
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    ldp     d8, d9, [sp, #96]
    ldp     d10, d11, [sp, #112]
    ldp     d12, d13, [sp, #128]
    ldp     d14, d15, [sp, #144]
    add     sp, sp, #176
    .cfi_adjust_cfa_offset -176
    ret
    .cfi_endproc
    .section .note.GNU-stack, "", %progbits

#endif
