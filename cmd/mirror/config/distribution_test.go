package config

import (
	"strings"
	"testing"
)

// TestConfigurationOfDistribution checks that the file of another registry is recognised, with the next step.
func TestConfigurationOfDistribution(t *testing.T) {
	const pointer = "/mirror.yaml is the configuration of a distribution registry (registry:2), whose keys have other names here: " +
		"deploy/docs/migrate.md of the documentation maps them; its content is imported by 'mirror sync --registry-root "
	for name, tt := range map[string]struct{ text, want string }{
		"files":        {"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/registry\nhttp:\n  addr: :5000\n", pointer + "/var/lib/registry'"},
		"object store": {"version: 0.1\nstorage: {s3: {bucket: b}}\nhttp: {addr: ':5000'}\n", pointer + "FOLDER'"},
		"a mirror's":   {"version: 0.1\nlisten: ':5000'\n", "/mirror.yaml:1: unknown key version: want one of "},
		"no YAML":      {"version: 0.1\nhttp: {\n", "/mirror.yaml:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadConfig(t, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if !strings.HasPrefix(tt.want, pointer) && strings.Contains(err.Error(), "registry:2") {
				t.Errorf("it is taken for another registry's: %v", err)
			}
		})
	}
}
