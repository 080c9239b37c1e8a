package volume_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"airmirror/sync/volume"
)

func TestParse(t *testing.T) {
	for path, want := range map[string]struct {
		name        string
		number      int
		next        string
		description string
	}{
		"bundle.tar.001":           {"bundle.tar", 1, "bundle.tar.002", "bundle.tar-001.json"},
		"/media/usb/bundle.tar.09": {},
		"../b.tar.099":             {"b.tar", 99, "../b.tar.100", "../b.tar-099.json"},
		"./bundle.999":             {"bundle", 999, "", "./bundle-999.json"},
		"a/b.0999":                 {"b", 999, "a/b.1000", "a/b-0999.json"},
		"b.999999":                 {"b", 999999, "", "b-999999.json"},
		"b.0000001":                {},
		"b.tar.000":                {},
		"b.tar.+01":                {},
		"b.tar.١٢٣":                {},
		"bundle.tar":               {},
		"bundle.tar.001/":          {},
		".001":                     {},
		"001":                      {},
		"":                         {},
		"/":                        {},
		"bundle.tar-001.json":      {},
	} {
		name, number, ok := volume.Parse(path)
		if name != want.name || number != want.number || ok != (want.number > 0) {
			t.Errorf("%q is volume %d of %q (%t), want %d of %q", path, number, name, ok, want.number, want.name)
		}
		if got := volume.Next(path); got != want.next {
			t.Errorf("Next(%q) = %q, want %q", path, got, want.next)
		}
		if got := volume.DescriptionPath(path); got != want.description {
			t.Errorf("DescriptionPath(%q) = %q, want %q", path, got, want.description)
		}
	}
	for number, want := range map[int]string{1: "a/b.001", 12: "a/b.012", 999: "a/b.999", 1000: "", 0: "", -1: ""} {
		if got := volume.File("a/b.007", number); got != want {
			t.Errorf("volume %d is %q, want %q", number, got, want)
		}
	}
}

func TestListEndsAtMissingVolume(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.001", "b.002", "b.003", "b.005", "b.0004", "plain"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string][]string{
		"b.001": {"b.001", "b.002", "b.003"},
		"b.003": {"b.003"},
		"b.005": {"b.005"},
		"plain": {"plain"},
	} {
		got, err := volume.List(filepath.Join(dir, from))
		for i := range want {
			want[i] = filepath.Join(dir, want[i])
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("from %s: %v (%v), want %v", from, got, err, want)
		}
	}
	if got, err := volume.List(filepath.Join(dir, "b.004")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing volume: %v, %v", got, err)
	}
}
