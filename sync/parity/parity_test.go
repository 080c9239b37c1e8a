package parity_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/parity"
)

// TestRepair damages a file, its parity, or both, in every way that leaves enough, and compares each byte.
func TestRepair(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, damage := range damages {
		for _, tt := range []struct {
			size                 int
			redundancy           float64
			hurtFile, hurtBeside bool
		}{{30*block + 1, 20, true, false}, {30*block + 1, 20, false, true}, {30*block + 1, 20, true, true}, {201 * block, 5, true, true}} {
			data := content(tt.size)
			path := protect(t, data, tt.redundancy)
			beside := load(t, parity.Path(path))
			if tt.hurtFile {
				store(t, path, damage(random, bytes.Clone(data)))
			}
			if tt.hurtBeside && name != "a longer tail" { // what follows the records is not read
				store(t, parity.Path(path), damage(random, bytes.Clone(beside)))
			}
			report, err := parity.Repair(t.Context(), path, "")
			if err != nil || !report.Complete || report.Lost != 0 {
				t.Fatalf("%s, %+v: %+v %v", name, tt, report, err)
			}
			hasOnly(t, path, data, beside)
		}
	}
}

// TestLimit loses as many blocks of a row as its parity can rebuild, and one more. Then nothing changes.
func TestLimit(t *testing.T) {
	const columns, rows, redundancy = 170, 2, 10
	data := content(columns * rows * block)
	for _, lost := range []int{columns / redundancy, columns/redundancy + 1} {
		path := protect(t, data, redundancy)
		beside, damaged := load(t, parity.Path(path)), bytes.Clone(data)
		for c := range lost {
			clear(damaged[(c*rows+1)*block:][:block])
		}
		store(t, path, damaged)
		found, err := parity.Check(t.Context(), path)
		if err != nil || found.Complete || found.Damaged != int64(lost) || found.Repairable() != (lost <= columns/redundancy) {
			t.Errorf("%d blocks: %+v %v", lost, found, err)
		}
		report, err := parity.Repair(t.Context(), path, "")
		if lost <= columns/redundancy {
			if err != nil || !report.Complete || !report.Repaired {
				t.Errorf("%d blocks: %+v %v", lost, report, err)
			}
			hasOnly(t, path, data, beside)
			continue
		}
		want := fmt.Sprintf("%s cannot be repaired: 18 of its 18 damaged blocks of 4 KiB are too many for the parity in %[1]s-parity, the first near byte %d: copy it again", path, block)
		if mirror.CodeOf(err) != mirror.CodeDigestInvalid || err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
		hasOnly(t, path, damaged, beside)
	}
}

// TestLimitWithDamagedParity counts a damaged record as a lost block of its row.
func TestLimitWithDamagedParity(t *testing.T) {
	data := content(50 * block) // one row, with 10 blocks of parity
	const record = 5 << 10
	for _, extra := range []int{0, 1} {
		path := protect(t, data, 20)
		beside, damaged := load(t, parity.Path(path)), bytes.Clone(data)
		for c := range 4 + extra {
			damaged[c*block+77] ^= 1
		}
		hurt := bytes.Clone(beside)
		for c := range 6 {
			hurt[c*record+99] ^= 1
		}
		store(t, path, damaged)
		store(t, parity.Path(path), hurt)
		report, err := parity.Repair(t.Context(), path, "")
		if extra > 0 {
			if err == nil || report.Lost != 5 || report.DamagedParity != 6 {
				t.Errorf("one block too many: %+v %v", report, err)
			}
			hasOnly(t, path, damaged, hurt)
			continue
		}
		if err != nil || report.Damaged != 4 || report.DamagedParity != 6 {
			t.Errorf("%+v %v", report, err)
		}
		hasOnly(t, path, data, beside)
	}
}

// TestRepairOfLongRange loses a long range of the file, as a scratch or a truncation does: nearly the redundancy.
func TestRepairOfLongRange(t *testing.T) {
	data := content(201 * block)
	for _, from := range []int{0, 50_000, len(data) - len(data)/21} {
		path := protect(t, data, 5)
		beside, damaged := load(t, parity.Path(path)), bytes.Clone(data)
		end := from + len(data)/21
		clear(damaged[from:end])
		if end == len(data) {
			damaged = damaged[:from]
		}
		store(t, path, damaged)
		if report, err := parity.Repair(t.Context(), path, ""); err != nil {
			t.Errorf("from %d: %+v %v", from, report, err)
		}
		hasOnly(t, path, data, beside)
	}
}

// TestRepairToOtherFile leaves the damaged file, which may be on a medium that cannot be written to.
func TestRepairToOtherFile(t *testing.T) {
	data := content(40 * block)
	path := protect(t, data, 5)
	beside, damaged := load(t, parity.Path(path)), bytes.Clone(data)
	clear(damaged[100:9000])
	store(t, path, damaged)
	output := filepath.Join(t.TempDir(), "repaired.tar")
	if report, err := parity.Repair(t.Context(), path, output); err != nil || !report.Repaired {
		t.Errorf("%+v %v", report, err)
	}
	hasOnly(t, path, damaged, beside)
	if got := load(t, output); !bytes.Equal(got, data) {
		t.Error("the output differs")
	}
}

// TestLostFile is rebuilt if the redundancy is 100 %.
func TestLostFile(t *testing.T) {
	data := content(150*block + 5)
	path := protect(t, data, 100)
	beside := load(t, parity.Path(path))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if report, err := parity.Repair(t.Context(), path, ""); err != nil {
		t.Errorf("%+v %v", report, err)
	}
	hasOnly(t, path, data, beside)
}

// TestParityOfOtherFile does not bring back the file that the parity was written for.
func TestParityOfOtherFile(t *testing.T) {
	path := protect(t, content(100_000), 100)
	beside := load(t, parity.Path(path))
	for _, other := range [][]byte{[]byte(strings.Repeat("another", 9000)), []byte("short")} {
		store(t, path, other)
		_, err := parity.Repair(t.Context(), path, "")
		if err == nil || !strings.Contains(err.Error(), "it may be of another file") {
			t.Errorf("%d bytes: %v", len(other), err)
		}
		hasOnly(t, path, other, beside)
	}
}

// TestWrongDigest checks that a file whose blocks are all as the parity says is complete only with the right digest.
func TestWrongDigest(t *testing.T) {
	data := content(50_000)
	path := filepath.Join(t.TempDir(), "b.tar")
	store(t, path, data)
	if _, err := parity.Write(path, sha256.Sum256(nil), 5); err != nil {
		t.Fatal(err)
	}
	for _, change := range []int{0, 1} {
		data[0] ^= byte(change)
		store(t, path, data)
		beside := load(t, parity.Path(path))
		if report, err := parity.Repair(t.Context(), path, ""); report.Complete || mirror.CodeOf(err) != mirror.CodeDigestInvalid {
			t.Errorf("%+v %v", report, err)
		}
		hasOnly(t, path, data, beside)
	}
}

func TestUnusableParity(t *testing.T) {
	data := content(201 * block)
	path := protect(t, data, 5)
	for name, tt := range map[string]struct {
		parity []byte
		code   mirror.Code
	}{
		"cut off":   {load(t, parity.Path(path))[:5<<10], mirror.CodeDigestInvalid},
		"empty":     {nil, mirror.CodeDigestInvalid},
		"something": {content(90_000), mirror.CodeDigestInvalid},
	} {
		store(t, parity.Path(path), tt.parity)
		if _, err := parity.Repair(t.Context(), path, ""); mirror.CodeOf(err) != tt.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Remove(parity.Path(path)); err != nil {
		t.Fatal(err)
	}
	if _, err := parity.Check(t.Context(), path); mirror.CodeOf(err) != mirror.CodeUnsupported {
		t.Errorf("without parity: %v", err)
	}
}

// TestSmallFiles checks files of less than a row.
func TestSmallFiles(t *testing.T) {
	for _, size := range []int{0, 1, block - 1, block, block + 1, 5 * block} {
		data := content(size)
		path := protect(t, data, 5)
		report, err := parity.Repair(t.Context(), path, "")
		if err != nil || !report.Complete || report.Repaired || report.Size != int64(size) {
			t.Errorf("%d bytes: %+v %v", size, report, err)
		}
		hasOnly(t, path, data, load(t, parity.Path(path)))
	}
}

func TestRedundancy(t *testing.T) {
	data := content(400 * block)
	path := filepath.Join(t.TempDir(), "b.tar")
	store(t, path, data)
	for _, redundancy := range []float64{0, 0.5, -5, 101} {
		if _, err := parity.Write(path, sha256.Sum256(data), redundancy); err == nil || !strings.Contains(err.Error(), "out of range") {
			t.Errorf("%v%%: %v", redundancy, err)
		}
	}
	for redundancy := 1.0; redundancy <= 100; redundancy += 49.5 {
		size, err := parity.Write(path, sha256.Sum256(data), redundancy)
		share := float64(size) / float64(len(data)) * 100
		if err != nil || share < redundancy || share > redundancy*1.4+2 {
			t.Errorf("%v%%: the parity has %.1f%%: %v", redundancy, share, err)
		}
		if report, err := parity.Check(t.Context(), path); err != nil || !report.Complete {
			t.Errorf("%v%%: %+v %v", redundancy, report, err)
		}
	}
}
