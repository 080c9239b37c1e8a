//go:build race

package seal_test

import (
	"os/exec"
	"testing"
)

// TestPasswords runs what is about passwords without the race detector, which makes scrypt take minutes and 6 GiB.
func TestPasswords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^TestPasswords", ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
