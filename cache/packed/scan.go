package packed

import (
	"cmp"
	"iter"
	"strings"

	"airmirror/cache/backend"
)

// Scan implements [backend.ReadTx].
func (t *readTx) Scan(table backend.Table, prefix, after string) iter.Seq2[string, []byte] {
	layout := t.index.layouts[table]
	if layout == nil {
		return t.tx.Scan(table, prefix, after)
	}
	return func(yield func(string, []byte) bool) {
		s := scan{readTx: t, table: table, layout: layout, prefix: prefix, after: after, yield: yield}
		if layout[0] == Repo && strings.IndexByte(prefix, 0) < 0 {
			s.eachRepo()
		} else {
			s.within()
		}
	}
}

// scan is a scan of a table with a layout.
type scan struct {
	*readTx
	table         backend.Table
	layout        Layout
	prefix, after string
	yield         func(string, []byte) bool
}

// within scans keys whose prefix has a form below: within one repository, or in a table that begins with digests.
func (s *scan) within() {
	last := s.lastVerbatim()
	if from, exact, found := s.bound(s.prefix); found && last == "" {
		if after, ok := s.position(); ok && !s.entries(from, after, exact) {
			return
		}
	}
	s.entries(verbatim+s.prefix, last, true)
}

// lastVerbatim returns the position below if the scan continues after a key that does not have the layout; such keys
// come after all others. It returns "" otherwise.
func (s *scan) lastVerbatim() string {
	if below := s.key(s.table, s.after); s.after != "" && strings.HasPrefix(below, verbatim) && s.tx.Get(s.table, below) != nil {
		return below
	}
	return ""
}

// position returns the position below from which a scan continues after s.after; "" is the beginning. It reports false
// after the last key that can be decoded.
func (s *scan) position() (string, bool) {
	if s.after == "" {
		return "", true
	}
	if below := s.key(s.table, s.after); below != "" && !strings.HasPrefix(below, verbatim) {
		return below, true
	}
	// Not a key of this table: the scan begins at the part of it that has a form.
	from, _, found := s.bound(s.after)
	return from, found
}

// entries yields the keys that begin with from, after a position. exact is false if from is shorter than the prefix of
// the scan.
func (s *scan) entries(from, after string, exact bool) bool {
	for below, value := range s.tx.Scan(s.table, from, after) {
		if from == "" && strings.HasPrefix(below, verbatim) {
			continue // comes last
		}
		key := s.layout.decode(below, s.name)
		if (!exact || strings.HasPrefix(key, Undecodable)) && !strings.HasPrefix(key, s.prefix) {
			continue
		}
		// After a position within a part, keys can be less than the text of that part.
		if after != "" && strings.HasPrefix(below, after) && key <= s.after {
			continue
		}
		if !s.yield(key, value) {
			return false
		}
	}
	return true
}

// bound returns what all keys below begin with whose text begins with text. exact is false if other keys do, too. found
// is false if there are no such keys.
func (s *scan) bound(text string) (from string, exact, found bool) {
	var b []byte
	var first string
	for i, kind := range s.layout {
		part, more := text, false
		if i < len(s.layout)-1 {
			part, text, more = strings.Cut(text, "\x00")
		}
		if !more {
			if kind == Digest && part != "" && strings.HasPrefix(first, part) {
				return string(b), false, true // a digest that is repeated has another form
			}
			b, exact = s.boundPart(b, kind, part)
			return string(b), exact, true
		}
		switch kind {
		case Repo:
			n := s.number(part)
			if n == 0 {
				return "", false, false
			}
			b = n.append(b)
		case Digest:
			var ok bool
			if b, ok = appendDigest(b, part); !ok {
				return "", false, false
			}
			first = cmp.Or(first, part)
		case Text: // always the last part
		}
	}
	return string(b), true, true
}

// boundPart appends the form of the beginning of a part.
func (s *scan) boundPart(b []byte, kind Part, part string) (_ []byte, exact bool) {
	if kind == Text || part == "" {
		return append(b, part...), true
	}
	if kind == Repo {
		return b, false
	}
	if whole, ok := appendDigest(b, part); ok {
		return whole, false // the form of a digest that is repeated is another one
	}
	switch {
	case strings.HasPrefix(part, "sha256:"):
		b, _ = appendHex(append(b, sha256Code), part[7:])
	case strings.HasPrefix(part, "sha512:"):
		b, _ = appendHex(append(b, sha512Code), part[7:])
	case part > "sha512:":
		b = append(b, afterAll...)
	}
	return b, false
}

// eachRepo scans a table that begins with repositories, in the order of their names.
func (s *scan) eachRepo() {
	for n, after := range s.repos() {
		if !s.entries(string(n.append(nil)), after, true) {
			return
		}
	}
	s.rest()
}

// repos yields the numbers of repositories whose names begin with the prefix, in the order of the names, and the position
// below from which each is scanned.
func (s *scan) repos() iter.Seq2[number, string] {
	return func(yield func(number, string) bool) {
		first := s.after
		if below, isKey := strings.CutPrefix(s.after, Undecodable); isKey {
			n, _ := cutNumber(below)
			if first = s.name(n); first == "" {
				return // among the rest
			}
		} else if s.lastVerbatim() != "" {
			return
		} else {
			first, _, _ = strings.Cut(first, "\x00")
		}
		if n := s.number(first); n != 0 && strings.HasPrefix(first, s.prefix) {
			after, ok := s.position()
			if ok && !yield(n, after) {
				return
			}
		}
		for _, value := range s.tx.Scan(tableNames, s.prefix, first) {
			if n, rest := cutNumber(string(value)); n != 0 && rest == "" && !yield(n, "") {
				return
			}
		}
	}
}

// rest yields the keys of no repository: those that do not have the layout, and those whose number has lost its name. It
// seeks the first key of each repository.
func (s *scan) rest() {
	from := s.lastVerbatim()
	if below, isKey := strings.CutPrefix(s.after, Undecodable); isKey {
		if n, _ := cutNumber(below); s.name(n) == "" {
			from = below
		}
	}
	for {
		next, value := s.next(from)
		if next == "" {
			return
		}
		n, _ := cutNumber(next)
		if s.name(n) != "" {
			from = string(n.append(nil)) + afterAll
			if next > from { // damaged, and yielded with its repository
				from = next
			}
			continue
		}
		from = next
		if key := s.layout.decode(next, s.name); strings.HasPrefix(key, s.prefix) && !s.yield(key, value) {
			return
		}
	}
}

// next returns the first key below after a position; "" at the end.
func (s *scan) next(after string) (string, []byte) {
	for below, value := range s.tx.Scan(s.table, "", after) {
		return below, value
	}
	return "", nil
}
