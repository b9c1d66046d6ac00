# What is linked before all else. The Makefile checks that weir_data_start comes first in .data: what the collector has to scan begins
# there, behind .rodata.
	.section .data.weir_data_start,"",@
	.globl	weir_data_start
	.hidden	weir_data_start
	.p2align 4
weir_data_start:
	.int32	0
	.size	weir_data_start, 4

# TinyGo calls arc4random for the seeds of its maps. libc's has a cipher, and an assertion that brings printf: 15 KB.
	.functype random_get (i32, i32) -> (i32)
	.import_module random_get, wasi_snapshot_preview1
	.import_name random_get, random_get
	.globaltype __stack_pointer, i32

	.section .text.arc4random,"",@
	.globl	arc4random
	.hidden	arc4random
	.type	arc4random,@function
arc4random: # func() uint32
	.functype arc4random () -> (i32)
	.local i32
	global.get __stack_pointer
	i32.const 16
	i32.sub
	local.tee 0
	i32.const 4
	call random_get
	drop
	local.get 0
	i32.load 0
	end_function
