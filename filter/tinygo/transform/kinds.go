package transform

import "tinygo.org/x/go-llvm"

// keepKinds leaves of the description of each type its first byte alone: the kind, and whether the type is named and comparable.
//
// The filter has no package reflect. What reads descriptions is a comparison of two interfaces, which asks for the kind
// (runtime/interfaces.go), and errors.Is, which asks whether a type is comparable. A type assertion compares addresses. But each
// description names those of its fields, elements and pointers, so that 2,300 of them were in the module, 45 KB, with the names of all
// fields, where some hundred types are ever in an interface. A module with reflect, one for tests, keeps them.
func (p *lowerInterfacesPass) keepKinds() {
	if !p.mod.NamedFunction("reflect.ValueOf").IsNil() {
		return
	}
	for _, t := range p.types {
		old := t.typecode
		first := p.builder.CreateExtractValue(old.Initializer(), 0, "")
		if first.Type() != p.ctx.Int8Type() {
			panic("a type's description begins with " + first.Type().String() + ", want its kind: " + t.name)
		}
		kind := p.ctx.ConstStruct([]llvm.Value{first}, false)
		short := llvm.AddGlobal(p.mod, kind.Type(), old.Name()+".kind")
		short.SetInitializer(kind)
		short.SetLinkage(old.Linkage())
		short.SetGlobalConstant(true)
		short.SetAlignment(old.Alignment()) // the lowest two bits of an address count the pointers to a type
		old.ReplaceAllUsesWith(short)
		name := old.Name()
		old.EraseFromParentAsGlobal()
		short.SetName(name)
		t.typecode = short
	}
}
