package packed

import (
	"encoding/hex"
	"strings"

	"github.com/opencontainers/go-digest"
)

// The first byte of a digest. The order is that of the names of the algorithms.
const (
	sha256Code = 1
	sha512Code = 2
	sameCode   = 3 // the first digest of the key again
)

const (
	// verbatim begins a key that does not have its layout: text follows. No digest and no number begins with it.
	verbatim = "\x00"
	// afterAll is greater than what follows the number of a repository in any key, and than any digest.
	afterAll = "\xff"
)

// Undecodable begins the text of a key that cannot be decoded: its bytes follow.
const Undecodable = "\xff"

// appendDigest appends the binary form of a digest in canonical text.
func appendDigest(b []byte, text string) ([]byte, bool) {
	switch {
	case len(text) == 7+64 && text[:7] == "sha256:":
		return appendHex(append(b, sha256Code), text[7:])
	case len(text) == 7+128 && text[:7] == "sha512:":
		return appendHex(append(b, sha512Code), text[7:])
	}
	return b, false
}

// appendHex appends the bytes of an even number of lower-case hexadecimal digits.
func appendHex(b []byte, digits string) ([]byte, bool) {
	for i := 0; i+1 < len(digits); i += 2 {
		high, low := hexValue(digits[i]), hexValue(digits[i+1])
		if high > 15 || low > 15 {
			return b, false
		}
		b = append(b, high<<4|low)
	}
	return b, true
}

// hexValue returns the value of a lower-case digit; more than 15 for another character.
func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// AppendDigest appends the binary form of a digest, as it is in keys, to b. ok is false for a digest that is not a
// canonical one of SHA-256 or SHA-512.
func AppendDigest(b []byte, d digest.Digest) (_ []byte, ok bool) {
	if encoded, ok := appendDigest(b, string(d)); ok {
		return encoded, true
	}
	return b, false
}

// AppendDigestText decodes a digest at the beginning of b and appends its text. ok is false if there is none.
func AppendDigestText(text, b []byte) (_, rest []byte, ok bool) {
	switch {
	case len(b) >= 33 && b[0] == sha256Code:
		return hex.AppendEncode(append(text, "sha256:"...), b[1:33]), b[33:], true
	case len(b) >= 65 && b[0] == sha512Code:
		return hex.AppendEncode(append(text, "sha512:"...), b[1:65]), b[65:], true
	}
	return text, b, false
}

// encode returns the key below for a key of the table. numberOf returns the number of a repository, or 0; then there is
// no such key, and encode returns "" and the name of the repository.
func (l Layout) encode(key string, numberOf func(name string) number) (below, unknown string) {
	if key == "" {
		return "", ""
	}
	if strings.HasPrefix(key, Undecodable) {
		return key[1:], ""
	}
	var space [160]byte
	b := space[:0]
	var first string
	rest, more := key, true
	for i, kind := range l {
		if !more {
			return verbatim + key, ""
		}
		var part string
		if part, more = rest, false; i < len(l)-1 {
			part, rest, more = strings.Cut(rest, "\x00")
		}
		switch kind {
		case Repo:
			if part == "" {
				return verbatim + key, ""
			}
			n := numberOf(part)
			if n == 0 {
				unknown = part // the rest of the key may show that it does not have the layout
			}
			b = n.append(b)
		case Digest:
			switch encoded, ok := appendDigest(b, part); {
			case !ok:
				return verbatim + key, ""
			case part == first:
				b = append(b, sameCode)
			default:
				b = encoded
				if first == "" {
					first = part
				}
			}
		case Text:
			if part == "" || strings.IndexByte(part, 0) >= 0 {
				return verbatim + key, ""
			}
			b = append(b, part...)
		}
	}
	if unknown != "" {
		return "", unknown
	}
	return string(b), ""
}

// decode is the inverse of encode. name returns the name of a repository; "" if there is none.
func (l Layout) decode(below string, name func(n number) string) string {
	if strings.HasPrefix(below, verbatim) {
		if text := below[1:]; text != "" && !strings.HasPrefix(text, Undecodable) && !l.matches(text) {
			return text
		}
		return Undecodable + below
	}
	var space [256]byte
	b := space[:0]
	first, rest := []byte(nil), below
	for i, kind := range l {
		if i > 0 {
			b = append(b, 0)
		}
		ok := false
		switch kind {
		case Repo:
			var n number
			if n, rest = cutNumber(rest); n != 0 {
				if repo := name(n); repo != "" {
					b, ok = append(b, repo...), true
				}
			}
		case Digest:
			begin := len(b)
			if b, rest, ok = cutDigest(b, rest, first); ok && first == nil {
				first = b[begin:len(b):len(b)]
			}
		case Text:
			if ok = rest != "" && strings.IndexByte(rest, 0) < 0; ok {
				b, rest = append(b, rest...), ""
			}
		}
		if !ok {
			return Undecodable + below
		}
	}
	if rest != "" {
		return Undecodable + below
	}
	return string(b)
}

// cutDigest appends the text of the digest at the beginning of key to b. first is the text of the first digest of the
// key, or nil. A digest that is equal to the first one has another form, so that each key has one form only.
func cutDigest(b []byte, key string, first []byte) (_ []byte, rest string, ok bool) {
	if first != nil && key != "" && key[0] == sameCode {
		return append(b, first...), key[1:], true
	}
	begin := len(b)
	size := 33
	if key != "" && key[0] == sha512Code {
		size = 65
	}
	if len(key) < size {
		return b, key, false
	}
	b, _, ok = AppendDigestText(b, []byte(key[:size]))
	return b, key[size:], ok && (first == nil || string(b[begin:]) != string(first))
}

// matches reports whether a key has the layout.
func (l Layout) matches(key string) bool {
	below, _ := l.encode(key, func(string) number { return 1 })
	return !strings.HasPrefix(below, verbatim)
}
