package proxy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

// memoryState is a store of state in memory. It fails while failing is set.
type memoryState struct {
	mirror.StateStore
	records map[string][]byte
	failing bool
	writes  int
}

func (m *memoryState) State(context.Context, string) (map[string][]byte, error) {
	return maps.Clone(m.records), nil
}

func (m *memoryState) SetState(_ context.Context, _ string, records map[string][]byte) error {
	if m.failing {
		return errors.New("the disk is full")
	}
	m.writes++
	for key, record := range records {
		if m.records[key] = record; record == nil {
			delete(m.records, key)
		}
	}
	return nil
}

// pullsAt returns pulls with a clock that a test sets.
func pullsAt(t *testing.T, store mirror.StateStore, now *time.Time) *pulls {
	t.Helper()
	p := newPulls(store, func() time.Time { return *now }, zap.NewNop())
	if err := p.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPullsAreCountedByDay(t *testing.T) {
	store := &memoryState{records: map[string][]byte{"nonsense": []byte("x"), "docker.io/library/a:1": []byte("{}")}}
	now := time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC)
	p := pullsAt(t, store, &now)
	app, other := mirror.Repo{Host: mirror.DockerHub, Path: "team/app"}, mirror.Repo{Host: "ghcr.io", Path: "team/app"}
	d := digest.FromString("image")
	pull := func(times int) {
		for range times {
			p.count(t.Context(), app, d)
		}
	}
	check := func(when string, want string, total int64) {
		t.Helper()
		if got := fmt.Sprint(p.of(app, d)); got != want || p.total(app, d) != total {
			t.Errorf("%s: %s, %d in total; want %s, %d", when, got, p.total(app, d), want, total)
		}
	}
	pull(2)
	p.count(mirror.WithoutUsage(t.Context()), app, d)
	p.count(t.Context(), other, d)
	check("on the first day", "[{2026-01-31 2}]", 2)
	if store.writes != 0 {
		t.Error("a pull was written at once")
	}
	now = now.Add(2 * 24 * time.Hour)
	pull(1)
	check("two days later", "[{2026-01-31 2} {2026-02-02 1}]", 3)

	store.failing = true
	if err := p.save(t.Context()); err == nil {
		t.Error("a store that fails was not noticed")
	}
	store.failing = false
	if err := p.save(t.Context()); err != nil || store.writes != 1 {
		t.Errorf("saved %d times: %v", store.writes, err)
	}
	if err := p.save(t.Context()); err != nil || store.writes != 1 {
		t.Errorf("saved again without a change: %v", err)
	}
	p = pullsAt(t, store, &now)
	check("after a restart", "[{2026-01-31 2} {2026-02-02 1}]", 3)

	now = now.Add(-24 * time.Hour)
	pull(1)
	check("with a clock that was set back", "[{2026-01-30 2} {2026-02-01 2}]", 4)
	now = now.Add(88 * 24 * time.Hour)
	pull(1)
	check("after three months", "[{2026-02-01 2} {2026-04-30 1}]", 3)
	now = now.Add(90 * 24 * time.Hour)
	check("long after the last pull", "[]", 0)
	if err := p.save(t.Context()); err != nil || len(p.counts) != 0 || len(store.records) != 2 {
		t.Errorf("%d images are counted, %d saved, %v", len(p.counts), len(store.records), err)
	}
	pull(1)
	check("pulled again", "[{2026-07-29 1}]", 1)
}

func TestTheNumberOfCountedImagesIsBounded(t *testing.T) {
	now := time.Now()
	p := pullsAt(t, &memoryState{records: map[string][]byte{}}, &now)
	first, last := mirror.Repo{Host: "h.example", Path: "r0"}, mirror.Repo{Host: "h.example", Path: "last"}
	for n := range maxPulled {
		p.count(t.Context(), mirror.Repo{Host: "h.example", Path: fmt.Sprintf("r%d", n)}, "sha256:x")
	}
	p.count(t.Context(), last, "sha256:x")
	p.count(t.Context(), first, "sha256:x")
	if p.total(last, "sha256:x") != 0 || p.total(first, "sha256:x") != 2 {
		t.Errorf("counted %d and %d", p.total(last, "sha256:x"), p.total(first, "sha256:x"))
	}
}
