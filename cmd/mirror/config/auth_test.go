package config

import (
	"strings"
	"testing"

	"airmirror/upstream"
)

// TestOpenLoginsWarning expects a warning if everyone can pull content that needs a login upstream.
func TestOpenLoginsWarning(t *testing.T) {
	login := upstream.EndpointConfig{URL: "https://ghcr.io", Credentials: upstream.Credentials{Username: "robot"}}
	open := Default()
	open.Upstreams = []Upstream{
		{Config: upstream.Config{Host: "docker.io"}},
		{Config: upstream.Config{Host: "ghcr.io", Endpoints: []upstream.EndpointConfig{{URL: "https://cache.example"}, login}}},
	}
	if note := open.OpenLogins(); !strings.Contains(note, "from ghcr.io with") || strings.Contains(note, "docker.io") || !strings.Contains(note, "auth.anonymousPull: false") {
		t.Errorf("the warning is %q", note)
	}
	closed, ruled, without := open, open, open
	closed.Auth.AnonymousPull = false
	ruled.Auth.Rules = []Rule{{Users: []string{"ann"}}}
	without.Upstreams = open.Upstreams[:1]
	for name, c := range map[string]Config{"users only": closed, "rules": ruled, "no login": without} {
		if note := c.OpenLogins(); note != "" {
			t.Errorf("%s: the warning is %q, want none", name, note)
		}
	}
}
