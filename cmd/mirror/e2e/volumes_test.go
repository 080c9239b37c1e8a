//go:build e2e

package e2e_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestVolumesAreTakenInOneAtATime: on the inside there is never more than one volume beside what the mirror holds. One
// of them is damaged on the way, and only that one is copied again.
func TestVolumesAreTakenInOneAtATime(t *testing.T) {
	const size, most = 35 << 20, 10 << 20 // of the large layer, and of a volume
	staging, inside := startMirror(t, "--offline"), startMirror(t, "--offline")
	big, _ := bigIndex(t, size)
	digest := push(t, big, staging.addr+"/library/airmirror-big:1").String()
	hello := push(t, helloIndex(t, ociFormat, "hello"), staging.addr+"/library/airmirror-hello:1").String()
	here, there := tempDir(t), tempDir(t)
	export := func(name string, args ...string) {
		t.Helper()
		env := environment(t, "SOURCE_DATE_EPOCH=1700000000")
		run(t, env, append([]string{mirrorBin, "export", "--data", staging.data, "--all", "--bundle", filepath.Join(here, name)}, args...)...)
	}
	export("plain.tar")
	export("plant.tar", "--volume-size", "10MiB")
	volumes, err := filepath.Glob(filepath.Join(here, "plant.tar.*"))
	if err != nil || len(volumes) != 4 {
		t.Fatalf("there are volumes %v (%v), want 4", volumes, err)
	}
	for _, volume := range volumes {
		if n := sizeOf(t, volume); n > most {
			t.Errorf("%s has %d bytes, want at most %d", filepath.Base(volume), n, most)
		}
	}
	run(t, environment(t), "bash", "-c", fmt.Sprintf("cat %[1]s/plant.tar.* | cmp - %[1]s/plain.tar", here))

	for i, volume := range volumes {
		copied := copyVolume(t, volume, there)
		if i == 2 {
			const at = 5<<20 + 12345
			damage(t, copied, at)
			r := try(t, environment(t), mirrorBin, "sync", "--data", inside.data, "--bundle", copied)
			if want := fmt.Sprintf("volume plant.tar.003 is damaged at bytes %d–%d", 5<<20, 6<<20-1); r.code != 7 || !strings.Contains(r.stderr, want) {
				t.Errorf("a damaged volume ends with exit code %d, want 7, and says\n%swant %q", r.code, r.stderr, want)
			}
			remove(t, copied)
			copied = copyVolume(t, volume, there)
		}
		if r := try(t, environment(t), craneBin, "digest", inside.addr+"/library/airmirror-hello:1"); r.code == 0 {
			t.Errorf("before volume %d of %d there is %s already", i+1, len(volumes), r.stdout)
		}
		out := inside.ask(t, "sync", "--bundle", copied)
		if next := fmt.Sprintf("continue with %s/plant.tar.%03d\n", there, i+2); i < len(volumes)-1 && !strings.HasSuffix(out, next) {
			t.Errorf("after volume %d it says\n%swant %q", i+1, out, next)
		}
		if held, want := sizeBelow(t, inside.data, "blobs"), int64(i+1)*most; held > want+1<<20 {
			t.Errorf("after volume %d the mirror holds %d bytes, want at most %d", i+1, held, want)
		}
		remove(t, copied)
	}
	wantWhole(t, inside.addr+"/library/airmirror-big:1", digest)
	wantWhole(t, inside.addr+"/library/airmirror-hello:1", hello)
	wantSameBlobs(t, inside.data, staging.data)
}

// copyVolume copies a volume and its description into a folder.
func copyVolume(t *testing.T, volume, to string) (copied string) {
	t.Helper()
	stem, number := volume[:len(volume)-4], volume[len(volume)-3:]
	run(t, environment(t), "cp", volume, stem+"-"+number+".json", to)
	return filepath.Join(to, filepath.Base(volume))
}

// remove takes a volume away, as one does with a disk.
func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// damage changes one byte of a file.
func damage(t *testing.T, path string, at int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[at] ^= 1
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// sizeBelow is how many bytes the files in a folder of a data folder have.
func sizeBelow(t *testing.T, data, folder string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(data, folder), func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			size += sizeOf(t, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// wantSameBlobs checks that one data folder has the blobs of another, none twice, and nothing that is half there.
func wantSameBlobs(t *testing.T, data, other string) {
	t.Helper()
	got, want := blobsOf(t, data), blobsOf(t, other)
	if !maps.Equal(got, want) {
		t.Errorf("there are the blobs\n%v, want\n%v", sorted(got), sorted(want))
	}
	if left, err := os.ReadDir(filepath.Join(data, "incoming")); err != nil || len(left) > 0 {
		t.Errorf("there is still incoming %v (%v)", left, err)
	}
}

func sorted(sizes map[string]int64) string {
	var text bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		fmt.Fprintf(&text, "%s %d\n", name, sizes[name])
	}
	return text.String()
}
