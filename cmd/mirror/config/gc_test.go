package config

import (
	"slices"
	"testing"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestRetentionPatternsGetDefaultHost checks that a pattern without a host matches repositories of the default registry.
func TestRetentionPatternsGetDefaultHost(t *testing.T) {
	names := mirror.Names{Default: "reg.example:5000"}
	for pattern, want := range map[string][]string{
		"**":             {"**"},
		"*/team/**":      {"*/team/**"},
		"t*/app":         {"t*/app"},
		"quay.io/org/**": {"quay.io/org/**"},
		"localhost/app":  {"localhost/app"},
		"team/**":        {"team/**", "reg.example:5000/team/**"},
		"app":            {"app", "reg.example:5000/app"},
		"team/*:pr-*":    {"team/*:pr-*", "reg.example:5000/team/*:pr-*"},
	} {
		if got := withHosts(names, pattern); !slices.Equal(got, want) {
			t.Errorf("%s is %q, want %q", pattern, got, want)
		}
	}
	var c GC
	c.Evict = []string{"app"}
	c.Rules = []gc.Rule{{Match: "library/app", KeepNewest: 1}, {Match: "**", KeepNewest: 2}}
	s := c.Collector(mirror.Names{})
	var rules []string
	for _, rule := range s.Rules {
		rules = append(rules, rule.Match)
	}
	if want := []string{"library/app", "docker.io/library/app", "**"}; !slices.Equal(rules, want) || s.Rules[1].KeepNewest != 1 {
		t.Errorf("rules %q, want %q", rules, want)
	}
	if want := []string{"app", "docker.io/library/app"}; !slices.Equal(s.Evict, want) {
		t.Errorf("names %q, want %q", s.Evict, want)
	}
}
