package prefetch_test

import (
	"testing"

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
