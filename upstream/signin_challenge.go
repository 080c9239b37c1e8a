package upstream

import (
	"net/http"
	"slices"
	"strings"
)

// challenge is one way to sign in that a server offers.
type challenge struct {
	scheme string // in lower case
	params map[string]string
}

// challengesOf are the challenges of an answer that this mirror knows how to meet: Bearer before Basic, whichever comes
// first in the headers. Others, such as Negotiate, are left out.
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

// parseChallenges reads the challenges of one header: schemes and their parameters, all of them with commas between.
func parseChallenges(header string) []challenge {
	var all []challenge
	for s := scanner(header); ; {
		s.skip(" \t,")
		word := s.token()
		if word == "" {
			return all
		}
		s.skip(" \t")
		if value, ok := s.value(); ok && len(all) > 0 {
			all[len(all)-1].params[strings.ToLower(word)] = value
		} else if !ok {
			all = append(all, challenge{strings.ToLower(word), map[string]string{}})
		}
	}
}

// scanner is what is left of a header.
type scanner string

func (s *scanner) skip(any string) { *s = scanner(strings.TrimLeft(string(*s), any)) }

// word takes what comes before a delimiter. A delimiter that is in no place of its own is passed over.
func (s *scanner) token() string {
	for {
		end := strings.IndexAny(string(*s), " \t,=\"")
		if end < 0 {
			end = len(*s)
		}
		word := string((*s)[:end])
		*s = (*s)[end:]
		if word != "" || *s == "" {
			return word
		}
		*s = (*s)[1:]
	}
}

// value takes "= value", with or without quotes.
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

// quoted takes the rest of a quoted string, which ends with the header if it does not end before.
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
