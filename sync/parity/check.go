package parity

import (
	"context"
	"crypto/sha256"
	"io"

	"airmirror/mirror"
)

// Report is what [Check] and [Repair] found. A block has 4 KiB.
type Report struct {
	File   string `json:"file"`
	Parity string `json:"parity"`
	Size   int64  `json:"size"` // that the file should have, in bytes
	// Complete is set if the file has the digest that its parity says, or has it after the repair.
	Complete bool  `json:"complete"`
	Damaged  int64 `json:"damaged"` // number of blocks that were damaged, missing or unreadable
	Lost     int64 `json:"lost"`    // number of those that cannot be rebuilt
	// DamagedParity is the number of blocks of parity that were damaged. [Repair] replaces them.
	DamagedParity int64 `json:"damagedParity"`
	Repaired      bool  `json:"repaired"` // the file or its parity was repaired

	lostAt int64 // offset of the first row that cannot be rebuilt
	excess int64 // bytes that the file has too many
	blocks int64
}

// Repairable reports whether [Repair] completes the file.
func (r Report) Repairable() bool { return !r.Complete && r.Problem() == nil }

// Problem returns why the file cannot be repaired.
func (r Report) Problem() error {
	switch {
	case r.Complete:
		return nil
	case r.Lost > 0:
		return mirror.Errorf(mirror.CodeDigestInvalid, "%s cannot be repaired: %d of its %d damaged blocks of 4 KiB are too many for the parity in %s, the first near byte %d: copy it again",
			r.File, r.Lost, r.Damaged, r.Parity, r.lostAt)
	case r.Damaged == 0 && r.excess == 0:
		return mirror.Errorf(mirror.CodeDigestInvalid, "%s cannot be repaired: no block is damaged, and yet it is not the file that %s was written for: copy both again",
			r.File, r.Parity)
	}
	return nil
}

// Check compares a file with its parity, and reports whether it is complete. It changes nothing.
func Check(ctx context.Context, file string) (Report, error) {
	r, err := open(file)
	if err != nil {
		return Report{}, err
	}
	defer r.close()
	return r.check(ctx, file)
}

func (r *reader) check(ctx context.Context, file string) (Report, error) {
	report := Report{File: file, Parity: Path(file), Size: r.size, blocks: r.blocks(), excess: max(0, r.present-r.size)}
	err := r.eachPiece(ctx, func(row int64, n int) error {
		for i := range n {
			blocks, parity := r.count(i)
			report.Damaged += int64(blocks)
			report.DamagedParity += int64(parity)
			if blocks > r.layout.parity-parity {
				if report.Lost == 0 {
					report.lostAt = r.firstMissing(i, row)
				}
				report.Lost += int64(blocks)
			}
		}
		return nil
	})
	if err == nil && report.Damaged == 0 && report.excess == 0 {
		report.Complete, err = hasDigest(ctx, r.file, r.identity)
	}
	return report, err
}

// eachPiece loads all rows, and calls do for those of each piece.
func (r *reader) eachPiece(ctx context.Context, do func(row int64, n int) error) error {
	for row := int64(0); row < r.rows(); row += pieceRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := int(min(pieceRows, r.rows()-row))
		r.load(row, n)
		if err := do(row, n); err != nil {
			return err
		}
	}
	return nil
}

// firstMissing returns the offset of the first missing block of a loaded row.
func (r *reader) firstMissing(i int, row int64) int64 {
	for c := range r.columns {
		if r.missing[i][c] {
			return r.offset(c, row+int64(i))
		}
	}
	return 0
}

// hasDigest reads a file and reports whether it has the digest.
func hasDigest(ctx context.Context, file io.ReaderAt, id identity) (bool, error) {
	sum, buffer := sha256.New(), make([]byte, 1<<20)
	for at := int64(0); at < id.size; at += int64(len(buffer)) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		part := buffer[:min(int64(len(buffer)), id.size-at)]
		if n, err := file.ReadAt(part, at); n < len(part) {
			return false, err
		}
		sum.Write(part)
	}
	return [sha256.Size]byte(sum.Sum(nil)) == id.digest, nil
}
