package key

// address appends the client's address.
func (r *reader) address(text string) {
	if text != "" {
		r.b, r.state = append(r.b, text...), found
	}
}
