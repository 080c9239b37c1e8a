package volume_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/sync/volume"
)

// TestDescriptionIsChecked replaces one field of the valid description of volume 2 of 3.
func TestDescriptionIsChecked(t *testing.T) {
	for _, tt := range []struct {
		field string
		value any
		want  string
	}{
		{"version", 2, "format version 2, and this program reads version 1"},
		{"version", "1", "cannot unmarshal"},
		{"file", "bundle.tar.003", `describes volume 2, "bundle.tar.003"`},
		{"file", "../bundle.tar.002", "describes volume 2"},
		{"number", 3, "describes volume 3"},
		{"of", 1, "volume 2 of 1"},
		{"of", -1, "volume 2 of -1"},
		{"of", 1000, "volume 2 of 1000"},
		{"offset", -1, "begins at byte -1"},
		{"offset", int64(1) << 62, "begins at byte"},
		{"size", -1, "a size of -1 bytes"},
		{"size", int64(1) << 62, "a size of 4611686018427387904 bytes"},
		{"size", 2 * mib, "bytes of checksums"},
		{"size", json.Number("1e400"), "cannot unmarshal"},
		{"blockSize", 0, "blocks of 0 bytes"},
		{"blockSize", 1, "blocks of 1 bytes"},
		{"crc32c", "AAAA", "3 bytes of checksums"},
		{"crc32c", "?", "illegal base64"},
		{"digest", "", "is not a SHA-256"},
		{"digest", "sha512:" + strings.Repeat("0", 128), "is not a SHA-256"},
		{"digest", "sha256:" + strings.Repeat("Z", 64), "is not a SHA-256"},
		{"bundle", "\x1b[2J", "bundle is not one line"},
		{"title", "invoice\u202egpj", "title is not one line"},
		{"title", strings.Repeat("x", 1001), "title is not one line"},
		{"more", strings.Repeat("x", 7<<20), "larger than"},
	} {
		path := filepath.Join(t.TempDir(), "bundle.tar")
		save(t, path, content(30), 10, volume.Options{Total: 30})
		edit(t, path+"-002.json", tt.field, tt.value)
		_, err := volume.Open(path + ".002")
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > 1500 {
			t.Errorf("%s %.100v: %.2000v, want %q", tt.field, tt.value, err, tt.want)
			continue
		}
		for _, want := range []string{"bundle.tar-002.json", "volume bundle.tar.002", "copy that file again, or remove it"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v does not contain %q", tt.field, err, want)
			}
		}
	}
}

func TestUnusableDescription(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	for name, make := range map[string]func(description string) error{
		"a folder": func(description string) error { return os.Mkdir(description, 0o700) },
		"empty":    func(description string) error { return os.WriteFile(description, nil, 0o600) },
		"two":      func(description string) error { return os.WriteFile(description, []byte("{}{}"), 0o600) },
		"deep": func(description string) error {
			return os.WriteFile(description, []byte(strings.Repeat("[", 1<<20)), 0o600)
		},
		"null": func(description string) error { return os.WriteFile(description, []byte("null"), 0o600) },
	} {
		save(t, path, content(30), 30, volume.Options{Overwrite: true})
		if err := os.Remove(path + "-001.json"); err != nil {
			t.Fatal(err)
		}
		if err := make(path + "-001.json"); err != nil {
			t.Fatal(err)
		}
		if _, err := volume.Open(path + ".001"); err == nil || !strings.Contains(err.Error(), "volume b.001 cannot be checked with") {
			t.Errorf("%s: %v", name, err)
		}
		if err := os.Remove(path + "-001.json"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDescriptionWithUnknownField(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	save(t, path, content(30), 10, volume.Options{})
	edit(t, path+"-001.json", "later", "additions")
	if _, err := read(path + ".001"); err != nil {
		t.Error(err)
	}
}

// TestBundleOf finds the bundle of a volume in the descriptions of the others.
func TestBundleOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar")
	save(t, path, content(30), 10, volume.Options{Bundle: "the bundle"})
	if err := os.Remove(path + "-002.json"); err != nil {
		t.Fatal(err)
	}
	store(t, path+"-001.json", []byte("{"))
	if got := volume.BundleOf(path + ".002"); got != "the bundle" {
		t.Errorf("BundleOf = %q", got)
	}
	if err := os.Remove(path + "-003.json"); err != nil {
		t.Fatal(err)
	}
	for _, none := range []string{path + ".002", path, filepath.Join(t.TempDir(), "no", "b.001")} {
		if got := volume.BundleOf(none); got != "" {
			t.Errorf("BundleOf(%s) = %q, want none", none, got)
		}
	}
}
