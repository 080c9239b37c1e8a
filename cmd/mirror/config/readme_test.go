package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"airmirror/cmd/mirror/config/settings"
)

// TestReadmeConfig loads the configuration files in README.
func TestReadmeConfig(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	must(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(readme, -1)
	if blocks == nil {
		t.Fatal("README shows no configuration")
	}
	for _, block := range blocks {
		load(t, string(block[1]))
	}
	c := load(t, string(blocks[0][1]))
	if got := strings.Join(c.Hosts()[:2], " "); got != "docker.io ghcr.io" {
		t.Errorf("upstreams: %s", got)
	}
}

// TestReadmeFlags checks that README has the help of every flag of serve.
func TestReadmeFlags(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	must(t, err)
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(Source).Flags(flags)
	for line := range strings.Lines(flags.FlagUsages()) {
		if !strings.Contains(string(readme), line) {
			t.Errorf("README lacks %q", line)
		}
	}
}

// TestReadmeWatch checks the settings for monitoring in README.
func TestReadmeWatch(t *testing.T) {
	readme, err := os.ReadFile("../../../README.md")
	must(t, err)
	block := regexp.MustCompile("(?s)## Monitor it\n.*?```yaml\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("README shows no settings for monitoring")
	}
	c := load(t, string(block[1]))
	if !c.AccessLog || c.Metrics.Listen == "" || c.Audit.File == "" || c.Limits.PushRequests != 16 || c.Limits.MinFreeOf(1<<40) != 512<<20 {
		t.Errorf("settings: %+v", c)
	}
}

// TestDeployReadmeKeys checks that the settings in the table of deploy/README.md exist.
func TestDeployReadmeKeys(t *testing.T) {
	readme, err := os.ReadFile("../../../deploy/README.md")
	must(t, err)
	c := Default()
	known, sections := map[string]bool{}, map[string]bool{}
	for _, key := range settings.Keys(&c) {
		section, _, _ := strings.Cut(key.Path, ".")
		known[key.Path], sections[section] = true, true
	}
	rows := regexp.MustCompile("(?m)^\\| `[^|]*\\|[^|]*\\| `([a-zA-Z.]+)`.*\\|$").FindAllSubmatch(readme, -1)
	for _, row := range rows {
		key := string(row[1])
		if section, _, _ := strings.Cut(key, "."); sections[section] && !known[key] {
			t.Errorf("deploy/README.md: there is no setting %s", key)
		}
	}
	if len(rows) < 15 {
		t.Errorf("the table names %d settings", len(rows))
	}
}
