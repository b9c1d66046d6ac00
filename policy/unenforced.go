package policy

// Unenforced lists what the document asks for and this version of the filter does not do yet, as a *Mistakes; nil
// where it does everything. A caller that would start to enforce the document refuses it then: a limit that is not
// kept is worse than a proxy that says so.
func (doc *Document) Unenforced() error {
	u := &unenforced{}
	if doc.Admin {
		u.note("admin", "the admin API", "leave this plugin out")
	}
	return asError(u.list)
}

type unenforced struct{ list []Mistake }

// note says that what, at path, is not enforced, and what to write instead.
func (u *unenforced) note(path, what, instead string) {
	u.list = append(u.list, Mistake{path, what + " is not enforced by this version of Weir yet; " + instead})
}
