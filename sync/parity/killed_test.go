package parity_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"airmirror/sync/parity"
)

// TestMain runs the process that the tests kill, if the environment names a file.
func TestMain(m *testing.M) {
	path := os.Getenv("PARITY_FILE")
	if path == "" {
		os.Exit(m.Run())
	}
	var err error
	if os.Getenv("PARITY_REPAIR") != "" {
		_, err = parity.Repair(context.Background(), path, "")
	} else {
		var data []byte
		if data, err = os.ReadFile(path); err == nil {
			_, err = parity.Write(path, sha256.Sum256(data), 5)
		}
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// killAt starts a process that writes or repairs, and kills it when it has created a part and the part was seen a number of
// times. It returns false if the process ended first.
func killAt(t *testing.T, path, part, repair string, seen int) (killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "PARITY_FILE="+path, "PARITY_REPAIR="+repair)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("the process failed: %v\n%s", err, &output)
			}
			return false
		default:
		}
		if _, err := os.Stat(part); err == nil {
			seen--
		}
		if seen < 0 {
			_ = cmd.Process.Kill()
			return (<-ended) != nil
		}
	}
}

// TestKilledWriter kills the writer of parity at several moments: there is no parity then, or all of it, and the next one
// finishes.
func TestKilledWriter(t *testing.T) {
	data := content(6 << 20)
	whole := load(t, parity.Path(protect(t, data, 5)))
	path := filepath.Join(t.TempDir(), "b.tar")
	store(t, path, data)
	for seen := 0; seen < 20_000; seen = seen*20 + 1 {
		_ = os.Remove(parity.Path(path))
		if !killAt(t, path, parity.Path(path)+"-part", "", seen) {
			break
		}
		if got, err := os.ReadFile(parity.Path(path)); err == nil && !bytes.Equal(got, whole) {
			t.Errorf("seen %d times: %d bytes of parity have its name", seen, len(got))
		}
	}
	if _, err := parity.Write(path, sha256.Sum256(data), 5); err != nil {
		t.Fatal(err)
	}
	hasOnly(t, path, data, whole)
}

// TestKilledRepair kills a repair at several moments: the file is as it was then, or complete, and the next repair finishes.
func TestKilledRepair(t *testing.T) {
	data := content(6 << 20)
	path := protect(t, data, 5)
	beside, damaged := load(t, parity.Path(path)), bytes.Clone(data)
	clear(damaged[77 : 250<<10])
	hurt := bytes.Clone(beside)
	clear(hurt[:20<<10])
	for seen := 0; seen < 20_000; seen = seen*20 + 1 {
		store(t, path, damaged)
		store(t, parity.Path(path), hurt)
		if !killAt(t, path, path+"-part", "yes", seen) {
			break
		}
		if got := load(t, path); !bytes.Equal(got, damaged) && !bytes.Equal(got, data) {
			t.Errorf("seen %d times: the file has %d bytes, and is neither the damaged nor the repaired one", seen, len(got))
		}
		if got := load(t, parity.Path(path)); !bytes.Equal(got, hurt) && !bytes.Equal(got, beside) {
			t.Errorf("seen %d times: the parity has %d bytes, and is neither the damaged nor the repaired one", seen, len(got))
		}
	}
	if _, err := parity.Repair(t.Context(), path, ""); err != nil {
		t.Fatal(err)
	}
	hasOnly(t, path, data, beside)
}
