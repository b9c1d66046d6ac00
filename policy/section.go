package policy

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/visible"
)

// section reads an object key by key. The keys that were read are known; end reports the others.
type section struct {
	d       *decoder
	path    string
	members []member
	known   []string // in keys, as long as there is room: a section has up to 17
	keys    [18]string
	broken  bool // it is not an object, and that mistake is noted: missing keys are not
	before  int  // number of mistakes when the section began
}

// section begins to read v, which should be an object.
func (d *decoder) section(path string, v *value) *section {
	s := &section{d: d, path: path, before: d.count}
	s.known = s.keys[:0]
	switch {
	case v.broken:
		s.broken = true
	case v.kind == null:
		s.broken = true
		d.mistake(path, "must be an object, got null; write {} for the defaults")
	case v.kind != object:
		s.broken = true
		d.mistake(path, "must be an object, got "+v.kind.String())
	default:
		s.members = v.members
	}
	return s
}

// end reports the unknown keys.
func (s *section) end() {
	for i := range s.members {
		if name := s.members[i].name; !slices.Contains(s.known, name) {
			s.d.mistake(memberPath(s.path, name), "unknown key, "+suggestion(name, s.known))
		}
	}
}

// at is the path of one of the section's keys.
func (s *section) at(name string) string { return memberPath(s.path, name) }

// clean reports that the section has no mistakes so far: only then can its values be compared with each other.
func (s *section) clean() bool { return !s.broken && s.d.count == s.before }

// mistake notes that something is wrong with one of the section's keys.
func (s *section) mistake(name, what string) {
	s.d.mistake(s.at(name), what)
}

// has reports whether a key is written, with a right or a wrong value.
func (s *section) has(name string) bool {
	return slices.ContainsFunc(s.members, func(m member) bool { return m.name == name })
}

// rename lets a key count as another.
func (s *section) rename(from, to string) {
	s.members = slices.Clone(s.members)
	for i := range s.members {
		if s.members[i].name == from {
			s.members[i].name = to
		}
	}
}

// describes reports whether the keys that are read are wanted as rows of REFERENCE.md. Only then are their texts made: a
// document of 1,000 clusters has some 50,000 keys, and each worker reads it again with each reload.
func (s *section) describes() bool { return s.d.describe != nil }

// describe is the row of one key.
func (s *section) describe(name, typ, fallback string) {
	if s.describes() {
		s.d.describe(Key{s.at(name), typ, fallback})
	}
}

// find makes a key known and returns its value; nil if it is absent or already reported as wrong.
func (s *section) find(name string) *value {
	s.known = append(s.known, name)
	for i := range s.members {
		if m := &s.members[i]; m.name == name && !m.value.broken {
			return &m.value
		}
	}
	return nil
}

// section begins to read a section within this one; nil if it is absent, which means off.
func (s *section) section(name string) *section {
	s.describe(name, "object", "absent: off")
	v := s.find(name)
	if v == nil {
		return nil
	}
	return s.d.section(s.at(name), v)
}

// subsection is a section whose keys have their defaults even if it is absent.
func (s *section) subsection(name string) *section {
	s.describe(name, "object", "{}")
	v := s.find(name)
	if v == nil {
		v = &value{kind: object}
	}
	return s.d.section(s.at(name), v)
}

// boolean reads true or false.
func (s *section) boolean(name string, fallback bool) bool {
	s.describe(name, "boolean", strconv.FormatBool(fallback))
	v := s.find(name)
	switch {
	case v == nil:
	case v.kind == boolean:
		return v.truth
	case v.kind == text && (ascii.EqualFold(v.text, "true") || ascii.EqualFold(v.text, "false")):
		if v.substituted {
			return ascii.EqualFold(v.text, "true")
		}
		s.mistake(name, "must be a boolean, got the string "+quote(v.text)+"; remove the quotes")
	default:
		s.mistake(name, "must be a boolean, got "+v.got())
	}
	return fallback
}

// text reads a string; check returns what is wrong with it, or "".
func (s *section) text(name, typ, fallback string, check func(string) (problem string)) string {
	if s.describes() {
		s.describe(name, typ, visible.Quote(fallback))
	}
	v := s.find(name)
	if v == nil {
		return fallback
	}
	if v.kind != text {
		s.mistake(name, "must be a string, got "+v.kind.String())
		return fallback
	}
	if problem := check(v.text); problem != "" {
		s.mistake(name, problem)
		return fallback
	}
	return v.text
}

// choice reads one of some words and returns its index; the first is the default.
func (s *section) choice(name string, words ...string) int {
	if s.describes() {
		s.describe(name, strings.Join(words, ", "), words[0])
	}
	v := s.find(name)
	if v == nil {
		return 0
	}
	if off := slices.Index(words, "off"); off >= 0 && v.kind == boolean && !v.truth { // plain off of YAML 1.1, which Envoy and Kubernetes read
		return off
	}
	if v.kind != text {
		s.mistake(name, "must be one of "+strings.Join(words, ", ")+", got "+v.kind.String())
		return 0
	}
	i := slices.Index(words, v.text)
	if i < 0 {
		s.mistake(name, "unknown value "+quote(v.text)+", "+suggestion(v.text, words))
		return 0
	}
	return i
}

// item is one entry of a list.
type item struct {
	path  string
	value *value
}

// list reads the entries of a list; written is false if the default applies.
func (s *section) list(name, typ, fallback string) (items []item, written bool) {
	if s.describes() {
		s.describe(name, "list of "+typ, fallback)
	}
	v := s.find(name)
	if v == nil {
		return nil, false
	}
	if v.kind != list {
		s.mistake(name, "must be a list, got "+v.kind.String())
		return nil, false
	}
	if len(v.items) > maxList {
		s.mistake(name, "must have at most "+strconv.Itoa(maxList)+" entries, got "+strconv.Itoa(len(v.items)))
		return nil, false
	}
	for i := range v.items {
		if !v.items[i].broken {
			items = append(items, item{indexPath(s.at(name), i), &v.items[i]})
		}
	}
	return items, true
}

// texts reads a list of strings. normalize returns each as it is kept, or what is wrong with it. None may be listed
// twice.
func (s *section) texts(name, typ string, fallback []string, normalize func(string) (kept, problem string)) []string {
	items, written := s.list(name, typ, s.listText(fallback))
	if !written {
		return fallback
	}
	return s.d.strings(items, normalize)
}

// strings returns the strings of a list, normalized.
func (d *decoder) strings(items []item, normalize func(string) (kept, problem string)) []string {
	kept := make([]string, 0, len(items))
	for _, it := range items {
		if it.value.kind != text {
			d.mistake(it.path, "must be a string, got "+it.value.kind.String())
			continue
		}
		one, problem := normalize(it.value.text)
		switch {
		case problem != "":
			d.mistake(it.path, problem)
		case slices.Contains(kept, one):
			d.mistake(it.path, quote(one)+" is listed twice, remove one")
		default:
			kept = append(kept, one)
		}
	}
	return kept
}

// listText writes a default list as YAML would, where it is wanted.
func (s *section) listText(words []string) string {
	if !s.describes() {
		return ""
	}
	return "[" + strings.Join(words, ", ") + "]"
}

// got describes a value in a mistake. The text of a variable is shown, because the document doesn't show it.
func (v *value) got() string {
	if v.kind == text && v.substituted {
		return quote(v.text)
	}
	return v.kind.String()
}

// duration reads a duration from low to high, see parseDuration.
func (s *section) duration(name string, fallback, low, high time.Duration) time.Duration {
	note := ""
	if s.describes() {
		note = durationText(fallback)
	}
	if v, ok := s.optionalDuration(name, note, low, high); ok {
		return v
	}
	return fallback
}

// optionalDuration reads a duration without a default, or with one that note explains.
func (s *section) optionalDuration(name, note string, low, high time.Duration) (time.Duration, bool) {
	if s.describes() {
		s.describe(name, "duration, "+durationText(low)+" to "+durationText(high), note)
	}
	v := s.find(name)
	if v == nil {
		return 0, false
	}
	got, problem := parseDuration(v)
	switch {
	case problem != "":
		s.mistake(name, problem)
	case got < low:
		s.mistake(name, "must be at least "+durationText(low)+", got "+durationText(got))
	case got > high:
		s.mistake(name, "must be at most "+durationText(high)+", got "+durationText(got))
	default:
		return got, true
	}
	return 0, false
}
