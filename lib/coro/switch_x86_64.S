/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch for x86-64, System V ABI. A saved stack holds, from its stack pointer up: r15 r14 r13 r12 rbx rbp and the address
 * to go on at. The frame has the same shape before and after the change of stacks, so one set of CFI serves both sides, and
 * a debugger can walk a parked stack from its saved stack pointer.
 */
    .text

    .globl  weft_switch_
    .hidden weft_switch_
    .type   weft_switch_, @function
    .p2align 4
weft_switch_:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    pushq   %r12
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r12, 0
    pushq   %r13
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r13, 0
    pushq   %r14
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r14, 0
    pushq   %r15
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset r15, 0
    movq    %rsp, (%rdi)
    movq    %rsi, %rsp
    popq    %r15
    .cfi_adjust_cfa_offset -8
    .cfi_restore r15
    popq    %r14
    .cfi_adjust_cfa_offset -8
    .cfi_restore r14
    popq    %r13
    .cfi_adjust_cfa_offset -8
    .cfi_restore r13
    popq    %r12
    .cfi_adjust_cfa_offset -8
    .cfi_restore r12
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    popq    %rbp
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbp
    popq    %rcx                    /* a jump, not a return: the return predictor would always be wrong */
    .cfi_adjust_cfa_offset -8
    .cfi_register rip, rcx
    notrack jmp *%rcx
    .cfi_endproc
    .size   weft_switch_, . - weft_switch_

/* A new stack goes on at weft_switch_start_. Who unwinds looks one byte before that, as for a return address: so there is one. */
    .type   weft_switch_not_begun_, @function
    .p2align 4
weft_switch_not_begun_:
    .cfi_startproc
    .cfi_undefined rip              /* the outermost frame: back-traces end here */
    nop
    .size   weft_switch_not_begun_, . - weft_switch_not_begun_

    .globl  weft_switch_start_
    .hidden weft_switch_start_
    .type   weft_switch_start_, @function
weft_switch_start_:
    endbr64
    xorl    %ebp, %ebp
    movq    %rbx, %rdi
    callq   *%r12
    .globl  weft_switch_started_
    .hidden weft_switch_started_
weft_switch_started_:
    ud2
    .cfi_endproc
    .size   weft_switch_start_, . - weft_switch_start_

    .globl  weft_switch_call_
    .hidden weft_switch_call_
    .type   weft_switch_call_, @function
    .p2align 4
weft_switch_call_:
    .cfi_startproc
    endbr64
    pushq   %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    movq    %rsp, %rbp
    .cfi_def_cfa_register rbp
    movq    %rdx, %rsp
    andq    $-16, %rsp
    movq    %rdi, %rax
    movq    %rsi, %rdi
    callq   *%rax
    movq    %rbp, %rsp
    popq    %rbp
    .cfi_def_cfa rsp, 8
    .cfi_restore rbp
    ret
    .cfi_endproc
    .size   weft_switch_call_, . - weft_switch_call_

/* During the call rbx is where the other stack was left, and all that the CFI says is said of that stack. */
    .globl  weft_switch_walk_
    .hidden weft_switch_walk_
    .type   weft_switch_walk_, @function
    .p2align 4
weft_switch_walk_:
    .cfi_startproc
    endbr64
    pushq   %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbx, 0
    movq    %rdx, %rbx
    movq    %rdi, %rax
    movq    %rsi, %rdi
    .cfi_remember_state
    .cfi_def_cfa rbx, 56
    .cfi_offset r15, -56
    .cfi_offset r14, -48
    .cfi_offset r13, -40
    .cfi_offset r12, -32
    .cfi_offset rbx, -24
    .cfi_offset rbp, -16
    callq   *%rax
    .cfi_restore_state
    popq    %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore rbx
    ret
    .cfi_endproc
    .size   weft_switch_walk_, . - weft_switch_walk_

    .section .note.GNU-stack, "", @progbits
