package parity

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var errSector = errors.New("input/output error")

// badSectors is a file with sectors that cannot be read, as a disk has them: a read that touches one ends before it.
type badSectors struct {
	io.ReaderAt
	sectors []int64
}

func (b badSectors) ReadAt(p []byte, at int64) (int, error) {
	for _, s := range b.sectors {
		if begin := s * blockSize; at < begin+blockSize && at+int64(len(p)) > begin {
			n, _ := b.ReaderAt.ReadAt(p[:max(0, begin-at)], at)
			return n, errSector
		}
	}
	return b.ReaderAt.ReadAt(p, at)
}

// TestUnreadableSectors repairs a file and a parity with sectors that cannot be read.
func TestUnreadableSectors(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdefghijklmnopq"), 31_000) // 205 blocks, in 103 columns of two
	path := filepath.Join(t.TempDir(), "b.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(path, sha256.Sum256(data), 5); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]int64{
		"first": {0}, "last": {int64(len(data)-1) / blockSize}, "several": {3, 4, 5, 100, 151}, "of one row": {1, 7, 15, 21},
	} {
		output := filepath.Join(t.TempDir(), "out")
		r, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		r.file, r.parity = badSectors{r.file, bad}, badSectors{r.parity, bad}
		report, err := r.check(t.Context(), path)
		if err != nil || report.Damaged != int64(len(bad)) || !report.Repairable() {
			t.Errorf("%s: %+v %v", name, report, err)
		}
		err = r.rebuild(t.Context(), path, output)
		r.close()
		got, readErr := os.ReadFile(output)
		if err := errors.Join(err, readErr); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes: %v", name, len(got), err)
		}
	}
}

// FuzzRecord parses arbitrary records. What is accepted is a layout that can be computed with.
func FuzzRecord(f *testing.F) {
	l, err := newLayout(1<<20, 5)
	if err != nil {
		f.Fatal(err)
	}
	record := make([]byte, recordSize)
	identity{layout: l}.encodeRecord(record, 1, 1)
	f.Add(slices.Clone(record[fieldsAt:zerosAt]))
	f.Add(bytes.Repeat([]byte{0xff}, zerosAt-fieldsAt))
	f.Fuzz(func(t *testing.T, fields []byte) {
		_, _, _, _ = parseRecord(fields)
		record := make([]byte, recordSize)
		copy(record[fieldsAt:checksumsAt], fields)
		again := slices.Clone(record)
		sealRecord(record)
		id, column, row, err := parseRecord(record)
		if err != nil {
			return
		}
		if !id.valid() || id.rows() < 1 || id.recordOffset(column, row) < 0 || id.recordOffset(column, row) >= id.parityBytes() || id.parityBytes() < 0 {
			t.Fatalf("accepted: %+v, column %d, row %d", id, column, row)
		}
		id.encodeRecord(again, column, row)
		if same, _, _, err := parseRecord(again); err != nil || same != id {
			t.Fatalf("%+v became %+v: %v", id, same, err)
		}
	})
}

// FuzzRepair repairs with an arbitrary first record: it must not panic, nor change the file.
func FuzzRepair(f *testing.F) {
	dir := f.TempDir()
	path, data := filepath.Join(dir, "b.tar"), bytes.Repeat([]byte("content"), 3000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		f.Fatal(err)
	}
	if _, err := Write(path, sha256.Sum256(data), 5); err != nil {
		f.Fatal(err)
	}
	valid, err := os.ReadFile(Path(path))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(slices.Clone(valid[fieldsAt:zerosAt]))
	f.Add([]byte{0, 1, 0, 1, 0, 0, 0, 0, 0xff})
	f.Fuzz(func(t *testing.T, fields []byte) {
		record := slices.Clone(valid[:recordSize])
		copy(record[fieldsAt:], fields)
		sealRecord(record)
		if err := os.WriteFile(Path(path), append(record, valid[recordSize:]...), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _ = Repair(t.Context(), path, "")
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("the file has %d bytes: %v", len(got), err)
		}
	})
}

// TestMemory checks that the buffers do not depend on the size of the file.
func TestMemory(t *testing.T) {
	for _, size := range []int64{1 << 20, 1 << 30, 1 << 40, maxSize} {
		for _, redundancy := range []float64{1, 5, 28, 29, 63, 100} {
			l, err := newLayout(size, redundancy)
			if err != nil || !l.valid() {
				t.Fatalf("%d bytes, %v%%: %+v %v", size, redundancy, l, err)
			}
			total := 0
			for _, s := range l.newShards() {
				total += len(s)
			}
			if total > maxShards*pieceRows*blockSize {
				t.Errorf("%d bytes, %v%%: buffers of %d bytes", size, redundancy, total)
			}
		}
	}
}
