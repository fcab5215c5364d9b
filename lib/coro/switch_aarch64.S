/* SPDX-License-Identifier: MIT */
/* Copyright (c) the Weft authors */
/*
 * The switch for aarch64, AAPCS64. A saved stack holds, from its stack pointer up: x19 to x28, x29 (the frame pointer), x30
 * (where to go on) and d8 to d15, of which the convention keeps the low halves alone. The frame has the same shape before and
 * after the change of stacks, so one set of CFI serves both sides, and a debugger can walk a parked stack from its saved stack
 * pointer.
 *
 * Landing pads are written as hints (bti c is hint 34), which older assemblers and processors take too.
 */
#define FRAME 160
#define BTI_C hint #34

    .text

    .macro describe_saved           /* the frame, whose end is the CFA */
    .cfi_offset x19, -160
    .cfi_offset x20, -152
    .cfi_offset x21, -144
    .cfi_offset x22, -136
    .cfi_offset x23, -128
    .cfi_offset x24, -120
    .cfi_offset x25, -112
    .cfi_offset x26, -104
    .cfi_offset x27, -96
    .cfi_offset x28, -88
    .cfi_offset x29, -80
    .cfi_offset x30, -72
    .cfi_offset d8, -64
    .cfi_offset d9, -56
    .cfi_offset d10, -48
    .cfi_offset d11, -40
    .cfi_offset d12, -32
    .cfi_offset d13, -24
    .cfi_offset d14, -16
    .cfi_offset d15, -8
    .endm

    .globl  weft_switch_
    .hidden weft_switch_
    .type   weft_switch_, %function
    .p2align 4
weft_switch_:
    .cfi_startproc
    BTI_C
    sub     sp, sp, #FRAME
    .cfi_adjust_cfa_offset FRAME
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
    describe_saved                  /* before this the registers still hold all of it */
    mov     x2, sp
    str     x2, [x0]
    mov     sp, x1
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
    .cfi_remember_state
    add     sp, sp, #FRAME
    .cfi_def_cfa sp, 0
    .irp    reg, x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30, d8, d9, d10, d11, d12, d13, d14, d15
    .cfi_restore \reg
    .endr
    ret                             /* not br, which would need a landing pad where it goes */
    .cfi_restore_state
    .cfi_endproc
    .size   weft_switch_, . - weft_switch_

/* A new stack goes on at weft_switch_start_. Who unwinds looks just before that, as for a return address: so there is code. */
    .type   weft_switch_not_begun_, %function
    .p2align 4
weft_switch_not_begun_:
    .cfi_startproc
    .cfi_undefined x30              /* the outermost frame: back-traces end here */
    nop
    .size   weft_switch_not_begun_, . - weft_switch_not_begun_

    .globl  weft_switch_start_
    .hidden weft_switch_start_
    .type   weft_switch_start_, %function
weft_switch_start_:
    BTI_C
    mov     x29, xzr
    mov     x30, xzr
    mov     x0, x20
    blr     x19
    .globl  weft_switch_started_
    .hidden weft_switch_started_
weft_switch_started_:
    brk     #1
    .cfi_endproc
    .size   weft_switch_start_, . - weft_switch_start_

    .globl  weft_switch_call_
    .hidden weft_switch_call_
    .type   weft_switch_call_, %function
    .p2align 4
weft_switch_call_:
    .cfi_startproc
    BTI_C
    stp     x29, x30, [sp, #-16]!
    .cfi_adjust_cfa_offset 16
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    mov     x29, sp
    .cfi_def_cfa_register x29
    mov     sp, x2
    mov     x3, x0
    mov     x0, x1
    blr     x3
    mov     sp, x29
    .cfi_def_cfa_register sp
    ldp     x29, x30, [sp], #16
    .cfi_adjust_cfa_offset -16
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   weft_switch_call_, . - weft_switch_call_

/* During the call x19 is where the other stack was left, and all that the CFI says is said of that stack. */
    .globl  weft_switch_walk_
    .hidden weft_switch_walk_
    .type   weft_switch_walk_, %function
    .p2align 4
weft_switch_walk_:
    .cfi_startproc
    BTI_C
    stp     x29, x30, [sp, #-32]!
    .cfi_adjust_cfa_offset 32
    .cfi_rel_offset x29, 0
    .cfi_rel_offset x30, 8
    str     x19, [sp, #16]
    .cfi_rel_offset x19, 16
    mov     x19, x2
    mov     x3, x0
    mov     x0, x1
    .cfi_remember_state
    .cfi_def_cfa x19, FRAME
    describe_saved
    blr     x3
    .cfi_restore_state
    ldr     x19, [sp, #16]
    .cfi_restore x19
    ldp     x29, x30, [sp], #32
    .cfi_adjust_cfa_offset -32
    .cfi_restore x29
    .cfi_restore x30
    ret
    .cfi_endproc
    .size   weft_switch_walk_, . - weft_switch_walk_

    .section .note.GNU-stack, "", %progbits

/* All entries have landing pads: without this note the linker would not let the whole program require them. */
    .section .note.gnu.property, "a"
    .p2align 3
    .word   4, 16, 5                /* sizes of the name and the properties; NT_GNU_PROPERTY_TYPE_0 */
    .asciz  "GNU"
    .word   0xc0000000, 4, 1, 0     /* GNU_PROPERTY_AARCH64_FEATURE_1_AND, its size, BTI; padding */
