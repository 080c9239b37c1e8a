package gc_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/gc"
	"airmirror/mirror"
)

// mirroredImages is a world of images of 11 bytes each, the first of which was used last; all have a base of 10 more.
func mirroredImages(t *testing.T, tags ...string) *world {
	w := newWorld(t)
	for i, tag := range tags {
		w.image(hub+":"+tag, mirror.Mirrored, time.Duration(i+1)*day, tag+" layer", "base")
	}
	return w
}

func TestBudgetTakesTheLeastRecentlyUsed(t *testing.T) {
	w := mirroredImages(t, "v1", "v2", "v3", "v4") // 54 bytes
	for name, test := range map[string]struct {
		policy gc.Policy
		want   []string
		need   int64
	}{
		"under it":                {gc.Policy{MaxSize: 54}, nil, 0},
		"down to the low mark":    {gc.Policy{MaxSize: 53, ShrinkTo: 40}, []string{"v4", "v3"}, 14},
		"ninety percent of it":    {gc.Policy{MaxSize: 50}, []string{"v4"}, 9},
		"everything, with a base": {gc.Policy{MaxSize: 1}, []string{"v4", "v3", "v2", "v1"}, 54},
		"free enough":             {gc.Policy{KeepFree: gc.Share{Bytes: 100}}, nil, 0},
		"not free enough":         {gc.Policy{KeepFree: gc.Share{Percent: 11}, FreeUpTo: gc.Share{Bytes: 120}}, []string{"v4", "v3"}, 20},
		"a fifth more":            {gc.Policy{KeepFree: gc.Share{Bytes: 110}}, []string{"v4", "v3", "v2"}, 32},
		"the harder one":          {gc.Policy{MaxSize: 50, KeepFree: gc.Share{Bytes: 101}, FreeUpTo: gc.Share{Bytes: 112}}, []string{"v4", "v3"}, 12},
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
			w.goes(p, want...)
			if p.Budget.Need != test.need {
				t.Errorf("%d bytes are needed, want %d", p.Budget.Need, test.need)
			}
			if short := max(0, p.Budget.Held-p.Totals.Bytes-int64(test.policy.MaxSize)); test.policy.MaxSize > 0 && p.Budget.Short != short {
				t.Errorf("%d bytes short, want %d", p.Budget.Short, short)
			}
		})
	}
}

func TestBudgetCountsWhatGoesAnyway(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	w.blob("a", 100, day)
	w.goes(w.plan(gc.Policy{MaxSize: 40}), "blob a")
}

func TestBudgetNeedsItsDisk(t *testing.T) {
	w := newWorld(t)
	if _, err := gc.MakePlan(t.Context(), w, w, gc.Options{Policy: gc.Policy{KeepFree: gc.Share{Bytes: 1}}}, now); err == nil {
		t.Error("it is not known how full the disk is")
	}
	disk := func() (int64, int64, error) { return 0, 0, errBroken }
	_, err := gc.MakePlan(t.Context(), w, w, gc.Options{Policy: gc.Policy{KeepFree: gc.Share{Bytes: 1}}, Disk: disk}, now)
	if !errors.Is(err, errBroken) {
		t.Error(err)
	}
}

// TestBudgetSpares plans with a budget that takes all that may go, and sees what stays and why.
func TestBudgetSpares(t *testing.T) {
	for name, test := range map[string]struct {
		make   func(w *world)
		policy gc.Policy
		want   []string
		why    string
	}{
		"pushed":   {make: func(w *world) { w.image(team+":v1", mirror.Pushed, day, "a") }, why: "pushed"},
		"imported": {make: func(w *world) { w.image(team+":v1", mirror.Imported, day, "a") }, why: "imported"},
		"asked for by its repository": {
			make:   func(w *world) { w.image(team+":v1", mirror.Imported, day, "a") },
			policy: gc.Policy{Names: []string{"registry.test/**"}},
			want:   []string{"image " + team + ":v1"},
		},
		"asked for by its tag": {
			make: func(w *world) {
				w.image(team+":v1", mirror.Pushed, 2*day, "a")
				w.image(team+":v2", mirror.Pushed, day, "a")
				w.index(team+"@index", mirror.Pushed, day, "child")
				w.manifest(team+"@child", mirror.Pushed, day, "b")
				w.tag(team+":v3", "index", mirror.Pushed)
			},
			policy: gc.Policy{Names: []string{team + ":v1", team + ":v3"}},
			want:   []string{"image " + team + ":v1", "image " + team + ":v3"},
			why:    "pushed",
		},
		"asked for by one tag of two": {
			make: func(w *world) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.tag(team+":v2", "v1", mirror.Pushed)
			},
			policy: gc.Policy{Names: []string{team + ":v1"}},
			why:    "pushed",
		},
		"pinned by tag, even if asked for": {
			make: func(w *world) {
				w.image(team+":v1", mirror.Pushed, day, "a")
				w.pin(team + ":v1")
			},
			policy: gc.Policy{Names: []string{"**"}},
			why:    "pinned",
		},
		"pinned index with all that it brings": {
			make: func(w *world) {
				w.index(hub+"@index", mirror.Mirrored, day, "child")
				w.manifest(hub+"@child", mirror.Mirrored, day, "a")
				w.tag(hub+":child", "child", mirror.Mirrored)
				w.about(hub+"@sig", mirror.Mirrored, day, "child")
				w.pin(hub + "@" + named("index").String())
			},
			why: "pinned",
		},
		"used lately": {
			make:   func(w *world) { w.image(hub+":v1", mirror.Mirrored, time.Minute, "a") },
			policy: gc.Policy{Grace: gc.Age(hour)},
			why:    "used, tagged or added within the grace time",
		},
		"tagged lately": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.move(hub+":v1", time.Minute)
			},
			policy: gc.Policy{Grace: gc.Age(hour)},
			why:    "used, tagged or added within the grace time",
		},
		"in use by a transfer": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.protected[named("v1")] = true
			},
			why: "in use by a transfer",
		},
		"cannot be fetched again": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.image(other+":v2", mirror.Mirrored, day, "b")
				w.gone[hub] = errors.New("the mirror is offline")
			},
			want: []string{"image " + other + ":v2"},
			why:  "cannot be fetched again: the mirror is offline",
		},
		"cannot be fetched again, even so": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.gone[hub] = errors.New("the mirror is offline")
			},
			policy: gc.Policy{EvenOffline: true},
			want:   []string{"image " + hub + ":v1"},
		},
		"a pushed signature": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.about(hub+"@sig", mirror.Pushed, day, "v1", "b")
			},
			why: "something that was pushed or imported belongs to it",
		},
		"a pushed tag": {
			make: func(w *world) {
				w.image(hub+":v1", mirror.Mirrored, day, "a")
				w.tag(hub+":v2", "v1", mirror.Pushed)
			},
			why: "something that was pushed or imported belongs to it",
		},
		"a tag that a rule keeps": {
			make:   func(w *world) { w.image(hub+":v1", mirror.Mirrored, day, "a") },
			policy: gc.Policy{Rules: []gc.Rule{{Match: "docker.io/**", Keep: []string{"v*"}}}},
			why:    "a rule keeps its tag",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			test.make(w)
			test.policy.MaxSize = 1
			p := w.plan(test.policy)
			w.goes(p, test.want...)
			if test.why == "" {
				if len(p.Protection) > 0 || p.Budget.Short != 0 {
					t.Errorf("%+v, %+v", p.Protection, p.Budget)
				}
				return
			}
			if len(p.Protection) != 1 || p.Protection[0].Why != test.why || p.Protection[0].Bytes != p.Budget.Held-p.Totals.Bytes {
				t.Errorf("%+v", p.Protection)
			}
			if p.Budget.Short != p.Budget.Held-p.Totals.Bytes-1 || !strings.Contains(p.Budget.Why, test.why) {
				t.Errorf("%+v", p.Budget)
			}
			for item := range p.Protected() {
				if item.Why != test.why || item.Freed != 0 || item.Size == 0 {
					t.Errorf("%+v", item)
				}
			}
		})
	}
}

func TestEvictionTakesWholeImages(t *testing.T) {
	w := newWorld(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child", "child2", "missing")
	w.manifest(hub+"@child", mirror.Mirrored, 9*day, "a")
	w.manifest(hub+"@child2", mirror.Mirrored, 9*day, "b", "base")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":latest", "index", mirror.Mirrored)
	w.about(hub+"@note", mirror.Mirrored, 9*day, "child", "c")
	w.manifest(hub+"@sig", mirror.Mirrored, 9*day, "d")
	sig := strings.Replace(named("index").String(), ":", "-", 1) + ".sig"
	w.tag(hub+":"+sig, "sig", mirror.Mirrored)
	w.image(hub+":v2", mirror.Mirrored, day, "base")
	p := w.plan(gc.Policy{MaxSize: 55})
	w.goes(p, "image "+hub+":latest")
	for item := range p.Items() {
		if item.Kind == gc.Blob {
			continue
		}
		slices.Sort(item.Tags)
		if !slices.Equal(item.Tags, []string{"latest", sig, "v1"}) || item.Manifests != 5 || item.Freed != 45 || item.Size != 55 || !item.LastUsed.Equal(ago(9*day)) {
			t.Errorf("%+v", item)
		}
	}
	if want := (gc.Totals{Images: 1, Manifests: 5, Tags: 3, Blobs: 9, Bytes: 45}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
}

func TestImageIsUsedWhenPartOfItIs(t *testing.T) {
	w := newWorld(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child")
	w.manifest(hub+"@child", mirror.Mirrored, day, "a")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":v1-amd64", "child", mirror.Mirrored)
	w.image(hub+":v2", mirror.Mirrored, 2*day, "b")
	w.goes(w.plan(gc.Policy{MaxSize: 22, ShrinkTo: 21}), "image "+hub+":v2")
}

func TestSharedChildGoesWithTheLast(t *testing.T) {
	w := newWorld(t)
	w.index(hub+"@index", mirror.Mirrored, 9*day, "child")
	w.index(hub+"@index2", mirror.Mirrored, 8*day, "child")
	w.manifest(hub+"@child", mirror.Mirrored, 10*day, "a")
	w.tag(hub+":v1", "index", mirror.Mirrored)
	w.tag(hub+":v2", "index2", mirror.Mirrored)
	w.tag(hub+":amd64", "child", mirror.Mirrored) // would be the first of all to go, but for the indexes
	p := w.plan(gc.Policy{MaxSize: 12, ShrinkTo: 12})
	w.goes(p, "image "+hub+":v1")
	w.goes(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1", "image "+hub+":v2")
}

// TestNothingGoesForNothing keeps an image of which everything stays for another repository.
func TestNothingGoesForNothing(t *testing.T) {
	w := newWorld(t)
	w.image(hub+":v1", mirror.Mirrored, 9*day, "a")
	w.image(team+":v1", mirror.Pushed, day, "a")
	w.image(hub+":v2", mirror.Mirrored, 8*day, "a")
	w.goes(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v2")
}

// TestWhatStaysForNothingKeepsWhatItBrings: v1 stays since nothing would be gained, and so its signature has to stay, or
// both have to go.
func TestWhatStaysForNothingKeepsWhatItBrings(t *testing.T) {
	for kind, bring := range map[string]func(w *world){
		"referrer": func(w *world) { w.about(hub+"@sig", mirror.Mirrored, 8*day, "v1", "b") },
		"child": func(w *world) {
			w.manifest(hub+"@sig", mirror.Mirrored, 8*day, "b")
			w.manifests[hub][named("v1")].Children = append(w.manifests[hub][named("v1")].Children, named("sig"))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			w := newWorld(t)
			w.image(hub+":v1", mirror.Mirrored, 9*day, "a")
			w.image(team+":v1", mirror.Pushed, day, "a")
			bring(w)
			w.index(hub+"@index", mirror.Mirrored, 7*day, "sig")
			w.goes(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1", "manifest "+hub+"@index")
			delete(w.manifests[hub], named("index"))
			w.goes(w.plan(gc.Policy{MaxSize: 1}), "image "+hub+":v1")
		})
	}
}

// TestDigestsThatBeginAlike: what is remembered of digests does not tell these apart.
func TestDigestsThatBeginAlike(t *testing.T) {
	w := newWorld(t)
	long := digest.SHA512.FromString("long")
	hold := func(m *mirror.SurveyedManifest, d digest.Digest, size int64) {
		w.blobs[d] = &mirror.SurveyedBlob{Digest: d, Size: size, Fresh: ago(day), Users: 1}
		m.Blobs = append(m.Blobs, d)
	}
	for i, name := range []string{"a", "b", "c"} {
		m := w.manifest(hub+"@"+name, mirror.Mirrored, time.Duration(i+2)*day)
		w.tag(hub+":"+name, name, mirror.Mirrored)
		hold(m, named("twin")[:7+16]+named("twin " + name)[7+16:], int64(100*(i+1)))
		m.Blobs = append(m.Blobs, named("twin"), digest.SHA512.FromString("missing")) // are not held
	}
	w.image(hub+":v1", mirror.Mirrored, day)
	hold(w.manifests[hub][named("v1")], long, 1000)
	p := w.plan(gc.Policy{MaxSize: 1603, ShrinkTo: 1604 - 301})
	w.goes(p, "image "+hub+":c")
	p = w.plan(gc.Policy{MaxSize: 1})
	if want := (gc.Totals{Images: 4, Manifests: 4, Tags: 4, Blobs: 8, Bytes: 1604}); p.Totals != want {
		t.Errorf("%+v, want %+v", p.Totals, want)
	}
	listed := make(map[digest.Digest]bool)
	for item := range p.Items() {
		listed[item.Digest] = true
	}
	for d := range w.blobs {
		if !listed[d] {
			t.Errorf("%s is not listed", d)
		}
	}
}

// TestRecordsThatCannotBeRead do not keep the rest from being planned.
func TestRecordsThatCannotBeRead(t *testing.T) {
	w := mirroredImages(t, "v1", "v2")
	w.blob("a", 3, day)
	w.broken = errBroken
	p := w.plan(gc.Policy{MaxSize: 30})
	w.goes(p, "blob a", "image "+hub+":v2")
	if p.Unreadable != 3 {
		t.Errorf("%d records cannot be read", p.Unreadable)
	}
}

func TestPlanIsTheSameEachTime(t *testing.T) {
	w := newWorld(t)
	for i := range 40 {
		w.image(hub+":v"+strconv.Itoa(i), mirror.Mirrored, day, strconv.Itoa(i%7), "base")
		w.manifest(team+"@"+strconv.Itoa(i), mirror.Pushed, day, strconv.Itoa(i%5))
	}
	policy := gc.Policy{MaxSize: 60, DeleteUntagged: true}
	first := w.going(w.plan(policy))
	for range 5 {
		if again := w.going(w.plan(policy)); !slices.Equal(again, first) {
			t.Fatalf("%v\nwas\n%v", again, first)
		}
	}
}
