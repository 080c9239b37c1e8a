package mirror

import "strings"

// The grammar of names is checked by hand-written code: it runs for each request, and regular expressions took more time
// than the rest of an answer from memory. The tests compare it with the expressions of the specification.

// class is a set of ASCII characters.
type class [256]bool

func classOf(chars string) (c class) {
	for i := range len(chars) {
		c[chars[i]] = true
	}
	return c
}

const (
	digits = "0123456789"
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)

var (
	pathChars  = classOf(digits + lower)
	hostChars  = classOf(digits + lower + upper)
	labelChars = classOf(digits + lower + upper + "-")
	tagChars   = classOf(digits + lower + upper + "_.-")
	ipv6Chars  = classOf(digits + "abcdefABCDEF:")
	hexChars   = classOf(digits + "abcdef")
	portChars  = classOf(digits)
)

// all reports whether s is not empty and consists of characters of c.
func (c *class) all(s string) bool {
	for i := range len(s) {
		if !c[s[i]] {
			return false
		}
	}
	return s != ""
}

// validPath reports whether s consists of parts separated by slashes. A part consists of lower-case letters and digits,
// separated by a dot, one or two underscores or any number of dashes.
func validPath(s string) bool {
	for i := 0; ; i++ {
		start := i
		for i < len(s) && pathChars[s[i]] {
			i++
		}
		switch {
		case i == start:
			return false
		case i == len(s):
			return true
		case s[i] == '-':
			for i+1 < len(s) && s[i+1] == '-' {
				i++
			}
		case s[i] == '_':
			if i+1 < len(s) && s[i+1] == '_' {
				i++
			}
		case s[i] != '/' && s[i] != '.':
			return false
		}
	}
}

// ValidTag reports whether s is within the grammar of tags.
func ValidTag(s string) bool {
	return len(s) <= 128 && tagChars.all(s) && s[0] != '.' && s[0] != '-'
}

// ValidHost reports whether s is a host name, an IPv4 address or a bracketed IPv6 address, with or without a port.
func ValidHost(s string) bool {
	if len(s) > maxNameLength {
		return false
	}
	if strings.HasPrefix(s, "[") {
		address, port, closed := strings.Cut(s[1:], "]")
		return closed && ipv6Chars.all(address) && (port == "" || validPort(port))
	}
	if i := strings.IndexByte(s, ':'); i >= 0 {
		if !validPort(s[i:]) {
			return false
		}
		s = s[:i]
	}
	for label := range strings.SplitSeq(s, ".") {
		if !labelChars.all(label) || !hostChars[label[0]] || !hostChars[label[len(label)-1]] {
			return false
		}
	}
	return true
}

// validPort checks a port with its colon.
func validPort(s string) bool { return s[0] == ':' && len(s) <= 6 && portChars.all(s[1:]) }

// validDigest reports whether s is a digest with a supported algorithm.
func validDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	if ok {
		return len(hex) == 64 && hexChars.all(hex)
	}
	hex, ok = strings.CutPrefix(s, "sha512:")
	return ok && len(hex) == 128 && hexChars.all(hex)
}
