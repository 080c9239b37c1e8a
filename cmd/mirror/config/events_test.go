package config

import (
	"strings"
	"testing"
)

// TestInvalidEventEndpoints checks that errors name the file.
func TestInvalidEventEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"{queue: 1kB}": "events.queue: 1000: want", "{endpoints: [{name: a}]}": "endpoint a: the url must be of the form",
		"{endpoints: [{name: a, url: 'http://b/'}, {name: a, url: 'http://b/'}]}": "configured twice",
		"{endpoints: [{name: a, url: 'http://b/', header: []}]}":                  "did you mean headers?",
	} {
		if _, err := loadConfig(t, "events: "+text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mirror.yaml") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestPublicURL checks the URL in events.
func TestPublicURL(t *testing.T) {
	secure := TLS{CertFile: "cert.pem", KeyFile: "key.pem"}
	for _, tt := range []struct {
		config       Config
		listen, want string
	}{
		{Config{Auth: Auth{URL: "https://reg.example/"}, OwnNames: []string{"other:5000"}}, "[::]:5000", "https://reg.example/"},
		{Config{OwnNames: []string{"registry:5000", "reg.example"}}, "[::]:5000", "http://registry:5000"},
		{Config{OwnNames: []string{"reg.example"}, TLS: secure}, "[::]:443", "https://reg.example"},
		{Config{}, "10.0.0.7:5000", "http://10.0.0.7:5000"},
		{Config{TLS: secure}, "[fd00::1]:443", "https://[fd00::1]:443"},
		{Config{}, "[::]:5000", "http://" + HostName() + ":5000"},
		{Config{}, "0.0.0.0:5000", "http://" + HostName() + ":5000"},
	} {
		if got := tt.config.PublicURL(tt.listen); got != tt.want {
			t.Errorf("on %s: %s, want %s", tt.listen, got, tt.want)
		}
	}
}
