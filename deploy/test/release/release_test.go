// Package release_test checks the release configuration with GoReleaser's code. It is a module of its own, since what
// GoReleaser requires would change the versions that the other tests of deploy/ use.
package release_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

const root = "../../.."

// TestConfiguration loads the configuration as GoReleaser does, which fails for unknown keys, and checks that every file
// that it packages exists. Files in bin are generated for each release.
func TestConfiguration(t *testing.T) {
	project, err := config.Load(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, archive := range project.Archives {
		for _, file := range archive.Files {
			files = append(files, file.Source)
		}
	}
	for _, pkg := range project.NFPMs {
		files = append(files, pkg.Scripts.PostInstall, pkg.Scripts.PreRemove)
		for _, content := range pkg.Contents {
			if content.Source != "" {
				files = append(files, content.Source)
			}
		}
	}
	for _, image := range project.DockersV2 {
		files = append(files, image.Dockerfile)
	}
	if len(files) < 10 {
		t.Errorf("the release packages %d files", len(files))
	}
	for _, file := range files {
		if strings.HasPrefix(file, "bin/") {
			continue
		}
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			t.Error(err)
		}
	}
}
