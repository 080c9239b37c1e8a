package signature_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/sync/signature"
)

// tool runs minisign in dir and returns its output. If minisign is not installed, it skips the test, or fails it in CI,
// where minisign has to be installed.
func tool(t *testing.T, dir, input string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("minisign"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), "minisign", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("minisign %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestMinisignVerifiesOurSignature(t *testing.T) {
	dir := t.TempDir()
	public, err := signature.Generate(filepath.Join(dir, "ours.key"), nil, false)
	if err != nil {
		t.Fatal(err)
	}
	key, err := signature.LoadPrivate(filepath.Join(dir, "ours.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, comment := range []string{"", "bundle 7 for Zürich", strings.Repeat("x", 8000)} {
		write(t, dir+"/bundle.json", []byte("message"))
		write(t, dir+"/bundle.json.minisig", sign(t, key, "message", comment))
		for _, args := range [][]string{{"-p", "ours.pub"}, {"-P", public.String()}, {"-H", "-p", "ours.pub"}} {
			out := tool(t, dir, "", append([]string{"-V", "-m", "bundle.json"}, args...)...)
			if !strings.Contains(out, "Trusted comment: timestamp:") || !strings.Contains(out, comment) {
				t.Errorf("minisign %v prints %s", args, out)
			}
		}
	}
}

func TestVerifyMinisignSignature(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/bundle.json", []byte("message"))
	tool(t, dir, "", "-G", "-W", "-p", "theirs.pub", "-s", "theirs.key")
	public, err := signature.LoadPublic(dir + "/theirs.pub")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-t", "prehashed"}, {"-l", "-t", "legacy"}} {
		comment := args[len(args)-1]
		tool(t, dir, "", append([]string{"-S", "-s", "theirs.key", "-m", "bundle.json"}, args...)...)
		id, got, err := signature.Verify([]signature.PublicKey{public}, []byte("message"), read(t, dir+"/bundle.json.minisig"))
		if err != nil || got != comment || id != public.ID() {
			t.Errorf("%s: key %s, comment %q, %v", comment, id, got, err)
		}
	}
}

// TestMinisignMakesTheSameSignature checks that minisign makes the same bytes with the same key and trusted comment,
// except for the untrusted comment.
func TestMinisignMakesTheSameSignature(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/bundle.json", []byte("message"))
	tool(t, dir, "", "-G", "-W", "-p", "theirs.pub", "-s", "theirs.key")
	key, err := signature.LoadPrivate(dir+"/theirs.key", nil)
	if err != nil {
		t.Fatal(err)
	}
	tool(t, dir, "", "-S", "-s", "theirs.key", "-m", "bundle.json", "-t", "timestamp:1700000000\tcomment")
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	_, theirs, _ := strings.Cut(string(read(t, dir+"/bundle.json.minisig")), "\n")
	_, ours, _ := strings.Cut(string(sign(t, key, "message", "comment")), "\n")
	if ours != theirs {
		t.Errorf("got\n%swant\n%s", ours, theirs)
	}
}
