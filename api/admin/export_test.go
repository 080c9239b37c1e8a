package admin

import "slices"

// Patterns returns the patterns of all requests.
func Patterns() (patterns []string) {
	h := &Handler{}
	for _, route := range append(h.routes(), profiles()...) {
		patterns = append(patterns, route.pattern)
	}
	return patterns
}

// IsLocal reports whether a request is never served to users of the network.
func IsLocal(pattern string) bool {
	return slices.ContainsFunc(append((&Handler{}).routes(), profiles()...), func(r route) bool { return r.pattern == pattern && r.right == needsLocal })
}

// IsLocalName is IsLocal for the name of a job, call or stream.
func IsLocalName(name string) bool { return jobRights[name] == needsLocal }
