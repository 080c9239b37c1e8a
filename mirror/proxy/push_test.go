package proxy

import (
	"context"
	"testing"

	"airmirror/mirror"
)

func TestLargePushesTakeTurns(t *testing.T) {
	m := &Proxy{largePushes: make(chan struct{}, 1), largeLine: mirror.NewShares[string](maxLargeLine)}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	done, err := m.pushLarge(t.Context(), mirror.MaxManifestSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.pushLarge(gone, mirror.MaxManifestSize); err == nil {
		t.Error("two at once")
	}
	if _, err := m.pushLarge(gone, mirror.LargeManifest); err != nil {
		t.Errorf("a small one waits: %v", err)
	}
	done()
	done()
	if _, err := m.pushLarge(t.Context(), mirror.MaxManifestSize); err != nil {
		t.Error(err)
	}
}
