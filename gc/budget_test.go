package gc_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"airmirror/gc"
	"airmirror/mirror"
)

// mirroredImages returns a store of images of 11 bytes each, the first of which was used last. They share a base
// layer of 10 bytes.
func mirroredImages(t *testing.T, tags ...string) *surveyStore {
	w := newSurvey(t)
	for i, tag := range tags {
		w.image(hub+":"+tag, mirror.Mirrored, time.Duration(i+1)*day, tag+" layer", "base")
	}
	return w
}

func TestBudgetDeletesLeastRecentlyUsedImagesFirst(t *testing.T) {
	w := mirroredImages(t, "v1", "v2", "v3", "v4") // 54 bytes
	for name, test := range map[string]struct {
		policy gc.Policy
		want   []string
		need   int64
	}{
		"within the budget":         {gc.Policy{MaxSize: 54}, nil, 0},
		"down to shrinkTo":          {gc.Policy{MaxSize: 53, ShrinkTo: 40}, []string{"v4", "v3"}, 14},
		"default shrinkTo":          {gc.Policy{MaxSize: 50}, []string{"v4"}, 9},
		"everything, with the base": {gc.Policy{MaxSize: 1}, []string{"v4", "v3", "v2", "v1"}, 54},
		"free enough":               {gc.Policy{KeepFree: gc.Share{Bytes: 100}}, nil, 0},
		"not free enough":           {gc.Policy{KeepFree: gc.Share{Percent: 11}, FreeUpTo: gc.Share{Bytes: 120}}, []string{"v4", "v3"}, 20},
		"default freeUpTo":          {gc.Policy{KeepFree: gc.Share{Bytes: 110}}, []string{"v4", "v3", "v2"}, 32},
		"the stricter of two":       {gc.Policy{MaxSize: 50, KeepFree: gc.Share{Bytes: 101}, FreeUpTo: gc.Share{Bytes: 112}}, []string{"v4", "v3"}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			test.policy.Grace = -1
			disk := func() (total, free int64, err error) { return 1000, 100, nil }
			p, err := gc.MakePlan(t.Context(), w, w, gc.Options{Policy: test.policy, Disk: disk, ListBlobs: true}, now)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, tag := range test.want {
				want = append(want, "image "+hub+":"+tag)
			}
			w.wantDeleted(p, want...)
			if (p.Budget.Shortfall == 0) != (p.Budget.Reason == "") {
				t.Errorf("shortfall of %d because of %q", p.Budget.Shortfall, p.Budget.Reason)
			}
			if p.Budget.Need != test.need {
				t.Errorf("need is %d, want %d", p.Budget.Need, test.need)
			}
			if short := max(0, p.Budget.Stored-p.Totals.Bytes-int64(test.policy.MaxSize)); test.policy.MaxSize > 0 && p.Budget.Shortfall != short {
				t.Errorf("shortfall is %d, want %d", p.Budget.Shortfall, short)
			}
		})
	}
}

func TestBudgetCountsUnusedBlobs(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	w.blob("a", 100, day)
	w.wantDeleted(w.plan(gc.Policy{MaxSize: 40}), "blob a")
}

func TestKeepFreeNeedsDiskSize(t *testing.T) {
	w := newSurvey(t)
	if _, err := gc.MakePlan(t.Context(), w, w, gc.Options{Policy: gc.Policy{KeepFree: gc.Share{Bytes: 1}}}, now); err == nil {
		t.Error("a plan was made without the size of the disk")
	}
	disk := func() (int64, int64, error) { return 0, 0, errBroken }
	_, err := gc.MakePlan(t.Context(), w, w, gc.Options{Policy: gc.Policy{KeepFree: gc.Share{Bytes: 1}}, Disk: disk}, now)
	if !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// TestBudgetKeeps makes plans with a budget of one byte, and checks what is kept and why.
func TestBudgetKeeps(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *surveyStore)
		policy gc.Policy
		want   []string
		why    string
	}{
		"pushed":   {make: func(w *surveyStore) { w.image(team+":v1", mirror.Pushed, day, "a") }, why: "pushed"},
		"imported": {make: func(w *surveyStore) { w.image(team+":v1", mirror.Imported, day, "a") }, why: "imported"},
		"selected by repository": {
			make:   func(w *surveyStore) { w.image(team+":v1", mirror.Imported, day, "a") },
			policy: gc.Policy{Evict: []string{"registry.test/**"}},
			want:   []string{"image " + team + ":v1"},
		},
		"selected by tag": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, 2*day, "a")
				w.image(team+":v2", mirror.Pushed, day, "a")
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "b")
				w.tag(team+":v3", "index", mirror.Pushed)
			},
			policy: gc.Policy{Evict: []string{team + ":v1", team + ":v3"}},
			want:   []string{"image " + team + ":v1", "image " + team + ":v3"},
			why:    "pushed",
		},
		"selected by one tag of two": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":v2", "v1", mirror.Pushed)
			},
			policy: gc.Policy{Evict: []string{team + ":v1"}},
			why:    "pushed",
		},
		"selected with a signature by tag": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.manifest(team+"@sig", mirror.Pushed, day, "b")
				w.tag(team+":"+cosignTag("v1"), "sig", mirror.Pushed)
			},
			policy: gc.Policy{Evict: []string{team + ":v1"}},
			want:   []string{"image " + team + ":v1"},
		},
		"selected by digest": {
			make: func(w *surveyStore) {
				w.manifest(team+"@v1", mirror.Pushed, 2*day, "a", "b")
				w.manifest(team+"@v2", mirror.Pushed, day, "a")
				w.manifest(team+"/other@v1", mirror.Pushed, 2*day, "a")
			},
			policy: gc.Policy{Evict: []string{team + "@" + digestOf("v1").String()}},
			want:   []string{"manifest " + team + "@v1"},
			why:    "pushed",
		},
		"pinned by tag, even if selected": {
			make: func(w *surveyStore) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.pin(team + ":v1")
			},
			policy: gc.Policy{Evict: []string{"**"}},
			why:    "pinned",
		},
		"pinned index with its dependents": {
			make: func(w *surveyStore) {
				w.index(hub+"@index", mirror.Mirrored, day, "child")
				w.manifest(hub+"@child", mirror.Mirrored, day, "a")
				w.tag(hub+":child", "child", mirror.Mirrored)
				w.referrer(hub+"@sig", mirror.Mirrored, day, "child")
				w.pin(hub + "@" + digestOf("index").String())
			},
			why: "pinned",
		},
		"used recently": {
			make:   func(w *surveyStore) { w.image(hub+":v1", mirror.Mirrored, time.Minute, "a") },
			policy: gc.Policy{Grace: gc.Age(hour)},
			why:    "used, tagged or added within the grace period",
		},
		"used at the beginning of the grace period": {
			make:   func(w *surveyStore) { w.image(hub+":v1", mirror.Mirrored, hour, "a") },
			policy: gc.Policy{Grace: gc.Age(hour)},
			why:    "used, tagged or added within the grace period",
		},
		"tagged recently": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.moveTag(hub+":v1", time.Minute)
			},
			policy: gc.Policy{Grace: gc.Age(hour)},
			why:    "used, tagged or added within the grace period",
		},
		"in use by a transfer": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.protected[digestOf("v1")] = true
			},
			why: "in use by a transfer",
		},
		"cannot be fetched again": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.image(other+":v2", mirror.Mirrored, day, "b")
				w.fetchErrors[hub] = errors.New("the mirror is offline")
			},
			want: []string{"image " + other + ":v2"},
			why:  "cannot be fetched again: the mirror is offline",
		},
		"cannot be fetched again, with evenOffline": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.fetchErrors[hub] = errors.New("the mirror is offline")
			},
			policy: gc.Policy{EvictOffline: true},
			want:   []string{"image " + hub + ":v1"},
		},
		"a pushed signature": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.referrer(hub+"@sig", mirror.Pushed, day, "v1", "b")
			},
			why: "something pushed or imported depends on it",
		},
		"a pushed tag": {
			make: func(w *surveyStore) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.tag(hub+":v2", "v1", mirror.Pushed)
			},
			why: "something pushed or imported depends on it",
		},
		"a tag that a rule keeps": {
			make:   func(w *surveyStore) { w.image(hub+":v1", mirror.Mirrored, day, "a") },
			policy: gc.Policy{Rules: []gc.Rule{{Match: "docker.io/**", Keep: []string{"v*"}}}},
			why:    "a retention rule keeps its tag",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newSurvey(t)
			test.make(w)
			test.policy.MaxSize = 1
			p := w.plan(test.policy)
			w.wantDeleted(p, test.want...)
			if test.why == "" {
				if len(p.KeepReasons) > 0 || p.Budget.Shortfall != 0 {
					t.Errorf("%+v, %+v", p.KeepReasons, p.Budget)
				}
				return
			}
			if len(p.KeepReasons) != 1 || p.KeepReasons[0].Reason != test.why || p.KeepReasons[0].Bytes != p.Budget.Stored-p.Totals.Bytes {
				t.Errorf("%+v", p.KeepReasons)
			}
			if p.Budget.Shortfall != p.Budget.Stored-p.Totals.Bytes-1 || !strings.Contains(p.Budget.Reason, test.why) {
				t.Errorf("%+v", p.Budget)
			}
			for item := range p.KeptImages() {
				if item.Reason != test.why || item.Freed != 0 || item.Size == 0 {
					t.Errorf("%+v", item)
				}
			}
		})
	}
}

// TestKeepReasons has images that are kept for two reasons, two of them for each, and one that is deleted.
func TestKeepReasons(t *testing.T) {
	w := newSurvey(t)
	w.image(team+":v1", mirror.Pushed, day, "a", "base")
	w.image(team+":v2", mirror.Pushed, 2*day, "b", "base")
	w.image(hub+":v3", mirror.Mirrored, day, "c")
	w.image(hub+":v5", mirror.Mirrored, 2*day, "e")
	w.image(other+":v4", mirror.Mirrored, day, "d")
	w.fetchErrors[hub] = errors.New("offline")
	p := w.plan(gc.Policy{MaxSize: 1})
	w.wantDeleted(p, "image "+other+":v4")
	want := []gc.KeepReason{
		{Reason: "pushed", Code: "pushed", Images: 2, Blobs: 5, Bytes: 2 + 30},
		{Reason: "cannot be fetched again: offline", Images: 2, Blobs: 4, Bytes: 22},
	}
	if !slices.Equal(p.KeepReasons, want) {
		t.Errorf("%+v, want %+v", p.KeepReasons, want)
	}
	var names []string
	for c := range p.KeptImages() {
		names = append(names, c.Name)
	}
	if want := []string{team + ":v2", team + ":v1", hub + ":v5", hub + ":v3"}; !slices.Equal(names, want) {
		t.Errorf("kept images are %q, want %q", names, want)
	}
}
