//go:build race

package signature_test

import (
	"os/exec"
	"testing"
)

// TestPasswords runs the password tests without the race detector, with which scrypt takes minutes and 6 GiB.
func TestPasswords(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^TestPasswords", ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
