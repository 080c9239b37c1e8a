package upstream

import (
	"net/http"
	"slices"
	"strings"
)

// challenge is one way to sign in, from a WWW-Authenticate header.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// challengesOf returns the challenges of a response that this package supports: Bearer before Basic, in whatever order the
// headers have them. It skips others, such as Negotiate.
//
// https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
func challengesOf(resp *http.Response) []challenge {
	var all []challenge
	for _, header := range resp.Header.Values("WWW-Authenticate") {
		all = append(all, parseChallenges(header)...)
	}
	all = slices.DeleteFunc(all, func(c challenge) bool { return c.scheme != "bearer" && c.scheme != "basic" })
	slices.SortStableFunc(all, func(a, b challenge) int { return -strings.Compare(a.scheme, b.scheme) })
	return all
}

// parseChallenges parses the challenges of one header: schemes and their parameters, all separated by commas.
func parseChallenges(header string) []challenge {
	var all []challenge
	for s := scanner(header); ; {
		s.skip(" \t,")
		name := s.token()
		if name == "" {
			return all
		}
		s.skip(" \t")
		if value, ok := s.value(); ok && len(all) > 0 {
			all[len(all)-1].params[strings.ToLower(name)] = value
		} else if !ok {
			all = append(all, challenge{strings.ToLower(name), map[string]string{}})
		}
	}
}

// scanner is the rest of a header.
type scanner string

func (s *scanner) skip(any string) { *s = scanner(strings.TrimLeft(string(*s), any)) }

// token reads the text before the next delimiter. It skips misplaced delimiters.
func (s *scanner) token() string {
	for {
		end := strings.IndexAny(string(*s), " \t,=\"")
		if end < 0 {
			end = len(*s)
		}
		token := string((*s)[:end])
		*s = (*s)[end:]
		if token != "" || *s == "" {
			return token
		}
		*s = (*s)[1:]
	}
}

// value reads "= value", with or without quotes.
func (s *scanner) value() (string, bool) {
	rest, ok := strings.CutPrefix(string(*s), "=")
	if !ok {
		return "", false
	}
	rest = strings.TrimLeft(rest, " \t")
	if quoted, ok := strings.CutPrefix(rest, `"`); ok {
		return s.quoted(quoted), true
	}
	end := strings.IndexAny(rest, " \t,")
	if end < 0 {
		end = len(rest)
	}
	*s = scanner(rest[end:])
	return rest[:end], true
}

// quoted reads the rest of a quoted string, which ends at its closing quote or at the end of the header.
func (s *scanner) quoted(rest string) string {
	var value strings.Builder
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == '"':
			*s = scanner(rest[i+1:])
			return value.String()
		case rest[i] == '\\' && i+1 < len(rest):
			i++
		}
		value.WriteByte(rest[i])
	}
	*s = ""
	return value.String()
}
