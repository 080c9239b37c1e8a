package volume_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airmirror/sync/volume"
)

const mib = volume.BlockSize

func TestConcatenatedVolumesAreTheStream(t *testing.T) {
	for _, tt := range []struct{ stream, size, volumes int }{
		{0, 10, 1},
		{1, 10, 1},
		{10, 10, 1},
		{11, 10, 2},
		{30, 10, 3},
		{3 * mib, mib, 3},
		{5*mib + 7, 2*mib + 3, 3},
		{4*mib - 1, 4 * mib, 1},
		{9*mib + 5, 3 * mib, 4},
	} {
		for _, total := range []int{0, tt.stream} {
			t.Run(fmt.Sprintf("%d bytes in %d, total %d", tt.stream, tt.size, total), func(t *testing.T) {
				path, stream := filepath.Join(t.TempDir(), "bundle.tar"), content(tt.stream)
				info := volume.Options{Total: int64(total), Bundle: "b-7", Title: "für Werk 7"}
				volumes := save(t, path, stream, int64(tt.size), info)
				if got := cat(t, path+".*"); !bytes.Equal(got, stream) {
					t.Error("the concatenated volumes differ from the stream")
				}
				checkVolumes(t, path, stream, tt.volumes, volumes, info)
				if files := names(t, filepath.Dir(path)); len(files) != 2*tt.volumes {
					t.Errorf("%d volumes are %v", tt.volumes, files)
				}
			})
		}
	}
}

// checkVolumes reads the volumes and compares them with their descriptions.
func checkVolumes(t *testing.T, path string, stream []byte, want int, volumes []volume.Description, info volume.Options) {
	t.Helper()
	if len(volumes) != want {
		t.Fatalf("%d volumes, want %d", len(volumes), want)
	}
	var all []byte
	for i, d := range volumes {
		file := fmt.Sprintf("%s.%03d", path, i+1)
		got, err := read(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := digest.Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(got)))
		if d.File != filepath.Base(file) || d.Number != i+1 || d.Offset != int64(len(all)) || d.Size != int64(len(got)) ||
			d.Digest != sum || d.Bundle != info.Bundle || d.Title != info.Title || d.Blocks != nil {
			t.Errorf("the description of %s is %+v", file, d)
		}
		last := i+1 == want
		if d.Last() != last || last && d.Count != want || d.Count != 0 && d.Count != want || info.Total > 0 && d.Count == 0 {
			t.Errorf("the description of %s has Count %d", file, d.Count)
		}
		all = append(all, got...)
	}
	if !bytes.Equal(all, stream) {
		t.Error("the volumes read differ from the stream")
	}
}

func TestSizeZeroWritesPlainFile(t *testing.T) {
	dir, stream := t.TempDir(), content(3*mib+1)
	volumes := save(t, filepath.Join(dir, "bundle.tar"), stream, 0, volume.Options{Total: 3*mib + 1})
	if got := load(t, filepath.Join(dir, "bundle.tar")); !bytes.Equal(got, stream) || len(volumes) != 0 {
		t.Errorf("the file differs from the stream, or there are volumes: %v", volumes)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("files in the folder: %v", got)
	}
	if got, err := read(filepath.Join(dir, "bundle.tar")); err != nil || !bytes.Equal(got, stream) {
		t.Errorf("the file read differs from the stream (%v)", err)
	}
}

// TestMoreThan999Volumes checks that the names sort like the numbers if the size was known, and that more than 999 volumes
// are an error if it was not.
func TestMoreThan999Volumes(t *testing.T) {
	dir, stream := memoryDir(t), content(1001)
	volumes := save(t, filepath.Join(dir, "known"), stream, 1, volume.Options{Total: 1001})
	if got := cat(t, filepath.Join(dir, "known.*")); !bytes.Equal(got, stream) || len(volumes) != 1001 {
		t.Errorf("%d volumes, and cat gives %d bytes", len(volumes), len(got))
	}
	if list, err := volume.List(filepath.Join(dir, "known.0001")); err != nil || len(list) != 1001 {
		t.Errorf("List returns %d volumes (%v)", len(list), err)
	}
	w, err := volume.Create(filepath.Join(dir, "unknown"), 1, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write(stream); err == nil || !strings.Contains(err.Error(), "more than 999 volumes: choose larger volumes") {
		t.Errorf("%d bytes were written: %v", n, err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := volume.Create(filepath.Join(dir, "far"), 1, volume.Options{Total: 1e6}); err == nil {
		t.Error("a million volumes were accepted")
	}
	if got := names(t, dir); len(got) != 2*1001 {
		t.Errorf("%d files remain", len(got))
	}
}

func TestFinalNameMeansComplete(t *testing.T) {
	dir := t.TempDir()
	w, err := volume.Create(filepath.Join(dir, "b"), 10, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := []string{"b-001.json", "b.001"}, []string{"b-001.json", "b-002.json", "b.001", "b.002"}
	for _, step := range []struct {
		write int
		want  []string
	}{{9, nil}, {1, nil}, {1, one}, {9, one}, {1, two}} {
		if _, err := w.Write(make([]byte, step.write)); err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(names(t, dir), func(name string) bool { return name == "b-part" })
		if !slices.Equal(got, step.want) {
			t.Errorf("after %d more: %v, want %v", step.write, got, step.want)
		}
	}
	if _, err := volume.Create(filepath.Join(dir, "b"), 10, volume.Options{Overwrite: true}); err == nil ||
		!strings.Contains(err.Error(), "being written by another") {
		t.Errorf("second Writer of the same path: %v", err)
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("files after Abort: %v", got)
	}
	if _, err := w.Write(nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Write after Abort: %v", err)
	}
	if err := w.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("Close after Abort: %v", err)
	}
}

func TestOverwrite(t *testing.T) {
	for there, size := range map[string]int64{"b": 0, "b.002": 10, "b.0001": 10, "b-003.json": 10} {
		dir := t.TempDir()
		path := filepath.Join(dir, "b")
		store(t, filepath.Join(dir, there), []byte("old"))
		others := []string{"b.1", "b.tar", "b-001.txt", "bb.001", "b-x.001.json"}
		for _, other := range others {
			store(t, filepath.Join(dir, other), []byte("old"))
		}
		if _, err := volume.Create(path, size, volume.Options{}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), there) {
			t.Errorf("%s exists: %v", there, err)
		}
		if got := load(t, filepath.Join(dir, there)); string(got) != "old" {
			t.Errorf("the content of %s is %q", there, got)
		}
		w, err := volume.Create(path, size, volume.Options{Overwrite: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte("new")); err != nil {
			t.Fatal(err)
		}
		if got := load(t, filepath.Join(dir, there)); string(got) != "old" {
			t.Errorf("%s was removed before its replacement was complete", there)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := append([]string{"b"}, others...)
		if size > 0 {
			want = append([]string{"b-001.json", "b.001"}, others...)
		}
		slices.Sort(want)
		if got := names(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s was overwritten: %v, want %v", there, got, want)
		}
	}
}

func TestFileCreatedMeanwhileIsKept(t *testing.T) {
	for there, size := range map[string]int64{"b": 0, "b.001": 10, "b-001.json": 10} {
		dir := t.TempDir()
		w, err := volume.Create(filepath.Join(dir, "b"), size, volume.Options{})
		if err != nil {
			t.Fatal(err)
		}
		store(t, filepath.Join(dir, there), []byte("theirs"))
		if err := w.Close(); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s was created meanwhile: %v", there, err)
		}
		if err := w.Abort(); err != nil {
			t.Error(err)
		}
		if got := names(t, dir); len(got) != 1 || string(load(t, filepath.Join(dir, there))) != "theirs" {
			t.Errorf("%s was created meanwhile: files: %v", there, got)
		}
	}
}

func TestStreamOfAnotherSize(t *testing.T) {
	for _, size := range []int64{0, 4} {
		for write, want := range map[int]string{9: "ended after 9 of the expected 10 bytes", 11: "longer than the expected 10 bytes"} {
			dir := t.TempDir()
			w, err := volume.Create(filepath.Join(dir, "b"), size, volume.Options{Total: 10})
			if err != nil {
				t.Fatal(err)
			}
			_, _ = w.Write(make([]byte, write))
			if err := w.Close(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d bytes: %v", write, err)
			}
			if err := w.Abort(); err != nil {
				t.Error(err)
			}
			if got := names(t, dir); len(got) != 0 {
				t.Errorf("files: %v", got)
			}
		}
	}
}

func TestCreateErrors(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"folder", "v.001"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path string
		size int64
		info volume.Options
		want string
	}{
		{"folder", 0, volume.Options{Overwrite: true}, "not regular"},
		{"v", 1, volume.Options{Overwrite: true}, "v.001 is a folder"},
		{"missing/b", 0, volume.Options{}, "does not exist"},
		{"b", -1, volume.Options{}, "volume size -1 is out of range"},
		{"b", volume.MaxSize + 1, volume.Options{}, "the maximum is 1099511627776 bytes"},
		{"b", 1, volume.Options{Total: -1}, "stream size -1"},
		{"b.001", 0, volume.Options{}, "the name of a volume"},
		{"b\xff", 1, volume.Options{}, "not valid UTF-8"},
		{"b", 1, volume.Options{Title: "two\nlines"}, "title is not one line"},
		{"b", 1, volume.Options{Bundle: "\x1b[2J"}, "bundle is not one line"},
		{"", 1, volume.Options{}, "not a file name"},
		{"folder/", 1, volume.Options{}, "not a file name"},
	} {
		if _, err := volume.Create(dir+"/"+tt.path, tt.size, tt.info); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	if got := names(t, dir); len(got) != 2 {
		t.Errorf("files: %v", got)
	}
}

func TestFilesAreReproducible(t *testing.T) {
	stream, info := content(2*mib+1), volume.Options{Bundle: "b-7", Total: 2*mib + 1}
	one, two := t.TempDir(), t.TempDir()
	save(t, filepath.Join(one, "b"), stream, mib, info)
	save(t, filepath.Join(two, "b"), stream, mib, info)
	for _, name := range names(t, one) {
		if !bytes.Equal(load(t, filepath.Join(one, name)), load(t, filepath.Join(two, name))) {
			t.Errorf("%s differs", name)
		}
	}
	var d volume.Description
	if err := json.Unmarshal(load(t, filepath.Join(one, "b-003.json")), &d); err != nil || d.Count != 3 || len(d.Blocks) != 4 {
		t.Errorf("the last description is %+v (%v)", d, err)
	}
}
