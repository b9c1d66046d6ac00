package policy

// decodeBulkhead reads `bulkhead`.
func decodeBulkhead(s *section) *Bulkhead {
	if s == nil {
		return nil
	}
	b := &Bulkhead{MaxConcurrent: int(s.whole("max_concurrent", 100, 1, maxCount))}
	s.end()
	return b
}
