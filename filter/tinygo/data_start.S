# The first bytes of .data, behind .rodata: linked first, and the Makefile checks that it is there. What the collector has to scan begins here.
	.section .data.weir_data_start,"",@
	.globl	weir_data_start
	.hidden	weir_data_start
	.p2align 4
weir_data_start:
	.int32	0
	.size	weir_data_start, 4
