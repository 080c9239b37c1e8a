package gc_test

import (
	"testing"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// TestPlanCountsWhatIsWithinGracePeriod checks the sums over what only the grace period keeps, beside what is kept
// for other reasons.
func TestPlanCountsWhatIsWithinGracePeriod(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *surveyStore)
		policy gc.Policy
		want   gc.GraceTotals // without Grace
	}{
		"nothing": {make: func(w *surveyStore) {
			w.blob("old", 7, day)
			w.image(team+":v1", mirror.Pushed, time.Minute, "base")
			w.image(hub+":v1", mirror.Mirrored, time.Minute, "layer")
		}, policy: gc.Policy{DeleteUntagged: true}},
		"blob of a deleted image": {make: func(w *surveyStore) {
			w.manifest(team+"@a", mirror.Pushed, 2*hour, "base", "layer")
			w.blobs[digestOf("layer")].Used = ago(10 * time.Minute)
		}, policy: gc.Policy{DeleteUntagged: true}, want: gc.GraceTotals{Blobs: 1, Bytes: 10, Until: now.Add(hour)}},
		"files": {make: func(w *surveyStore) {
			w.blob("a", 7, 10*time.Minute)
			w.blob("b", 5, 20*time.Minute)
			w.blob("c", 3, time.Minute)
			w.protected[digestOf("c")] = true
			w.orphans = []mirror.Orphan{{Digest: digestOf("e"), Size: 2, Written: ago(30 * time.Minute)}}
		}, want: gc.GraceTotals{Blobs: 3, Bytes: 14, Until: now.Add(50 * time.Minute)}},
		"untagged image": {make: func(w *surveyStore) {
			w.image(team+":v1", mirror.Pushed, time.Minute, "base")
			w.manifest(team+"@a", mirror.Pushed, 15*time.Minute, "base", "layer")
		}, policy: gc.Policy{DeleteUntagged: true}, want: gc.GraceTotals{Images: 1, Blobs: 2, Bytes: 1 + 10, Until: now.Add(45 * time.Minute)}},
		"tag that a rule deletes": {make: func(w *surveyStore) {
			w.image(team+":v1", mirror.Pushed, 20*time.Minute, "base", "one")
			w.image(team+":v2", mirror.Pushed, 10*time.Minute, "base", "two")
		}, policy: gc.Policy{Rules: []gc.Rule{{Match: "**", KeepNewest: 1, IncludePushed: true}}}, want: gc.GraceTotals{Images: 1, Blobs: 2, Bytes: 1 + 10, Until: now.Add(40 * time.Minute)}},
		"kept anyway": {make: func(w *surveyStore) {
			w.manifest(team+"@a", mirror.Pushed, 15*time.Minute, "base", "layer")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSurvey(t)
			test.make(w)
			test.policy.Grace = gc.Age(hour)
			p := w.plan(test.policy)
			test.want.Grace = gc.Age(hour)
			if p.InGrace.Blobs != test.want.Blobs || p.InGrace.Bytes != test.want.Bytes || p.InGrace.Images != test.want.Images ||
				p.InGrace.Grace != test.want.Grace || !p.InGrace.Until.Equal(test.want.Until) {
				t.Errorf("%+v, want %+v", p.InGrace, test.want)
			}
		})
	}
}
