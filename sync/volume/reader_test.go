package volume_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"airmirror/mirror"
	"airmirror/sync/volume"
)

// TestDamagedBlock checks that the error names the volume and the block, and that no byte of the block is returned.
func TestDamagedBlock(t *testing.T) {
	const size = 2*mib + 100
	for at, want := range map[int]struct {
		out         int
		first, last int64
	}{
		0:           {0, 0, mib - 1},
		mib - 1:     {0, 0, mib - 1},
		mib:         {mib, mib, 2*mib - 1},
		2 * mib:     {2 * mib, 2 * mib, size - 1},
		2*mib + 99:  {2 * mib, 2 * mib, size - 1},
		2*mib - 100: {mib, mib, 2*mib - 1},
	} {
		path := filepath.Join(t.TempDir(), "bundle.tar")
		save(t, path, content(3*size), size, volume.Options{})
		b := load(t, path+".002")
		b[at] ^= 1
		store(t, path+".002", b)

		got, err := read(path + ".002")
		var damage *volume.DamagedError
		if !errors.As(err, &damage) || mirror.CodeOf(err) != mirror.CodeDigestInvalid {
			t.Fatalf("byte %d: %v", at, err)
		}
		text := fmt.Sprintf("volume bundle.tar.002 is damaged at bytes %d–%d: copy it again", want.first, want.last)
		if err.Error() != text || damage.Volume != "bundle.tar.002" || damage.First != want.first || damage.Last != want.last {
			t.Errorf("byte %d: %v (%+v), want %q", at, err, damage, text)
		}
		if !bytes.Equal(got, b[:want.out]) {
			t.Errorf("byte %d: %d bytes returned, want %d", at, len(got), want.out)
		}
		for _, other := range []string{".001", ".003"} {
			if _, err := read(path + other); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestDigestIsCheckedBeforeLastBlock changes a volume and the checksums of its blocks.
func TestDigestIsCheckedBeforeLastBlock(t *testing.T) {
	for size, out := range map[int]int{0: 0, 1: 0, mib: 0, 2*mib + 1: 2 * mib} {
		path := filepath.Join(t.TempDir(), "b")
		save(t, path, content(size), 3*mib, volume.Options{})
		edit(t, path+"-001.json", "digest", "sha256:"+strings.Repeat("0", 64))
		got, err := read(path + ".001")
		var damage *volume.DamagedError
		if !errors.As(err, &damage) || damage.First != 0 || damage.Last != int64(max(size-1, 0)) || len(got) != out {
			t.Errorf("%d bytes: %d returned: %v", size, len(got), err)
		}
	}
}

// TestCloseDuringRead does what a client does whose import is rejected while net/http still sends the volume.
func TestCloseDuringRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	save(t, path, content(3*mib), 3*mib, volume.Options{})
	for range 30 {
		v, err := volume.Open(path + ".001")
		if err != nil {
			t.Fatal(err)
		}
		begun, ended := make(chan struct{}), make(chan error)
		go func() {
			p := make([]byte, 4096)
			_, err := v.Read(p)
			close(begun)
			for err == nil {
				_, err = v.Read(p)
			}
			ended <- err
		}()
		<-begun
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != io.EOF && !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read during Close: %v", err)
		}
	}
}

func TestOpenChecksSize(t *testing.T) {
	for size, want := range map[int64]volume.DamagedError{
		9:  {First: 9, Last: 9, Problem: "has 9 bytes and should have 10"},
		0:  {First: 0, Last: 9, Problem: "has 0 bytes and should have 10"},
		12: {First: 10, Last: 11, Problem: "has 12 bytes and should have 10"},
	} {
		path := filepath.Join(t.TempDir(), "b")
		save(t, path, content(10), 10, volume.Options{})
		if err := os.Truncate(path+".001", size); err != nil {
			t.Fatal(err)
		}
		_, err := volume.Open(path + ".001")
		want.Volume = "b.001"
		var damage *volume.DamagedError
		if !errors.As(err, &damage) || *damage != want || err.Error() != "volume b.001 "+want.Problem+": copy it again" {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestTruncatedDuringRead truncates a volume after it was opened.
func TestTruncatedDuringRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b")
	save(t, path, content(3*mib), 3*mib, volume.Options{})
	v, err := volume.Open(path + ".001")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if _, err := io.ReadFull(v, make([]byte, mib)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path+".001", mib+5); err != nil {
		t.Fatal(err)
	}
	var damage *volume.DamagedError
	if got, err := io.ReadAll(v); !errors.As(err, &damage) || damage.First != mib+5 || len(got) != 0 {
		t.Errorf("%d bytes returned: %v", len(got), err)
	}
	if _, err := v.Read(make([]byte, 1)); !errors.As(err, &damage) {
		t.Errorf("second Read: %v", err)
	}
}

// TestReadError reads a folder, which fails as a broken disk does.
func TestReadError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "b.001")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	v, err := volume.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var damage *volume.DamagedError
	if _, err := v.Read(make([]byte, 10)); !errors.As(err, &damage) || damage.First != 0 || damage.Last != 9 || damage.Cause == nil ||
		!errors.Is(err, damage.Cause) || !strings.HasPrefix(err.Error(), "volume b.001 cannot be read at bytes 0–9: ") {
		t.Errorf("got %v", err)
	}
}

func TestVolumeWithoutDescription(t *testing.T) {
	path, stream := filepath.Join(t.TempDir(), "b"), content(2*mib)
	save(t, path, stream, 3*mib, volume.Options{})
	if err := os.Remove(path + "-001.json"); err != nil {
		t.Fatal(err)
	}
	stream[7] ^= 1
	store(t, path+".001", stream)
	v, err := volume.Open(path + ".001")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := v.Description(); ok || v.Size() != 2*mib || v.Name() != "b.001" {
		t.Errorf("it has a description, or the size %d or name %s is wrong", v.Size(), v.Name())
	}
	if got, err := io.ReadAll(v); err != nil || !bytes.Equal(got, stream) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if _, err := v.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) || errors.As(err, new(*volume.DamagedError)) {
		t.Errorf("Read after Close: %v", err)
	}
}

func TestReaderImplementsIOReader(t *testing.T) {
	path, stream := filepath.Join(t.TempDir(), "b"), content(2*mib+17)
	save(t, path, stream, 3*mib, volume.Options{Bundle: "b-7"})
	v, err := volume.Open(path + ".001")
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if d, ok := v.Description(); !ok || d.Bundle != "b-7" || v.Size() != 2*mib+17 {
		t.Errorf("description: %+v", d)
	}
	if err := iotest.TestReader(struct{ io.Reader }{v}, stream); err != nil {
		t.Error(err)
	}
}

func TestOpenOtherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle.tar")
	store(t, path, []byte("stream"))
	if got, err := read(path); err != nil || string(got) != "stream" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := volume.Open(path + ".001"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing volume: %v", err)
	}
}
