package settings_test

import (
	"testing"

	"airmirror/cmd/mirror/config/settings"
)

func TestVariableNames(t *testing.T) {
	var c struct {
		TLS struct {
			File     string `yaml:"clientCAFile"`
			Redirect string `yaml:"redirectHTTP"`
			Cert     string `yaml:"certFile"`
			URL      string `yaml:"url"`
		} `yaml:"tls"`
	}
	want := []string{"MIRROR_TLS_CLIENT_CA_FILE", "MIRROR_TLS_REDIRECT_HTTP", "MIRROR_TLS_CERT_FILE", "MIRROR_TLS_URL"}
	for i, key := range settings.Keys(&c) {
		if key.Env != want[i] {
			t.Errorf("%s is %s, want %s", key.Path, key.Env, want[i])
		}
	}
}
