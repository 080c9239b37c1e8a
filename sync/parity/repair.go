package parity

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/reedsolomon"

	"airmirror/mirror"
	"airmirror/mirror/durable"
)

// writebackStep is the number of bytes after which writing to disk is started, so that the sync at the end waits for the last
// ones only.
const writebackStep = 8 << 20

// Repair rebuilds what is damaged in a file, and in its parity. The repaired file is written beside the damaged one, verified,
// and replaces it: a process that is killed leaves the damaged file as it was, and a part that the next Repair reuses. If
// output is not empty, the repaired file gets that name, and nothing else changes. A complete file is not written again.
//
// The error is a [mirror.CodeUnsupported] if the file has no parity, and a [mirror.CodeDigestInvalid] if too much is damaged.
func Repair(ctx context.Context, file, output string) (Report, error) {
	r, err := open(file)
	if err != nil {
		return Report{}, err
	}
	defer func() { r.close() }()
	report, err := r.check(ctx, file)
	if err == nil {
		err = report.Problem()
	}
	if err == nil && r.present > 0 && report.Damaged == report.blocks {
		err = mirror.Errorf(mirror.CodeDigestInvalid, "no block of %s is as its parity says, so that it may be of another file: move %[1]s away to rebuild it from %s", file, report.Parity)
	}
	if err != nil {
		return report, err
	}
	if !report.Complete {
		if err := r.rebuild(ctx, file, output); err != nil {
			return report, fmt.Errorf("repair %s: %w", file, err)
		}
		report.Complete, report.Repaired = true, true
	}
	if report.DamagedParity == 0 || output != "" {
		return report, nil
	}
	r.close() // some systems cannot replace open files
	if _, err := write(file, 0, r.identity); err != nil {
		return report, fmt.Errorf("%s is complete, but its parity is damaged and could not be written again: %w", file, err)
	}
	report.Repaired = true
	return report, nil
}

// rebuild writes the repaired file and gives it its name.
func (r *reader) rebuild(ctx context.Context, file, output string) (err error) {
	if output == "" {
		output = file
	}
	code, err := r.code()
	if err != nil {
		return err
	}
	out, err := newTemp(output)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.remove()) }()
	written := int64(0)
	err = r.eachPiece(ctx, func(row int64, n int) error {
		if err := r.reconstruct(code, n); err != nil {
			return err
		}
		for c := range r.columns {
			at := r.offset(c, row)
			part := r.shards[c][:min(int64(n*blockSize), max(0, r.size-at))]
			if _, err := out.WriteAt(part, at); err != nil {
				return err
			}
			if written += int64(len(part)); written >= writebackStep {
				durable.StartWriteback(out.File, 0, 0)
				written = 0
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if ok, err := hasDigest(ctx, out, r.identity); err != nil || !ok {
		return errors.Join(err, mirror.Errorf(mirror.CodeDigestInvalid, "the result has another digest than the parity says, and was not used: copy it again"))
	}
	return out.publish(output)
}

// reconstruct rebuilds the missing blocks of n loaded rows. Rows with the same ones are rebuilt together.
func (r *reader) reconstruct(code reedsolomon.Encoder, n int) error {
	for first := 0; first < n; {
		end := first + 1
		for end < n && slices.Equal(r.missing[first], r.missing[end]) {
			end++
		}
		if blocks, _ := r.count(first); blocks > 0 {
			shards := make([][]byte, len(r.shards))
			for i := range shards {
				shards[i] = r.shards[i][first*blockSize : end*blockSize : end*blockSize]
				if r.missing[first][i] {
					shards[i] = shards[i][:0]
				}
			}
			if err := code.ReconstructData(shards); err != nil {
				return err
			}
		}
		first = end
	}
	return nil
}
