package policy

import "strconv"

// DefaultFor is the default data for a path without its query: that of the pattern which is the path itself, else of the
// longest that matches, as with clusters, else Default. Nil means that there is none.
func (f *Fallback) DefaultFor(path string) *DefaultData {
	chosen, best := f.Default, ""
	for _, d := range f.DefaultByPath {
		if d.Pattern == path {
			return d.Data
		}
		if matches(d.Pattern, path) && (best == "" || precedence(d.Pattern, best) < 0) {
			chosen, best = d.Data, d.Pattern
		}
	}
	return chosen
}

// decodeDefaultByPath reads `fallback.default_data_by_path`.
func decodeDefaultByPath(s *section) []PathDefault {
	const name = "default_data_by_path"
	s.describe(name, "object", "absent: off")
	v := s.find(name)
	if v == nil {
		return nil
	}
	inner := s.d.section(s.at(name), v)
	if len(inner.members) > maxList {
		s.mistake(name, "must have at most "+strconv.Itoa(maxList)+" paths, got "+strconv.Itoa(len(inner.members)))
		return nil
	}
	var all []PathDefault
	for i := range inner.members {
		m := &inner.members[i]
		if m.value.broken {
			continue
		}
		if problem := pathPattern(m.name); problem != "" {
			inner.mistake(m.name, problem)
			continue
		}
		all = append(all, PathDefault{m.name, decodeDefaultData(s.d.section(inner.at(m.name), &m.value))})
	}
	return all
}
