# What runtime/interfaces.go replaces in TinyGo's src/runtime/interface.go and hashmap.go; see docs/rationale.md, Toolchains.
/^func \(interfaceEqual\|reflectValueEqual\|hashmapInterfaceHash\)(/,/^}/d
/^\/\/go:linkname valueInterfaceUnsafe /,/^func valueInterfaceUnsafe/d
/^	"internal\/reflectlite"$/d
# A map made by its type's number, which may be one that can't be: that is found where it is used.
s/^\t\treturn hashmapInterface\(PtrHash\|Equal\)$/\t\treturn nil/
