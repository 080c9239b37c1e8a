package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// pages are the documentation: README of the project, of this folder, and docs.
func pages(t *testing.T) []string {
	t.Helper()
	all := []string{"../README.md", "README.md", "systemd/README.md"}
	for _, pattern := range []string{"../README.*.md", "docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, more...)
	}
	return all
}

// TestLinksLeadSomewhere checks that every file and section that a page links to exists.
func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, match := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			to := page
			if match[1] != "" {
				to = filepath.Join(filepath.Dir(page), match[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
				continue
			}
			if anchor := strings.TrimPrefix(match[2], "#"); anchor != "" && !slices.Contains(anchors(read(t, to)), anchor) {
				t.Errorf("%s: %s has no section #%s", page, to, anchor)
			}
		}
	}
}

// anchors are what GitHub makes of the headings of a page.
func anchors(page string) (all []string) {
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		plain := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		all = append(all, strings.ReplaceAll(plain, " ", "-"))
	}
	return all
}

// TestIndexesAreComplete checks that README names every folder beside it, and docs/README.md every page.
func TestIndexesAreComplete(t *testing.T) {
	readme, index := read(t, "README.md"), read(t, "docs/README.md")
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.IsDir() && entry.Name() != "test" && !strings.Contains(readme, "("+entry.Name()+"/") {
			t.Errorf("README.md says nothing of %s", entry.Name())
		}
	}
	all, err := filepath.Glob("docs/*.md")
	if err != nil || len(all) < 10 {
		t.Fatal(err, all)
	}
	for _, page := range all {
		if name := filepath.Base(page); name != "README.md" && !strings.Contains(index, "("+name+")") {
			t.Errorf("docs/README.md does not link to %s", name)
		}
	}
}

// TestVariablesOfDistributionFollowFromTheirKeys: what the table maps is named as it is there.
func TestVariablesOfDistributionFollowFromTheirKeys(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| `([a-z0-9.]+)` \\| `(REGISTRY_[A-Z0-9_]+)` \\|")
	rows := row.FindAllStringSubmatch(read(t, "docs/migrate.md"), -1)
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

// TestREADMEIsShort holds README at a length that is read in two minutes.
func TestREADMEIsShort(t *testing.T) {
	all, err := filepath.Glob("../README*.md")
	if err != nil || len(all) == 0 {
		t.Fatal(err, all)
	}
	for _, path := range all {
		if n := utf8.RuneCountInString(read(t, path)); n > 6000 {
			t.Errorf("%s has %d characters, want at most 6000: move text to a page of docs", path, n)
		}
	}
}

// TestMetricsOnPagesExist checks that the metrics that a page names are those of the code.
func TestMetricsOnPagesExist(t *testing.T) {
	files, err := filepath.Glob("../api/metrics/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, file := range files {
		code.WriteString(read(t, file))
	}
	named := 0
	for _, page := range pages(t) {
		for _, match := range regexp.MustCompile("`mirror_([a-z_]+)`").FindAllStringSubmatch(read(t, page), -1) {
			named++
			if !strings.Contains(code.String(), `"`+match[1]+`"`) {
				t.Errorf("%s: there is no metric mirror_%s", page, match[1])
			}
		}
	}
	if named < 10 {
		t.Errorf("the pages name %d metrics", named)
	}
}

// notRun are the pages with commands that no test runs, and why. They are in blocks of the language sh; those of console blocks
// are run by the tests in cmd/mirror/e2e.
var notRun = map[string]string{
	"README.md":      "they install packages, and start a container and a cluster",
	"clients.md":     "they need buildx, cloud-init and kubeadm, which the network of a test cannot serve",
	"fetch.md":       "they need a cluster, and files of the reader",
	"image-lists.md": "they need charts of the reader; the tests of sync/imagelist read such charts",
	"install.md":     "they install packages, and start a container and a cluster; the tests in deploy/test check the manifests",
	"jobs.md":        "they need the changes of a day, and an import that is cut; the tests of api/admin do both",
	"migrate.md":     "they need the folder or the address of another registry; the page runs one in a console block",
	"performance.md": "they take up to an hour",
	"upgrade.md":     "they replace the installed binary",
	"users.md":       "they need a mirror on another machine, with a name and a certificate",
}

// TestCommandsThatAreNotRun checks that the list is complete, and has nothing else.
func TestCommandsThatAreNotRun(t *testing.T) {
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(pages, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		if path == "docs/README.md" {
			name = path
		}
		if has, listed := strings.Contains(string(text), "\n```sh\n"), notRun[name] != ""; has != listed {
			t.Errorf("%s has commands that are not run: %t, and is in the list of these pages: %t", path, has, listed)
		}
	}
}

// TestPagesBeginWithCommands checks that a page shows what to do before its second heading.
func TestPagesBeginWithCommands(t *testing.T) {
	for _, page := range pages(t) {
		if filepath.Base(page) == "README.md" { // a list
			continue
		}
		before, _, _ := strings.Cut(read(t, page), "\n## ")
		if !strings.HasPrefix(before, "# ") || !strings.Contains(before, "\n```") {
			t.Errorf("%s does not begin with a title and a block", page)
		}
	}
}
