# Two changes of TinyGo's src/runtime/arch_tinygowasm.go; see docs/rationale.md, Memory.
# Its heap doubles when less than a third of it is free after a collection, and never shrinks. A quarter more each time is enough.
s|wasm_memory_grow(wasmMemoryIndex, memorySize)|wasm_memory_grow(wasmMemoryIndex, memorySize/4+1)|
# Its collector takes constants for pointers, which hold free memory for ever. runtime.S says where the constants end.
s|^//go:extern __global_base$|//go:extern weir_data_start\nvar dataStartSymbol [0]byte\n\n&|
s|globalsStart = uintptr(unsafe.Pointer(&globalsStartSymbol))|globalsStart = uintptr(unsafe.Pointer(\&dataStartSymbol))|
