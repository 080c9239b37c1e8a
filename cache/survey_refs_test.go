package cache_test

import (
	"fmt"
	"testing"

	"airmirror/cache"
	"airmirror/mirror"
)

// TestSurveyRefsReadsWhatItNeeds checks that the number of keys that are read for a tag does not depend on how much else
// is stored, in the same repository and in others.
func TestSurveyRefsReadsWhatItNeeds(t *testing.T) {
	index := &hookedIndex{Index: openBolt(t, t.TempDir())}
	s := newStore(t, openFiles(t, t.TempDir()), index, cache.Options{})
	defer closeStore(t, s)
	stored := 0
	putImages := func(n int) {
		for ; stored < n; stored++ {
			config := fmt.Sprint("config ", stored)
			if err := receive(t.Context(), s, config); err != nil {
				t.Fatal(err)
			}
			putManifest(t, s, image(config, mirror.Pushed), fmt.Sprint("v", stored))
		}
	}
	survey := func() (reads int64, manifests int) {
		before := index.reads.Load()
		err := s.SurveyRefs(t.Context(), []mirror.Ref{{Repo: repo, Tag: "v1"}}, func(v mirror.Survey) error {
			for range v.Manifests() {
				manifests++
			}
			for range v.Tags() {
			}
			for range v.Blobs() {
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return index.reads.Load() - before, manifests
	}
	putImages(3)
	few, n := survey()
	putImages(200)
	if many, m := survey(); n != 1 || m != 1 || many != few {
		t.Errorf("%d reads for %d manifests of 200, and %d for %d of 3; want as many for one", many, m, few, n)
	}
}
