//go:build e2e

package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The programs that are ours to build. The Makefile builds them and says where they are; without it they are built here.
var mirrorBin, craneBin string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mirror-e2e-bin-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)

		mirrorBin, err = locate("MIRROR_BIN", dir, "../../..", "./cmd/mirror")
		if err == nil {
			craneBin, err = locate("CRANE_BIN", dir, "../../../.ci/tools", "github.com/google/go-containerregistry/cmd/crane")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// locate returns the program that the variable names, or builds it into dir from the module in folder.
func locate(variable, dir, folder, pkg string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, filepath.Base(pkg))
	build := exec.Command("go", "build", "-C", folder, "-buildvcs=false", "-o", path, pkg)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
