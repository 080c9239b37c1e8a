package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestReadmeLeadsSomewhere: every file that a README names is there, and README names every folder.
func TestReadmeLeadsSomewhere(t *testing.T) {
	readme := read(t, "README.md")
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for _, match := range link.FindAllStringSubmatch(readme, -1) {
		if _, err := os.Stat(match[1]); err != nil {
			t.Errorf("README.md: %v", err)
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "test" && !strings.Contains(readme, "("+entry.Name()+"/") {
			t.Errorf("README.md says nothing of %s", entry.Name())
		}
	}
}

// TestVariablesOfDistributionFollowFromTheirKeys: what the table maps is named as it is there.
func TestVariablesOfDistributionFollowFromTheirKeys(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9.]+)` \\| `(REGISTRY_[A-Z0-9_]+)` \\|")
	rows := row.FindAllStringSubmatch(read(t, "README.md"), -1)
	for _, r := range rows {
		want := "REGISTRY_" + strings.ToUpper(strings.ReplaceAll(r[1], ".", "_"))
		if r[2] != want && r[2] != want+"_ENABLED" {
			t.Errorf("%s is set by %s, and not by %s", r[1], want, r[2])
		}
	}
	if len(rows) < 30 {
		t.Errorf("the table has only %d rows", len(rows))
	}
}

// TestEveryYAMLFileIsOne, but for templates; most are read by what they are for as well.
func TestEveryYAMLFileIsOne(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && entry.Name() == "templates" {
			return filepath.SkipDir
		}
		if filepath.Ext(path) == ".yaml" {
			var content any
			if err := yaml.Unmarshal([]byte(read(t, path)), &content); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
