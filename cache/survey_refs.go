package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/mirror"
)

// SurveyRefs implements [mirror.CollectStore]. It looks up each manifest that belongs to the references or needs them,
// instead of reading the tables.
func (s *Store) SurveyRefs(ctx context.Context, refs []mirror.Ref, f func(mirror.Survey) error) error {
	return s.index.View(ctx, func(tx backend.ReadTx) error {
		v := &refSurvey{survey: survey{ctx: ctx, tx: tx, fence: &s.fence, repoIndexes: make(map[string]int)}, store: s, found: make(map[content]*refManifest)}
		if err := v.find(refs); err != nil {
			return explain(err, "survey images")
		}
		return f(v)
	})
}

// refSurvey is a [mirror.Survey] of the manifests that it found.
type refSurvey struct {
	survey
	store *Store
	found map[content]*refManifest
	order []content
}

// refManifest is a manifest of a [refSurvey].
type refManifest struct {
	record    manifestRecord
	err       error // why record cannot be read
	tags      []string
	dependent bool // it belongs to a reference of the survey; otherwise, it needs such a manifest
}

// find finds all manifests: first those that belong to the references, then those that need one of them.
func (v *refSurvey) find(refs []mirror.Ref) error {
	var next []content
	repos := make(map[mirror.Repo]bool)
	for _, ref := range refs {
		c := content{ref.Repo, ref.Digest}
		if c.digest == "" {
			tag, found, err := getRecord[tagRecord](v.tx, tableTags, tagName{ref.Repo, ref.Tag}.key())
			if err != nil || !found {
				if err != nil {
					return err
				}
				continue
			}
			c.digest = tag.Digest
		}
		repos[c.repo] = true
		next = append(next, c)
	}
	if err := v.addRepos(repos); err != nil {
		return err
	}
	if err := v.follow(next, v.dependents, true); err != nil {
		return err
	}
	next = nil
	for c, m := range v.found {
		next = append(next, v.owners(c, m)...)
	}
	if err := v.follow(next, v.owners, false); err != nil {
		return err
	}
	v.order = slices.SortedFunc(maps.Keys(v.found), func(a, b content) int { return strings.Compare(a.key(), b.key()) })
	return nil
}

// addRepos adds the repositories that exist.
func (v *refSurvey) addRepos(repos map[mirror.Repo]bool) error {
	for _, repo := range slices.SortedFunc(maps.Keys(repos), func(a, b mirror.Repo) int { return strings.Compare(a.String(), b.String()) }) {
		record, found, err := getRecord[repoRecord](v.tx, tableRepos, repo.String())
		if err != nil {
			return err
		}
		if found {
			v.repoIndexes[repo.String()] = len(v.repos)
			v.repos = append(v.repos, mirror.SurveyedRepo{Repo: repo, Origin: record.Origin})
		}
	}
	return nil
}

// follow adds manifests, and those that edges returns for each of them, and so on.
func (v *refSurvey) follow(next []content, edges func(content, *refManifest) []content, dependent bool) error {
	for len(next) > 0 {
		c := next[len(next)-1]
		next = next[:len(next)-1]
		if v.found[c] != nil || !has(v.tx, tableManifests, c.key()) {
			continue
		}
		if err := v.canceled(); err != nil {
			return err
		}
		m := &refManifest{dependent: dependent}
		m.record, _, m.err = getRecord[manifestRecord](v.tx, tableManifests, c.key())
		for _, tag := range tagsOf(v.tx, c) {
			m.tags = append(m.tags, tag.tag)
		}
		v.found[c] = m
		next = append(next, edges(c, m)...)
	}
	return nil
}

// dependents returns the manifests that c names, and those that refer to it as their subject or by a tag.
func (v *refSurvey) dependents(c content, m *refManifest) (list []content) {
	repo := c.repo.String()
	for _, d := range m.record.manifests() {
		list = append(list, content{c.repo, d})
	}
	for k := range v.tx.Scan(tableReferrers, prefix(repo, c.digest.String()), "") {
		list = append(list, content{c.repo, digest.Digest(lastPart(k))})
	}
	for k, value := range v.tx.Scan(tableTags, key(repo, mirror.SubjectTag(c.digest)), "") {
		if record, err := scanTag(k, value); err == nil && mirror.SubjectOfTag(lastPart(k)) == c.digest {
			list = append(list, content{c.repo, record.Digest})
		}
	}
	return list
}

// owners returns the manifests that name c, and those that it refers to.
func (v *refSurvey) owners(c content, m *refManifest) (list []content) {
	for k := range v.tx.Scan(tableParents, prefix(c.digest.String(), c.repo.String()), "") {
		list = append(list, content{c.repo, digest.Digest(lastPart(k))})
	}
	if m.record.Subject != "" {
		list = append(list, content{c.repo, m.record.Subject})
	}
	for _, tag := range m.tags {
		if d := mirror.SubjectOfTag(tag); d != "" {
			list = append(list, content{c.repo, d})
		}
	}
	return list
}

// Manifests yields the manifests that were found.
func (v *refSurvey) Manifests() iter.Seq2[*mirror.SurveyedManifest, error] {
	return func(yield func(*mirror.SurveyedManifest, error) bool) {
		for _, c := range v.order {
			m, err := v.surveyed(c, v.found[c])
			if !yield(m, explain(err, "survey manifests")) {
				return
			}
		}
	}
}

// surveyed returns what is known about a manifest that was found.
func (v *refSurvey) surveyed(c content, m *refManifest) (*mirror.SurveyedManifest, error) {
	index, err := v.repoIndex(tableManifests, c.key(), c.repo.String())
	if err = errors.Join(m.err, err); err != nil {
		return nil, err
	}
	used, _, err := getRecord[recencyRecord](v.tx, tableRecency, c.key())
	if err != nil {
		return nil, err
	}
	root, err := rootSince(v.tx, c)
	if err != nil {
		return nil, err
	}
	surveyed := m.record.surveyed(index, c.digest)
	surveyed.Used, surveyed.Root = latest(used.Used, v.store.recency.pendingUse(c)), root
	return surveyed, nil
}

// Tags yields the tags of the manifests that were found.
func (v *refSurvey) Tags() iter.Seq2[mirror.SurveyedTag, error] {
	return func(yield func(mirror.SurveyedTag, error) bool) {
		var names []tagName
		for _, c := range v.order {
			for _, tag := range v.found[c].tags {
				names = append(names, tagName{c.repo, tag})
			}
		}
		slices.SortFunc(names, func(a, b tagName) int { return strings.Compare(a.key(), b.key()) })
		for _, name := range names {
			record, found, err := getRecord[tagRecord](v.tx, tableTags, name.key())
			if err == nil && !found {
				err = fmt.Errorf("tag %s of %s is in table %s of the index, and not in table %s", name.tag, name.repo, tableTagged, tableTags)
			}
			index := v.repoIndexes[name.repo.String()]
			if !yield(mirror.SurveyedTag{Repo: index, Name: name.tag, Tag: mirror.Tag(record)}, explain(err, "survey tags")) {
				return
			}
		}
	}
}

// Blobs yields the files of the manifests that belong to the references.
func (v *refSurvey) Blobs() iter.Seq2[*mirror.SurveyedBlob, error] {
	files := make(map[digest.Digest]bool)
	for c, m := range v.found {
		if m.dependent {
			files[c.digest] = true
			for d := range m.record.named() {
				files[d] = true
			}
		}
	}
	return func(yield func(*mirror.SurveyedBlob, error) bool) {
		for _, d := range slices.Sorted(maps.Keys(files)) {
			record, stored, err := getRecord[blobRecord](v.tx, tableBlobs, d.String())
			if err == nil && !stored {
				continue
			}
			b := &mirror.SurveyedBlob{Digest: d, Size: record.Size, Added: record.Added, Used: record.Added}
			for range v.tx.Scan(tableUses, prefix(d.String()), "") {
				if b.Users++; b.Users > len(v.found) {
					break
				}
			}
			if !yield(b, explain(err, "survey blobs")) {
				return
			}
		}
	}
}
