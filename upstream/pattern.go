package upstream

import (
	"path"
	"strings"
)

// permits reports whether c lets the repository at path be fetched.
func (c Config) permits(path string) bool {
	for _, pattern := range c.Deny {
		if matches(pattern, path) {
			return false
		}
	}
	for _, pattern := range c.Allow {
		if matches(pattern, path) {
			return true
		}
	}
	return len(c.Allow) == 0
}

// matches reports whether a pattern of [Config.Allow] matches the path of a repository.
func matches(pattern, path string) bool {
	return matchParts(strings.Split(pattern, "/"), strings.Split(path, "/"))
}

func matchParts(pattern, parts []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(parts) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], parts[0]); !ok || err != nil {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	if len(pattern) == 0 {
		return len(parts) == 0
	}
	for skipped := 0; skipped <= len(parts); skipped++ {
		if matchParts(pattern[1:], parts[skipped:]) {
			return true
		}
	}
	return false
}
