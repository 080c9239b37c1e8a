package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airmirror/cmd/mirror/config/settings"
)

const docs = "../../../deploy/docs/"

// TestPagesShowValidSettings loads the settings that the pages show. Each YAML block begins with the name of its file.
func TestPagesShowValidSettings(t *testing.T) {
	pages, err := filepath.Glob(docs + "*.md")
	must(t, err)
	block := regexp.MustCompile("(?s)\n```yaml\n(.*?)```")
	loaded := 0
	for _, path := range pages {
		page, err := os.ReadFile(path)
		must(t, err)
		for _, match := range block.FindAllSubmatch(page, -1) {
			text := string(match[1])
			name, _, _ := strings.Cut(strings.TrimPrefix(text, "# "), "\n")
			switch filepath.Ext(name) {
			case ".yaml", ".yml":
			default:
				t.Errorf("%s: a YAML block does not begin with the name of its file: %q", filepath.Base(path), name)
			}
			if name == "mirror.yaml" {
				load(t, text)
				loaded++
			}
		}
	}
	if loaded < 8 {
		t.Errorf("the pages show settings %d times", loaded)
	}
}

// settingsOf loads the settings that a page shows first.
func settingsOf(t *testing.T, page string) Config {
	t.Helper()
	text, err := os.ReadFile(docs + page)
	must(t, err)
	match := regexp.MustCompile("(?s)```yaml\n# mirror.yaml\n(.*?)```").FindSubmatch(text)
	if match == nil {
		t.Fatalf("%s shows no settings", page)
	}
	return load(t, string(match[1]))
}

func TestUpstreamsPageShowsTheirOrder(t *testing.T) {
	c := settingsOf(t, "upstreams.md")
	if got := strings.Join(c.Hosts()[:2], " "); got != "docker.io ghcr.io" {
		t.Errorf("upstreams: %s", got)
	}
}

func TestMonitorPageShowsLimits(t *testing.T) {
	c := settingsOf(t, "monitor.md")
	if !c.AccessLog || c.Metrics.Listen == "" || c.Audit.File == "" || c.Limits.PushRequests != 16 || c.Limits.MinFreeOf(1<<40) != 512<<20 {
		t.Errorf("settings: %+v", c)
	}
}

// TestMigrationTableKeys checks that the settings in the table for users of registry:2 exist.
func TestMigrationTableKeys(t *testing.T) {
	page, err := os.ReadFile(docs + "migrate.md")
	must(t, err)
	c := Default()
	known, sections := map[string]bool{}, map[string]bool{}
	for _, key := range settings.Keys(&c) {
		section, _, _ := strings.Cut(key.Path, ".")
		known[key.Path], sections[section] = true, true
	}
	rows := regexp.MustCompile("(?m)^\\| `[^|]*\\|[^|]*\\| `([a-zA-Z.]+)`.*\\|$").FindAllSubmatch(page, -1)
	for _, row := range rows {
		key := string(row[1])
		if section, _, _ := strings.Cut(key, "."); sections[section] && !known[key] {
			t.Errorf("migrate.md: there is no setting %s", key)
		}
	}
	if len(rows) < 15 {
		t.Errorf("the table names %d settings", len(rows))
	}
}

// TestPagesNameSettingsThatExist checks every key with a section, such as auth.anonymousPull, in the texts of the pages.
func TestPagesNameSettingsThatExist(t *testing.T) {
	pages, err := filepath.Glob(docs + "*.md")
	must(t, err)
	known, sections := map[string]bool{}, map[string]bool{}
	for _, key := range Keys() {
		for path := key.Path; path != ""; path = path[:max(strings.LastIndex(path, "."), 0)] {
			known[path] = true
		}
		if section, _, nested := strings.Cut(key.Path, "."); nested {
			sections[section] = true
		}
	}
	named := 0
	for _, path := range pages {
		page, err := os.ReadFile(path)
		must(t, err)
		for _, match := range regexp.MustCompile("`([a-zA-Z]+)(\\.[a-zA-Z.]+)(?:: [^`]*)?`").FindAllStringSubmatch(string(page), -1) {
			key := match[1] + match[2]
			if !sections[match[1]] || filepath.Base(path) == "migrate.md" { // which has keys of others, and a test of its own
				continue
			}
			named++
			if !known[key] {
				t.Errorf("%s: there is no setting %s", filepath.Base(path), key)
			}
		}
	}
	if named < 20 {
		t.Errorf("the pages name %d settings", named)
	}
}
