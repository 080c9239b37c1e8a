//go:build linux

package volume_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"airmirror/sync/volume"
)

// TestMain runs the process that TestKilled kills, if the environment names a file.
func TestMain(m *testing.M) {
	if path := os.Getenv("VOLUME_WRITE"); path != "" {
		writeForEver(path)
	}
	os.Exit(m.Run())
}

func writeForEver(path string) {
	w, err := volume.Create(path, 3*mib, volume.Options{Bundle: "killed", Overwrite: true})
	for block := content(mib / 2); err == nil; fmt.Println(len(w.Volumes())) {
		_, err = w.Write(block)
	}
	fmt.Println(err)
	os.Exit(1)
}

// TestKilled checks that a killed process leaves complete volumes, and a part that the next process reuses.
func TestKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	for lines := 1; lines < 40; lines += 4 { // lines of the output of the process
		killAfter(t, path, lines)
		found, err := filepath.Glob(path + ".*")
		if err != nil || lines > 14 && len(found) == 0 {
			t.Fatalf("after %d lines List returns %v (%v)", lines, found, err)
		}
		for _, file := range found {
			if got, err := read(file); err != nil || len(got) != 3*mib {
				t.Errorf("after %d lines %s has %d bytes: %v", lines, file, len(got), err)
			}
			if v, err := volume.Open(file); err != nil {
				t.Error(err)
			} else if _, checked := v.Description(); !checked {
				t.Errorf("after %d lines %s has no description", lines, file)
			} else {
				v.Close()
			}
		}
	}
	stream := content(7 * mib)
	save(t, path, stream, 3*mib, volume.Options{Overwrite: true})
	if got := cat(t, path+".*"); !bytes.Equal(got, stream) {
		t.Error("the stream contains bytes of the leftover part")
	}
	left := slices.DeleteFunc(names(t, filepath.Dir(path)), func(name string) bool { return name == "b-part.json" })
	if len(left) != 6 {
		t.Errorf("files: %v", left)
	}
}

func killAfter(t *testing.T, path string, lines int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "VOLUME_WRITE="+path)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for i := 0; i < lines && said.Scan(); i++ {
		if strings.ContainsFunc(said.Text(), func(r rune) bool { return r < '0' || r > '9' }) {
			t.Error(said.Text())
		}
	}
	_ = cmd.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
}

// TestNamedPipe checks that a pipe in place of a description, or of a volume with a description, is not opened: opening it
// would block.
func TestNamedPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	for _, name := range []string{"b.001", "b-001.json"} {
		save(t, path, nil, 10, volume.Options{Overwrite: true})
		pipe := filepath.Join(filepath.Dir(path), name)
		err := os.Remove(pipe)
		if err == nil {
			err = syscall.Mkfifo(pipe, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := volume.Open(path + ".001"); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s is a pipe: %v", name, err)
		}
	}
}

// TestFileSizeLimit runs in a process of its own, because the limit applies to a process.
func TestFileSizeLimit(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	t.Cleanup(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
		signal.Reset(syscall.SIGXFSZ)
	})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 5 * mib, Max: old.Max}); err != nil {
		t.Fatal(err)
	}

	dir, stream := t.TempDir(), make([]byte, 20*mib)
	w, err := volume.Create(filepath.Join(dir, "b"), 5*mib+1, volume.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(stream); !errors.Is(err, syscall.EFBIG) || !strings.Contains(err.Error(), "choose smaller volumes") {
		t.Errorf("a file that is too large: %v", err)
	}
	if err := w.Abort(); err != nil || len(names(t, dir)) != 0 {
		t.Errorf("files: %v (%v)", names(t, dir), err)
	}
	save(t, filepath.Join(dir, "b"), stream, 5*mib, volume.Options{})
}
