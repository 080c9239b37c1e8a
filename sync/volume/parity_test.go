package volume_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/volume"
)

// snapshot returns the files of a folder.
func snapshot(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range names(t, dir) {
		files[name] = load(t, filepath.Join(dir, name))
	}
	return files
}

// TestRepairProperty loses and damages as many volumes as there is parity, in every way, and compares each byte.
func TestRepairProperty(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	sizes := []int64{1, 64<<10 - 1, 64 << 10, 64<<10 + 1, mib - 1, mib, mib + 1, 2*mib + 70_000}
	for round := range 60 {
		size := sizes[round%len(sizes)]
		volumes, parity := 1+random.IntN(5), 1+random.IntN(3)
		stream := content(int(size)*(volumes-1) + 1 + random.IntN(int(size)))
		path := filepath.Join(t.TempDir(), "b.tar")
		opts := volume.Options{Bundle: "id", Title: "three images", Parity: parity}
		if round%2 == 0 {
			opts.Total = int64(len(stream))
		}
		save(t, path, stream, size, opts)
		whole := snapshot(t, filepath.Dir(path))
		var shards []string
		for name := range whole {
			if !strings.HasSuffix(name, ".json") {
				shards = append(shards, name)
			}
		}
		slices.Sort(shards)
		random.Shuffle(len(shards), func(i, j int) { shards[i], shards[j] = shards[j], shards[i] })
		hurt := shards[:1+random.IntN(parity)]
		for _, name := range hurt {
			harm(t, random, filepath.Join(filepath.Dir(path), name))
		}
		repaired, err := volume.Repair(filepath.Join(filepath.Dir(path), shards[len(shards)-1]))
		if err != nil {
			t.Fatalf("round %d: %d of %d and %d: %v", round, len(hurt), volumes, parity, err)
		}
		if got := len(repaired.Rebuilt) + len(repaired.Damaged); got != len(hurt) || repaired.Volumes != volumes || repaired.Parity != parity {
			t.Errorf("round %d: %+v, but %v were damaged", round, repaired, hurt)
		}
		for name, want := range whole {
			if strings.Contains(name, "-parity-") {
				continue
			}
			if got := load(t, filepath.Join(filepath.Dir(path), name)); !bytes.Equal(got, want) {
				t.Errorf("round %d: %s differs after the repair", round, name)
			}
		}
	}
}

// harm removes, truncates, extends or changes a volume, and sometimes removes its description as well.
func harm(t *testing.T, random *rand.Rand, path string) {
	t.Helper()
	b := load(t, path)
	switch random.IntN(4) {
	case 0:
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		description := volume.DescriptionPath(path)
		if _, number, isParity := volume.ParseParity(path); isParity { // one description of parity has to be left
			description = path + ".json"
			if number == 1 {
				return
			}
		}
		if err := os.Remove(description); err != nil {
			t.Fatal(err)
		}
	case 1:
		store(t, path, b[:random.IntN(len(b))])
	case 2:
		store(t, path, append(b, 0))
	case 3:
		for range 1 + random.IntN(3) {
			b[random.IntN(len(b))] ^= byte(1 + random.IntN(255))
		}
		store(t, path, b)
	}
}

// TestRepairOfBlocks damages every volume, each in another block: one parity volume suffices.
func TestRepairOfBlocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.tar")
	stream := content(15 * mib)
	save(t, path, stream, 5*mib, volume.Options{Parity: 1})
	for i, suffix := range []string{".001", ".002", ".003", "-parity-1"} {
		b := load(t, path+suffix)
		b[i*mib+77] ^= 1
		store(t, path+suffix, b)
	}
	repaired, err := volume.Repair(path)
	if err != nil || len(repaired.Rebuilt) != 3 || !slices.Equal(repaired.Damaged, []string{"b.tar-parity-1"}) {
		t.Fatalf("%+v %v", repaired, err)
	}
	if got := cat(t, path+".*"); !bytes.Equal(got, stream) {
		t.Error("the stream differs after the repair")
	}
}

// TestRepairIsImpossible checks that nothing changes if there is too little parity, and that the error says what to copy.
func TestRepairIsImpossible(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar")
	save(t, path, content(40), 10, volume.Options{Parity: 1})
	if err := os.Remove(path + ".002"); err != nil {
		t.Fatal(err)
	}
	store(t, path+".004", []byte("0123456789"))
	before := snapshot(t, dir)
	_, err := volume.Repair(path + ".001")
	const want = "b.tar.002, b.tar.004 are missing or damaged in the same place (block 0), and parity rebuilds 1 of them: copy 1 of them again"
	if mirror.CodeOf(err) != mirror.CodeDigestInvalid || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	if after := snapshot(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("files after: %q", names(t, dir))
	}

	plain := filepath.Join(t.TempDir(), "c.tar")
	save(t, plain, content(40), 10, volume.Options{})
	if _, err := volume.Repair(plain + ".001"); mirror.CodeOf(err) != mirror.CodeUnsupported {
		t.Errorf("without parity: %v", err)
	}
}

// TestRepairRefusesOtherParity checks that parity of another bundle rebuilds nothing, and that a wrong result gets no name.
func TestRepairRefusesOtherParity(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "b.tar")
	save(t, path, content(40), 10, volume.Options{Bundle: "one", Parity: 2})
	other := filepath.Join(t.TempDir(), "b.tar")
	save(t, other, []byte(strings.Repeat("x", 40)), 10, volume.Options{Bundle: "two", Parity: 2})
	for _, suffix := range []string{"-parity-2", "-parity-2.json"} {
		store(t, path+suffix, load(t, other+suffix))
	}
	if err := os.Remove(path + ".001"); err != nil {
		t.Fatal(err)
	}
	if _, err := volume.Repair(path); err == nil || !strings.Contains(err.Error(), "of another bundle") {
		t.Errorf("two bundles: %v", err)
	}
	for _, suffix := range []string{"-parity-1", "-parity-1.json"} {
		store(t, path+suffix, load(t, other+suffix))
	}
	if _, err := volume.Repair(path); err == nil {
		t.Error("the parity of another bundle was accepted")
	}
	if _, err := os.Stat(path + ".001"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a volume was made of the parity of another bundle: %v", err)
	}
}

// TestParityLeavesVolumesAlone checks that the volumes are the same with parity and without, that the pattern of the stream
// does not match parity, and that parity is overwritten and aborted with its set.
func TestParityLeavesVolumesAlone(t *testing.T) {
	with, without := filepath.Join(t.TempDir(), "b.tar"), filepath.Join(t.TempDir(), "b.tar")
	save(t, with, content(45), 10, volume.Options{Parity: 3})
	save(t, without, content(45), 10, volume.Options{})
	for name, want := range snapshot(t, filepath.Dir(without)) {
		if got := load(t, filepath.Join(filepath.Dir(with), name)); !bytes.Equal(got, want) {
			t.Errorf("%s differs with parity", name)
		}
	}
	if got := cat(t, with+".*"); !bytes.Equal(got, content(45)) {
		t.Error("the pattern of the stream matches more than its volumes")
	}
	if _, err := volume.Create(with, 10, volume.Options{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("Create over a set with parity: %v", err)
	}
	save(t, with, content(15), 10, volume.Options{Overwrite: true})
	if got := names(t, filepath.Dir(with)); len(got) != 4 {
		t.Errorf("files: %v", got)
	}
	w, err := volume.Create(with, 10, volume.Options{Overwrite: true, Parity: 255})
	if err == nil {
		_, err = io.Copy(w, bytes.NewReader(content(30)))
	}
	if err == nil {
		err = w.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "choose larger volumes") {
		t.Errorf("too many volumes: %v", err)
	}
	if err := w.Abort(); err != nil || len(names(t, filepath.Dir(with))) != 0 {
		t.Errorf("files after Abort: %v (%v)", names(t, filepath.Dir(with)), err)
	}
}
