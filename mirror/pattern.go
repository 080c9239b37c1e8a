package mirror

import (
	"path"
	"strings"
)

// Match reports whether a name of slash-separated parts matches pattern. A part of the pattern is one of [path.Match].
// The part ** matches any number of parts, including none:
//
//	library/*     library/alpine, but not library/a/b
//	org/**        org, org/app, org/a/b
//	**/*-debug    app-debug, org/app-debug
//
// A malformed pattern matches nothing; see [ValidPattern].
func Match(pattern, name string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(name, "/"))
}

// MatchAny reports whether one of the patterns matches name.
func MatchAny(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if Match(pattern, name) {
			return true
		}
	}
	return false
}

// ValidPattern reports whether s is a pattern.
func ValidPattern(s string) bool {
	_, err := path.Match(s, "")
	return err == nil && s != ""
}

func matchParts(pattern, name []string) bool {
	for ; len(pattern) > 0; pattern = pattern[1:] {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if matchParts(pattern[1:], name[i:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); !ok || err != nil {
			return false
		}
		name = name[1:]
	}
	return len(name) == 0
}
