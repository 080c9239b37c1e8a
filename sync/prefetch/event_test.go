package prefetch_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"

	"airmirror/mirror"
	"airmirror/sync/prefetch"
)

// TestReasonsNameAnImageOnce checks that neither the image nor the cause is repeated.
func TestReasonsNameAnImageOnce(t *testing.T) {
	m, r := newMirror(t)
	r.push("org/app", "1.0.0", "layer")
	summary, _, _ := run(t, t.Context(), m, prefetch.Request{Images: []string{"org/app:2.0.0", "elsewhere.test/app:1"}})
	failed(t, summary, "elsewhere.test/app:1: no upstream is configured for elsewhere.test: add one with --upstream elsewhere.test",
		"registry.test/org/app:2.0.0: registry.test does not have it")
}

// TestAFullDiskIsSaidInWords checks that no path of a temporary file is in the reason.
func TestAFullDiskIsSaidInWords(t *testing.T) {
	f := &fake{fetch: func(context.Context, mirror.Ref, mirror.FetchOptions) (mirror.Fetched, error) {
		return mirror.Fetched{}, fmt.Errorf("write data/incoming/1: %w", syscall.ENOSPC)
	}}
	summary, _, _ := run(t, t.Context(), f, prefetch.Request{Images: []string{"ghcr.io/org/app:1"}})
	failed(t, summary, "ghcr.io/org/app:1: the disk of the mirror is full: free space with 'mirror rm --now' or 'mirror gc'")
}
