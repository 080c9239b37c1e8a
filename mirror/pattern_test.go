package mirror

import "testing"

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"library/*", "library/alpine", true},
		{"library/*", "library/a/b", false},
		{"library/*", "library", false},
		{"org/**", "org", true},
		{"org/**", "org/a/b", true},
		{"org/**", "organ/a", false},
		{"**", "a/b/c", true},
		{"**/*-debug", "app-debug", true},
		{"**/*-debug", "org/app-debug", true},
		{"**/*-debug", "org/app", false},
		{"a/**/z", "a/z", true},
		{"a/**/z", "a/b/c/z", true},
		{"a/**/z", "a/b/c", false},
		{"[", "[", false},
		{"", "a", false},
	} {
		if got := Match(tt.pattern, tt.name); got != tt.want {
			t.Errorf("Match(%q, %q) = %v", tt.pattern, tt.name, got)
		}
	}
}
