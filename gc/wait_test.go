package gc_test

import (
	"testing"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestWhatWaitsForTheGraceTimeIsSaid has everything that a collection leaves for that reason alone, beside what it leaves
// for others.
func TestWhatWaitsForTheGraceTimeIsSaid(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *world)
		policy gc.Policy
		want   gc.Waiting // but for Grace
	}{
		"nothing": {make: func(w *world) {
			w.blob("old", 7, day)
			w.image(team+":v1", mirror.Pushed, time.Minute, "base")
		}, policy: gc.Policy{DeleteUntagged: true}},
		"files": {make: func(w *world) {
			w.blob("a", 7, 10*time.Minute)
			w.blob("b", 5, 20*time.Minute)
			w.blob("c", 3, time.Minute)
			w.protected[named("c")] = true
			w.orphans = []mirror.Orphan{{Digest: named("e"), Size: 2, Written: ago(30 * time.Minute)}}
		}, want: gc.Waiting{Blobs: 3, Bytes: 14, Until: now.Add(50 * time.Minute)}},
		"an image without a tag": {make: func(w *world) {
			w.image(team+":v1", mirror.Pushed, time.Minute, "base")
			w.manifest(team+"@a", mirror.Pushed, 15*time.Minute, "base", "layer")
		}, policy: gc.Policy{DeleteUntagged: true}, want: gc.Waiting{Images: 1, Blobs: 2, Bytes: 1 + 10, Until: now.Add(45 * time.Minute)}},
		"a tag that a rule drops": {make: func(w *world) {
			w.image(team+":v1", mirror.Pushed, 20*time.Minute, "base", "one")
			w.image(team+":v2", mirror.Pushed, 10*time.Minute, "base", "two")
		}, policy: gc.Policy{Rules: []gc.Rule{{Match: "**", KeepNewest: 1, Pushed: true}}}, want: gc.Waiting{Images: 1, Blobs: 2, Bytes: 1 + 10, Until: now.Add(40 * time.Minute)}},
		"that stays anyway": {make: func(w *world) {
			w.manifest(team+"@a", mirror.Pushed, 15*time.Minute, "base", "layer")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.make(w)
			test.policy.Grace = gc.Age(hour)
			p := w.plan(test.policy)
			test.want.Grace = gc.Age(hour)
			if p.Waiting.Blobs != test.want.Blobs || p.Waiting.Bytes != test.want.Bytes || p.Waiting.Images != test.want.Images ||
				p.Waiting.Grace != test.want.Grace || !p.Waiting.Until.Equal(test.want.Until) {
				t.Errorf("%+v, want %+v", p.Waiting, test.want)
			}
		})
	}
}
