package volume_test

import (
	"os"
	"path/filepath"
	"testing"

	"airmirror/sync/volume"
)

// FuzzParity repairs with an arbitrary description of parity: it must not panic, and not change the volumes.
func FuzzParity(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "b.tar")
	w, err := volume.Create(path, 10, volume.Options{Parity: 1, Bundle: "id"})
	if err == nil {
		_, err = w.Write(content(25))
	}
	if err == nil {
		err = w.Close()
	}
	valid, readErr := os.ReadFile(path + "-parity-1.json")
	if err != nil || readErr != nil {
		f.Fatal(err, readErr)
	}
	f.Add(valid)
	f.Add([]byte(`{"version":1,"file":"b.tar-parity-1","number":1,"of":1,"volumes":[{}]}`))
	f.Fuzz(func(t *testing.T, description []byte) {
		store(t, path+"-parity-1.json", description)
		_, _ = volume.Repair(path)
		if got := cat(t, path+".*"); string(got) != string(content(25)) {
			t.Fatalf("the volumes are %q", got)
		}
	})
}
