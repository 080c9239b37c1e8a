package clients_test

import (
	"testing"

	"airmirror/cmd/mirror/clients"
)

func TestSetHost(t *testing.T) {
	for text, want := range map[string][2]string{
		"":                          {"", ""},
		"reg.example":               {"reg.example", ""},
		"reg.example:5000":          {"reg.example:5000", ""},
		"[2001:db8::1]:5000":        {"[2001:db8::1]:5000", ""},
		"http://reg.example:5000":   {"reg.example:5000", "http"},
		"https://reg.example/":      {"reg.example", "https"},
		"https://[2001:db8::1]:443": {"[2001:db8::1]:443", "https"},
	} {
		var m clients.Mirror
		scheme, err := m.SetHost(text)
		if err != nil || m.Host != want[0] || scheme != want[1] {
			t.Errorf("%q: %q, %q, %v; want %q", text, m.Host, scheme, err, want)
		}
	}
	for _, text := range []string{"ftp://reg.example", "https://", "https://reg.example/v2", "reg.example/team", "https://user:secret@reg.example"} {
		var m clients.Mirror
		if _, err := m.SetHost(text); err == nil {
			t.Errorf("%q is accepted as %q", text, m.Host)
		}
	}
}
