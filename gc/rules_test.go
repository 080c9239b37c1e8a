package gc_test

import (
	"errors"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

func TestRetentionRules(t *testing.T) {
	const always = gc.Age(1)
	for name, test := range map[string]struct {
		make   func(w *surveyStore)
		rule   gc.Rule
		policy gc.Policy
		want   []string
	}{
		"no reason to delete": {rule: gc.Rule{Match: "**", Keep: []string{"v1"}}},
		"newest":              {rule: gc.Rule{Match: "docker.io/**", KeepNewest: 2}, want: []string{"image " + hub + ":v4", "image " + hub + ":v3"}},
		"newest of those that no pattern keeps": {
			rule: gc.Rule{Match: "docker.io/**", KeepNewest: 2, Keep: []string{"v1", "v4"}},
		},
		"unused":                    {rule: gc.Rule{Match: "docker.io/**", DropUnusedFor: gc.Age(60 * hour)}, want: []string{"image " + hub + ":v4", "image " + hub + ":v3"}},
		"unused for just that long": {rule: gc.Rule{Match: "docker.io/**", DropUnusedFor: gc.Age(3 * day)}, want: []string{"image " + hub + ":v4"}},
		"unused, unless a pattern keeps it": {
			rule: gc.Rule{Match: "docker.io/**", DropUnusedFor: gc.Age(60 * hour), Keep: []string{"*4"}},
			want: []string{"image " + hub + ":v3"},
		},
		"unused and not among the newest": {
			rule: gc.Rule{Match: "docker.io/**", DropUnusedFor: always, KeepNewest: 3},
			want: []string{"image " + hub + ":v4"},
		},
		"another repository": {rule: gc.Rule{Match: "ghcr.io/**", DropUnusedFor: always}},
		"the first rule applies": {
			rule:   gc.Rule{Match: hub, KeepNewest: 9},
			policy: gc.Policy{Rules: []gc.Rule{{Match: "**", DropUnusedFor: always}}},
		},
		"one tag of two": {
			make: func(w *surveyStore) {
				w.tag(hub+":latest", "v4", mirror.Mirrored)
				w.moveTag(hub+":latest", hour)
			},
			rule: gc.Rule{Match: hub, KeepNewest: 4},
			want: []string{"tag " + hub + ":v4"},
		},
		"child of an index that is kept": {
			make: func(w *surveyStore) {
				w.index(hub+"@index", mirror.Mirrored, hour, "v4")
				w.tag(hub+":latest", "index", mirror.Mirrored)
			},
			rule: gc.Rule{Match: hub, KeepNewest: 4},
			want: []string{"tag " + hub + ":v4"},
		},
		"pinned, used recently or in use": {
			make: func(w *surveyStore) {
				w.pin(hub + ":v4")
				w.protected[digestOf("v3")] = true
				w.moveTag(hub+":v2", time.Minute)
			},
			policy: gc.Policy{Grace: gc.Age(hour)},
			rule:   gc.Rule{Match: hub, DropUnusedFor: always},
			want:   []string{"image " + hub + ":v1"},
		},
		"cannot be fetched again": {
			make: func(w *surveyStore) { w.fetchErrors[hub] = errors.New("offline") },
			rule: gc.Rule{Match: hub, DropUnusedFor: always},
		},
		"pushed": {
			make: func(w *surveyStore) { w.image(team+":v1", mirror.Pushed, 9*day, "a") },
			rule: gc.Rule{Match: team, DropUnusedFor: gc.Age(day)},
		},
		"pushed, with a rule for pushed images": {
			make: func(w *surveyStore) { w.image(team+":v1", mirror.Pushed, 9*day, "a") },
			rule: gc.Rule{Match: team, DropUnusedFor: gc.Age(day), IncludePushed: true},
			want: []string{"image " + team + ":v1"},
		},
		"superseded": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@old", mirror.Mirrored, 9*day, "a")
				w.manifest(hub+"@new", mirror.Mirrored, hour, "a")
				w.moveTag(hub+":v1", 8*day)
			},
			rule: gc.Rule{Match: hub, DropSupersededAfter: gc.Age(7 * day)},
			want: []string{"manifest " + hub + "@old"},
		},
		"superseded and unused for just that long": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@old", mirror.Mirrored, 7*day, "a")
				w.moveTag(hub+":v1", 7*day+30*time.Minute)
			},
			rule: gc.Rule{Match: hub, DropSupersededAfter: gc.Age(7 * day)},
		},
		"superseded for just that long": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@old", mirror.Mirrored, 9*day, "a")
				w.moveTag(hub+":v1", 7*day)
			},
			rule: gc.Rule{Match: hub, DropSupersededAfter: gc.Age(7 * day)},
		},
		"not superseded: the tag was made at the same time": {
			make: func(w *surveyStore) {
				w.manifest(hub+"@old", mirror.Mirrored, 9*day, "a")
				w.moveTag(hub+":v1", 9*day+hour)
			},
			rule: gc.Rule{Match: hub, DropSupersededAfter: gc.Age(7 * day)},
		},
		"superseded recently": {
			make: func(w *surveyStore) {
				for _, tag := range []string{"v1", "v2", "v3", "v4"} {
					w.moveTag(hub+":"+tag, 6*day)
				}
				w.manifest(hub+"@old", mirror.Mirrored, 9*day, "a")
			},
			rule: gc.Rule{Match: hub, DropSupersededAfter: gc.Age(7 * day)},
		},
		"not superseded: no tag is newer": {
			make: func(w *surveyStore) {
				w.manifest(other+"@old", mirror.Mirrored, 9*day, "a")
				w.image(other+":v1", mirror.Mirrored, 10*day, "a")
			},
			rule: gc.Rule{Match: other, DropSupersededAfter: gc.Age(day)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := mirroredImages(t, "v1", "v2", "v3", "v4")
			if test.make != nil {
				test.make(w)
			}
			test.policy.Rules = append([]gc.Rule{test.rule}, test.policy.Rules...)
			w.wantDeleted(w.plan(test.policy), test.want...)
		})
	}
}

func TestSignatureIsDeletedWithItsImage(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	sig := "sha256-" + digestOf("v2").Encoded() + ".sig"
	w.manifest(hub+"@sig", mirror.Mirrored, 3*day, "a")
	w.tag(hub+":"+sig, "sig", mirror.Mirrored)
	p := w.plan(gc.Policy{Rules: []gc.Rule{{Match: hub, KeepNewest: 1}}})
	w.wantDeleted(p, "image "+hub+":v2")
	if p.Totals.Tags != 2 || p.Totals.Manifests != 2 {
		t.Errorf("%+v", p.Totals)
	}
}

// TestSignatureOfSHA512Image has a signature that is found by the tag sha512-<hex>.sig.
func TestSignatureOfSHA512Image(t *testing.T) {
	w := newSurvey(t)
	w.manifest(team+"@sig", mirror.Pushed, day, "a")
	d := digest.SHA512.FromString("image")
	w.manifests[team][d] = &mirror.SurveyedManifest{Digest: d, Origin: mirror.Pushed, Added: ago(day)}
	w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: 1, Used: ago(day), Users: 1}
	w.tag(team+":sha512-"+d.Encoded()+".sig", "sig", mirror.Pushed)
	p := w.plan(gc.Policy{DeleteUntagged: true})
	if want := (gc.Totals{Images: 1, Manifests: 2, Tags: 1, Blobs: 3, Bytes: 12}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
}

func TestTotalsCountTagsWithoutImage(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	w.tag(hub+":latest", "v2", mirror.Mirrored)
	w.moveTag(hub+":latest", hour)
	p := w.plan(gc.Policy{Rules: []gc.Rule{{Match: hub, KeepNewest: 2}}})
	if want := (gc.Totals{Tags: 1}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
}

// TestRulesGiveReasons has a tag, and then an untagged image, that a rule deletes.
func TestRulesGiveReasons(t *testing.T) {
	for want, rule := range map[string]gc.Rule{
		"not among the newest 1 (rule for **)":                    {Match: "**", KeepNewest: 1},
		"not pulled for 36h (rule for **)":                        {Match: "**", DropUnusedFor: gc.Age(36 * hour)},
		"not among the newest 1, not pulled for 1d (rule for **)": {Match: "**", KeepNewest: 1, DropUnusedFor: gc.Age(day)},
		"superseded and not pulled for 3d (rule for **)":          {Match: "**", DropSupersededAfter: gc.Age(3 * day)},
	} {
		w := mirroredImages(t, "v1", "v2")
		if rule.DropSupersededAfter > 0 {
			w.manifest(hub+"@old", mirror.Mirrored, 9*day)
			w.moveTag(hub+":v1", 4*day)
		}
		var got []string
		for c := range w.plan(gc.Policy{Rules: []gc.Rule{rule}}).Candidates() {
			if c.Kind != gc.Blob {
				got = append(got, c.Reason)
			}
		}
		if len(got) != 1 || got[0] != want {
			t.Errorf("reasons are %q, want %q", got, want)
		}
	}
}
