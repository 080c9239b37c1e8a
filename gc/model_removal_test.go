package gc_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"pgregory.net/rapid"

	"airmirror/gc"
	"airmirror/mirror"
)

var needed = regexp.MustCompile(`sha256:[0-9a-f]{64} needs it`)

// wholeStore is a store whose SurveyRefs yields everything.
type wholeStore struct{ *testStore }

func (s wholeStore) SurveyRefs(ctx context.Context, _ []mirror.Ref, f func(mirror.Survey) error) error {
	return s.Survey(ctx, f)
}

// planRemoval plans a removal from what belongs to the references, and from everything: the plans are equal.
func (m *model) planRemoval(*rapid.T) {
	var refs []mirror.Ref
	for range rapid.IntRange(1, 3).Draw(m.t, "references") {
		repo := m.repo()
		ref := mirror.Ref{Repo: repoOf(repo)}
		if tags := sorted(m.tags[repo]); len(tags) > 0 && rapid.Bool().Draw(m.t, "by tag") {
			ref.Tag = rapid.SampledFrom(tags).Draw(m.t, "tag")
		} else {
			ref.Digest = m.some(repo)
		}
		if !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	removal := gc.Removal{Refs: refs, Now: true, IncludePinned: rapid.Bool().Draw(m.t, "pinned")}
	at := m.Now().Add(time.Second) // later than every use
	got, want := planned(gc.MakeRemoval(m.Context(), m.testStore, removal, at)), planned(gc.MakeRemoval(m.Context(), wholeStore{m.testStore}, removal, at))
	if got != want {
		m.t.Fatalf("removal of %v:\n%s\nfrom everything:\n%s", refs, got, want)
	}
}

// planned describes a plan, or the error. Of several manifests that need a removed one, the error may name any.
func planned(p *gc.Plan, err error) string {
	if err != nil {
		return needed.ReplaceAllString(err.Error(), "a manifest needs it")
	}
	text := fmt.Sprintf("%+v %v %d unreadable", p.Totals, p.Pins, p.Unreadable)
	for c := range p.Candidates() {
		text += fmt.Sprintf("\n%+v", c)
	}
	return text
}
