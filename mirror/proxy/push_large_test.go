package proxy

import (
	"context"
	"testing"

	"airmirror/mirror"
)

func TestLargePushesTakeTurns(t *testing.T) {
	l := newLargePushes()
	l.slots = make(chan struct{}, 1)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	done, err := l.acquire(t.Context(), mirror.MaxManifestSize)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.acquire(gone, mirror.MaxManifestSize); err == nil {
		t.Error("two at once")
	}
	if _, err := l.acquire(gone, mirror.LargeManifest); err != nil {
		t.Errorf("a small one waits: %v", err)
	}
	done()
	done()
	if _, err := l.acquire(t.Context(), mirror.MaxManifestSize); err != nil {
		t.Error(err)
	}
}
