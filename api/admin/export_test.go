package admin

// Patterns returns the patterns of all requests.
func Patterns() (patterns []string) {
	h := &Handler{}
	for _, route := range append(h.routes(), profiles()...) {
		patterns = append(patterns, route.pattern)
	}
	return patterns
}
