package gc_test

import (
	"errors"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"airmirror/gc"
	"airmirror/mirror"
)

var errNotThere = errors.New("the mirror is offline")

// storeView is the content of a store.
type storeView struct {
	manifests map[string]map[digest.Digest]mirror.SurveyedManifest
	tags      map[string]map[string]digest.Digest
	blobs     map[digest.Digest]mirror.SurveyedBlob
}

func (m *model) view() storeView {
	m.t.Helper()
	v := storeView{make(map[string]map[digest.Digest]mirror.SurveyedManifest), make(map[string]map[string]digest.Digest), make(map[digest.Digest]mirror.SurveyedBlob)}
	m.must(m.Survey(m.Context(), func(s mirror.Survey) error {
		repos := s.Repos()
		for _, repo := range repos {
			v.manifests[repo.Repo.String()], v.tags[repo.Repo.String()] = make(map[digest.Digest]mirror.SurveyedManifest), make(map[string]digest.Digest)
		}
		for man, err := range s.Manifests() {
			m.must(err)
			copied := *man
			copied.Blobs, copied.Children, copied.Owned = slices.Clone(man.Blobs), slices.Clone(man.Children), slices.Clone(man.Owned)
			v.manifests[repos[man.Repo].Repo.String()][man.Digest] = copied
		}
		for tag, err := range s.Tags() {
			m.must(err)
			v.tags[repos[tag.Repo].Repo.String()][tag.Name] = tag.Digest
		}
		for blob, err := range s.Blobs() {
			m.must(err)
			v.blobs[blob.Digest] = *blob
		}
		return nil
	}))
	return v
}

// check compares the store with the model.
func (m *model) check(*rapid.T) {
	v := m.view()
	var size int64
	for d, blob := range v.blobs {
		data, err := m.file(d)
		if err != nil || digest.FromBytes(data) != d || blob.Size != int64(len(data)) {
			m.t.Fatalf("file of blob %s: %q, %v", d, data, err)
		}
		size += blob.Size
	}
	if disk := m.disk(); disk != size && !m.crashed {
		m.t.Fatalf("%d bytes on the disk, %d in the index", disk, size)
	}
	for _, repo := range modelRepos {
		if got, want := sorted(v.manifests[repo]), sorted(m.manifests[repo]); !slices.Equal(got, want) {
			m.t.Fatalf("manifests of %s are %v, want %v", repo, got, want)
		}
		if got, want := sorted(v.tags[repo]), sorted(m.tags[repo]); !slices.Equal(got, want) {
			m.t.Fatalf("tags of %s are %v, want %v", repo, got, want)
		}
		for tag, d := range v.tags[repo] {
			if want := m.tags[repo][tag].to; d != want {
				m.t.Fatalf("%s:%s is %s, want %s", repo, tag, d, want)
			}
		}
		for d, man := range v.manifests[repo] {
			if owned := m.manifests[repo][d].owned; len(man.Owned) != len(owned) {
				m.t.Fatalf("%s@%s owns %v, want %v", repo, d, man.Owned, owned)
			}
			for _, blob := range append([]digest.Digest{d}, man.Blobs...) {
				if _, stored := v.blobs[blob]; !stored && (man.Origin != mirror.Mirrored || blob == d || m.received[blob]) {
					m.t.Fatalf("%s %s@%s lacks blob %s", man.Origin, repo, d, blob)
				}
			}
		}
	}
}

func (m *model) makePlan(*rapid.T) {
	m.policy = gc.Policy{
		Grace:          rapid.SampledFrom([]gc.Age{0, gc.Age(10 * time.Minute), -1}).Draw(m.t, "grace"),
		DeleteUntagged: rapid.Bool().Draw(m.t, "untagged"),
		MaxSize:        gc.Size(rapid.SampledFrom([]int{0, 1, 800, 2000}).Draw(m.t, "budget")),
		EvictOffline:   rapid.Bool().Draw(m.t, "even offline"),
	}
	m.fetchErr = nil
	if rapid.Bool().Draw(m.t, "offline") {
		m.fetchErr = errNotThere
	}
	later(time.Millisecond) // earlier operations are older than the plan
	synctest.Wait()
	m.planned = time.Now()
	m.pending = m.testStore.plan(m.policy)
}

// executeLate executes a plan after other operations.
func (m *model) executeLate(t *rapid.T) {
	m.makePlan(t)
	repo := m.repo()
	for range rapid.IntRange(1, 3).Draw(t, "actions") {
		if len(m.manifests[repo]) == 0 {
			break
		}
		rapid.SampledFrom([]func(*rapid.T){m.pushBlob, m.putManifest, m.mirrorImage, m.putIndex, m.moveTag, m.makeRoot, m.pull, m.pull, m.stat, m.pin}).Draw(t, "action")(t)
	}
	m.execute(t)
}

// execute executes the pending plan, or a new one. A new one must do what it planned.
func (m *model) execute(t *rapid.T) {
	isNew := m.pending == nil
	if isNew {
		m.makePlan(t)
	}
	before, plan := m.view(), m.pending
	result := m.testStore.execute(plan)
	if isNew && (result.Kept != 0 || result.Totals != plan.Totals) {
		t.Fatalf("result is %+v, want %+v as planned", result, plan.Totals)
	}
	m.checkDeleted(before, m.view())
}

// checkDeleted checks what a collection deleted, and removes it from the model.
func (m *model) checkDeleted(before, after storeView) {
	cutoff := m.planned
	if m.policy.Grace >= 0 {
		cutoff = cutoff.Add(-max(time.Duration(m.policy.Grace), 10*time.Minute))
	}
	if m.policy.Grace == 0 {
		cutoff = m.planned.Add(-time.Hour)
	}
	used := make(map[digest.Digest]bool)
	for _, repo := range modelRepos {
		for d, man := range after.manifests[repo] {
			for _, file := range slices.Concat([]digest.Digest{d}, man.Blobs, man.Owned, man.Children) {
				used[file] = true
			}
		}
		for _, d := range sorted(before.manifests[repo]) {
			if _, kept := after.manifests[repo][d]; kept {
				continue
			}
			if why := m.keepReason(repo, d, cutoff, after); why != "" {
				m.t.Fatalf("%s@%s was deleted, but %s", repo, d, why)
			}
		}
	}
	for _, repo := range modelRepos {
		for d := range before.manifests[repo] {
			if _, kept := after.manifests[repo][d]; !kept {
				m.forgetRequests(repo, d, cutoff)
				m.removeRecord(repo, d)
			}
		}
	}
	for d := range before.blobs {
		if _, kept := after.blobs[d]; kept {
			continue
		}
		if at, asked := m.asked[d]; used[d] || m.protected[d] != nil || asked && !at.Before(cutoff) {
			m.t.Fatalf("blob %s was deleted: used %t, requested at %s", d, used[d], at)
		}
		delete(m.asked, d)
		delete(m.received, d)
	}
	m.pending = nil
}

// forgetRequests forgets the requests before cutoff for the blobs of a deleted manifest: the links that they were made
// through may have been deleted with the manifest.
func (m *model) forgetRequests(repo string, d digest.Digest, cutoff time.Time) {
	h := m.manifests[repo][d]
	digests := slices.Clone(h.owned)
	for _, blob := range h.blobs {
		digests = append(digests, digestOf(blob))
	}
	for _, blob := range digests {
		if at, asked := m.asked[blob]; asked && at.Before(cutoff) {
			delete(m.asked, blob)
		}
	}
}

// keepReason returns why a manifest must not be deleted, or "".
func (m *model) keepReason(repo string, d digest.Digest, cutoff time.Time, after storeView) string {
	h := m.manifests[repo][d]
	tagged, pushedTag, referrer := false, false, false
	for tag, p := range m.tags[repo] {
		if p.to != d {
			continue
		}
		if m.pins[repo+":"+tag] {
			return "its tag is pinned"
		}
		if !p.moved.Before(cutoff) {
			return "its tag was moved " + p.moved.String()
		}
		if strings.HasSuffix(tag, ".sig") {
			referrer = true
			continue
		}
		tagged, pushedTag = true, pushedTag || p.origin != mirror.Mirrored
	}
	switch {
	case m.pins[repo+"@"+d.String()]:
		return "it is pinned"
	case m.protected[d] != nil:
		return "it is protected"
	case !h.used.Before(cutoff):
		return "it was used " + h.used.String()
	case !h.root.Before(cutoff):
		return "it was made a root " + h.root.String()
	}
	for index, man := range after.manifests[repo] {
		if slices.Contains(man.Children, d) || slices.Contains(man.Owned, d) {
			return "index " + index.String() + " needs it"
		}
	}
	byBudget := m.policy.MaxSize > 0 && h.origin == mirror.Mirrored && !pushedTag && (m.policy.EvictOffline || m.fetchErr == nil)
	if subject := m.manifests[repo][h.subject]; subject != nil {
		if _, kept := after.manifests[repo][h.subject]; kept {
			return "its subject is kept"
		}
	}
	byChoice := m.policy.DeleteUntagged && !tagged && h.root.IsZero() && (h.origin != mirror.Mirrored || m.policy.EvictOffline || m.fetchErr == nil || referrer || m.dependsOnDeleted(repo, d, after))
	if !byBudget && !byChoice {
		return "the policy does not delete it"
	}
	return ""
}

// dependsOnDeleted reports whether an owner of a manifest was deleted.
func (m *model) dependsOnDeleted(repo string, d digest.Digest, after storeView) bool {
	for other, h := range m.manifests[repo] {
		if _, kept := after.manifests[repo][other]; !kept && (slices.Contains(h.children, d) || m.manifests[repo][d].subject == other) {
			return true
		}
	}
	return false
}

// kill ends the process without a clean shutdown. The last uses may be lost.
func (m *model) kill(*rapid.T) {
	m.testStore.kill()
	m.afterCrash()
}

func (m *model) afterCrash() {
	m.crashed, m.pending = true, nil
	clear(m.protected)
	v := m.view()
	for _, repo := range modelRepos {
		for d, h := range m.manifests[repo] {
			h.used = latest(v.manifests[repo][d].Added, v.manifests[repo][d].Used)
		}
	}
	for d := range m.asked {
		if blob, stored := v.blobs[d]; stored {
			m.asked[d] = blob.Used
		}
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// killDuringSweep ends the process between a transaction of a sweep and the deletion of its files.
func (m *model) killDuringSweep(t *rapid.T) {
	if m.pending == nil {
		m.makePlan(t)
	}
	before := m.view()
	m.crash.remaining.Store(int64(rapid.IntRange(1, 2).Draw(t, "transactions")))
	_, err := m.pending.Execute(m.Context(), m, nil)
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	m.checkDeleted(before, m.view())
	m.testStore.kill()
	m.afterCrash()
}

// end deletes everything that is not needed, whatever its age, and checks that nothing of it is left.
func (m *model) end() {
	for _, release := range m.protected {
		release()
	}
	// Files have wall clock times, not those of the bubble.
	for orphan, err := range m.Orphans(m.Context()) {
		m.must(err)
		if _, err := m.DeleteOrphan(m.Context(), orphan.Digest, time.Now().AddDate(100, 0, 0)); err != nil {
			m.t.Fatal(err)
		}
	}
	m.crashed = false
	m.check(m.t)
	later(time.Second)
	m.policy, m.fetchErr, m.planned = gc.Policy{Grace: -1, DeleteUntagged: true}, nil, time.Now()
	clear(m.protected)
	before := m.view()
	result := m.testStore.collect(m.policy)
	m.checkDeleted(before, m.view())
	m.check(m.t)
	var size int64
	v := m.view()
	for d, blob := range v.blobs {
		size += blob.Size
		if blob.Users == 0 {
			m.t.Fatalf("blob %s is left", d)
		}
	}
	if disk := m.disk(); disk != size {
		m.t.Fatalf("%d bytes on the disk, %d in the index, after %+v", disk, size, result)
	}
	if p := m.testStore.plan(m.policy); p.Totals != (gc.Totals{}) {
		m.t.Fatalf("%+v would be deleted next", p.Totals)
	}
}
