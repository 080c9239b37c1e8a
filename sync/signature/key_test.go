package signature_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/sync/signature"
)

func TestLoadGeneratedKeys(t *testing.T) {
	dir := t.TempDir()
	for name, publicName := range map[string]string{"plant.key": "plant.pub", "secret": "secret.pub"} {
		path, publicPath := filepath.Join(dir, name), filepath.Join(dir, publicName)
		made, err := signature.Generate(path, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v (%v), want mode 0600", name, info.Mode(), err)
		}
		private, err := signature.LoadPrivate(path, nil)
		if err != nil || private.Public().String() != made.String() || private.ID() != made.ID() {
			t.Errorf("%s: loaded %v (%v), want %v", name, private.Public(), err, made)
		}
		text, err := os.ReadFile(publicPath)
		if err != nil {
			t.Fatal(err)
		}
		for _, from := range []string{publicPath, made.String(), " " + made.String() + "\n", string(text)} {
			if public, err := signature.LoadPublic(from); err != nil || public.String() != made.String() {
				t.Errorf("%s: LoadPublic(%q) = %v, %v; want %v", name, from, public, err, made)
			}
		}
	}
}

func TestGenerateNeverOverwrites(t *testing.T) {
	for _, existing := range []string{"plant.key", "plant.pub"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, existing), []byte("precious"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := signature.Generate(filepath.Join(dir, "plant.key"), nil, false)
		if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), existing) {
			t.Errorf("%s exists: %v", existing, err)
		}
		entries, _ := os.ReadDir(dir)
		if text, _ := os.ReadFile(filepath.Join(dir, existing)); string(text) != "precious" || len(entries) != 1 {
			t.Errorf("%s existed: its content is %q now, the folder has %v", existing, text, entries)
		}
	}
}

func TestGenerateLeavesNothingAfterError(t *testing.T) {
	dir := t.TempDir()
	if _, err := signature.Generate(filepath.Join(dir, "missing", "plant.key"), nil, false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
	name := strings.Repeat("x", 252) // the name of the public key is too long for a file
	if _, err := signature.Generate(filepath.Join(dir, name), nil, false); err == nil {
		t.Error("a name that is too long was accepted")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("files remain: %v", entries)
	}
}

func TestLoadPrivateWithPassword(t *testing.T) {
	const path = "testdata/protected.key"
	key, err := signature.LoadPrivate(path, func() ([]byte, error) { return []byte("correct horse"), nil })
	if err != nil || key.Public().String() != plainKey(t).Public().String() {
		t.Errorf("%v, %v", key, err)
	}
	for want, password := range map[string]func() ([]byte, error){
		"wrong password":      func() ([]byte, error) { return []byte("battery staple"), nil },
		"no terminal to read": nil,
		"read its password":   func() ([]byte, error) { return nil, errors.New("no terminal") },
	} {
		if _, err := signature.LoadPrivate(path, password); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	uncalled := func() ([]byte, error) { t.Error("password called for a key without one"); return nil, nil }
	if _, err := signature.LoadPrivate("testdata/plain.key", uncalled); err != nil {
		t.Error(err)
	}
}

func TestPrivateKeyIsNotPrinted(t *testing.T) {
	key := plainKey(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(format, key); got != "secret key "+key.ID() {
			t.Errorf("%s prints %q", format, got)
		}
	}
}

func TestLoadRejectsOtherFiles(t *testing.T) {
	dir := t.TempDir()
	text, err := os.ReadFile("testdata/plain.key")
	if err != nil {
		t.Fatal(err)
	}
	damaged := []byte(string(text))
	damaged[len(damaged)-80] ^= 2 // in the public half
	files := map[string][]byte{"damaged": damaged, "large": make([]byte, 1<<20), "empty": nil, "text": []byte("hello\n")}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private := func(path string) error { _, err := signature.LoadPrivate(path, nil); return err }
	public := func(path string) error { _, err := signature.LoadPublic(path); return err }
	for _, tt := range []struct {
		load       func(string) error
		path, want string
	}{
		{private, "testdata/plain.pub", "it is a public key"},
		{private, dir + "/damaged", "does not belong to its secret half"},
		{private, dir + "/large", "larger than 16 KiB"},
		{private, dir + "/empty", "invalid private key"},
		{private, dir + "/text", "invalid private key"},
		{private, dir + "/missing", "does not exist"},
		{public, "testdata/plain.key", "secret key: verifying needs the public key, by default in testdata/plain.pub"},
		{public, "testdata/protected.key", "secret key"},
		{public, dir + "/large", "larger than 16 KiB"},
		{public, dir + "/text", "invalid public key"},
		{public, dir + "/missing", "nor a file"},
		{public, "", "is neither a public key"},
	} {
		if err := tt.load(tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.path, err, tt.want)
		}
	}
}
