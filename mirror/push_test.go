package mirror

import (
	"context"
	"testing"
)

func TestLargePushesTakeTurns(t *testing.T) {
	m := &Mirror{largePushes: make(chan struct{}, 1), largeLine: NewShares[string](maxLargeLine)}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	done, err := m.pushLarge(t.Context(), MaxManifestSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.pushLarge(gone, MaxManifestSize); err == nil {
		t.Error("two at once")
	}
	if _, err := m.pushLarge(gone, largeManifest); err != nil {
		t.Errorf("a small one waits: %v", err)
	}
	done()
	done()
	if _, err := m.pushLarge(t.Context(), MaxManifestSize); err != nil {
		t.Error(err)
	}
}
