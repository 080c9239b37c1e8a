//go:build !race

package signature_test

import (
	"path/filepath"
	"testing"

	"airmirror/sync/signature"
)

// TestPasswordsWithMinisign uses keys with the real scrypt parameters, which take 1 GiB of memory.
func TestPasswordsWithMinisign(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	write(t, dir+"/bundle.json", []byte("message"))
	public, err := signature.Generate(filepath.Join(dir, "ours.key"), []byte("correct horse"), false)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "correct horse\n", "-S", "-s", "ours.key", "-m", "bundle.json")
	if _, _, err := signature.Verify([]signature.PublicKey{public}, []byte("message"), read(t, dir+"/bundle.json.minisig")); err != nil {
		t.Error(err)
	}

	tool(t, dir, "correct horse\ncorrect horse\n", "-G", "-p", "theirs.pub", "-s", "theirs.key")
	key, err := signature.LoadPrivate(dir+"/theirs.key", func() ([]byte, error) { return []byte("correct horse"), nil })
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/bundle.json.minisig", sign(t, key, "message", ""))
	tool(t, dir, "", "-V", "-p", "theirs.pub", "-m", "bundle.json")
}
