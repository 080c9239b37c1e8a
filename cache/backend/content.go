package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// CheckContent reads a blob through a buffer and verifies that it has digest d. reason describes the damage: the content
// has another digest, or the disk cannot read it. Any other failure is an error and says nothing about the blob.
// CheckContent calls before as [mirror.CheckOptions] specifies for Read.
func CheckContent(ctx context.Context, blob mirror.Blob, d digest.Digest, buffer []byte, before func(context.Context, int) error) (reason string, err error) {
	verifier := d.Verifier()
	for rest := blob.Size; rest > 0; {
		next := buffer[:min(rest, int64(len(buffer)))]
		if err := errors.Join(before(ctx, len(next)), ctx.Err()); err != nil {
			return "", err
		}
		n, err := io.ReadFull(blob, next)
		_, _ = verifier.Write(next[:n]) // a hash never returns an error
		switch {
		case err == io.ErrUnexpectedEOF || err == io.EOF:
			return "it is damaged: its file became shorter while it was read", nil
		case errors.Is(err, syscall.EIO):
			return fmt.Sprintf("it is damaged: its file cannot be read: %v", err), nil
		case err != nil:
			return "", err
		}
		rest -= int64(n)
	}
	if !verifier.Verified() {
		return "it is damaged: the content of its file has another digest", nil
	}
	return "", nil
}
