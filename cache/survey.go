package cache

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// Survey implements [mirror.CollectStore]. It keeps the repositories and the pending uses in memory. Everything else is
// read during iteration; each iterator reads its tables once, in order.
func (s *Store) Survey(ctx context.Context, f func(mirror.Survey) error) error {
	uses := s.recency.pending() // before the view: a use that is written meanwhile would be in neither
	return s.index.View(ctx, func(tx backend.ReadTx) error {
		v := &survey{ctx: ctx, tx: tx, fence: &s.fence, pending: uses, repoIndexes: make(map[string]int), usedLately: make(map[digest.Digest]bool)}
		for c := range uses {
			v.usedLately[c.digest] = true
		}
		if err := v.readRepos(); err != nil {
			return explain(err, "survey repositories")
		}
		return f(v)
	})
}

// survey implements [mirror.Survey].
type survey struct {
	ctx         context.Context
	tx          backend.ReadTx
	fence       *deleteFence
	repos       []mirror.SurveyedRepo
	repoIndexes map[string]int
	pending     map[content]time.Time
	usedLately  map[digest.Digest]bool // the digests of pending, which most blobs are not among
	steps       int
}

func (v *survey) readRepos() error {
	for k, value := range v.tx.Scan(tableRepos, "", "") {
		record, err := decodeRecord[repoRecord](tableRepos, k, value)
		if err != nil {
			return err
		}
		repo, err := mirror.ParseRepo(k)
		if err != nil {
			return fmt.Errorf("read %q in table %s of the index: %w", k, tableRepos, err)
		}
		v.repoIndexes[k] = len(v.repos)
		v.repos = append(v.repos, mirror.SurveyedRepo{Repo: repo, Origin: record.Origin})
	}
	return nil
}

// canceled returns the error of the context. It checks it once in many calls.
func (v *survey) canceled() error {
	if v.steps++; v.steps%1024 != 0 {
		return nil
	}
	return v.ctx.Err()
}

func (v *survey) Repos() []mirror.SurveyedRepo { return v.repos }

func (v *survey) Protected(d digest.Digest) bool { return v.fence.isProtected(d) }

func (v *survey) Pinned(ref mirror.Ref) bool { return pinned(v.tx, ref) }

func pinned(tx backend.ReadTx, ref mirror.Ref) bool {
	return has(tx, tableState, key(mirror.PinState, ref.String()))
}

// repoIndex returns the index of a repository in repos, or an error if it does not exist.
func (v *survey) repoIndex(table backend.Table, k, repo string) (int, error) {
	index, found := v.repoIndexes[repo]
	if !found {
		return 0, fmt.Errorf("read %q in table %s of the index: there is no such repository", k, table)
	}
	return index, nil
}

// Manifests reads the manifests, their recency and the roots in parallel: the tables have the same keys in the same
// order.
func (v *survey) Manifests() iter.Seq2[*mirror.SurveyedManifest, error] {
	return func(yield func(*mirror.SurveyedManifest, error) bool) {
		recency, roots := newCursor(v.tx, tableRecency, ""), newCursor(v.tx, tableRoots, "")
		defer recency.stop()
		defer roots.stop()
		var m mirror.SurveyedManifest
		var record manifestRecord
		for k, value := range v.tx.Scan(tableManifests, "", "") {
			err := v.canceled()
			if err != nil {
				yield(nil, err)
				return
			}
			err = v.manifest(&m, &record, recency, k, value)
			if err == nil && roots.seek(k) {
				m.Root, err = decodeRoot(k, roots.value)
			}
			if err != nil {
				if !yield(nil, explain(err, "survey manifests")) {
					return
				}
				continue
			}
			if !yield(&m, nil) {
				return
			}
		}
	}
}

func (v *survey) manifest(m *mirror.SurveyedManifest, record *manifestRecord, recency *cursor, k string, value []byte) error {
	if err := scanManifest(k, value, record); err != nil {
		return err
	}
	repo, d, _ := cutKey(k)
	index, err := v.repoIndex(tableManifests, k, repo)
	if err != nil {
		return err
	}
	var used recencyRecord
	if recency.seek(k) {
		if used, err = scanRecency(k, recency.value); err != nil {
			return err
		}
	}
	*m = *record.surveyed(index, digest.Digest(d))
	m.Used = used.Used
	if at, found := v.pending[content{v.repos[index].Repo, m.Digest}]; found {
		m.Used = latest(at, m.Used)
	}
	return nil
}

// surveyed returns the record of manifest d in the repository with an index. Its lists are those of the record.
func (r *manifestRecord) surveyed(repo int, d digest.Digest) *mirror.SurveyedManifest {
	return &mirror.SurveyedManifest{
		Repo:         repo,
		Digest:       d,
		MediaType:    r.MediaType,
		Size:         r.Size,
		Origin:       r.Origin,
		Added:        r.Added,
		Subject:      r.Subject,
		ArtifactType: r.ArtifactType,
		Blobs:        r.Blobs,
		Children:     r.Children,
		Owned:        r.Owned,
	}
}

func (v *survey) Tags() iter.Seq2[mirror.SurveyedTag, error] {
	return func(yield func(mirror.SurveyedTag, error) bool) {
		for k, value := range v.tx.Scan(tableTags, "", "") {
			err := v.canceled()
			if err != nil {
				yield(mirror.SurveyedTag{}, err)
				return
			}
			record, err := scanTag(k, value)
			repo, name, _ := cutKey(k)
			var index int
			if err == nil {
				index, err = v.repoIndex(tableTags, k, repo)
			}
			if !yield(mirror.SurveyedTag{Repo: index, Name: name, Tag: mirror.Tag(record)}, explain(err, "survey tags")) {
				return
			}
		}
	}
}

// cursor reads a table in parallel to another one, in key order.
type cursor struct {
	pull  func() (string, []byte, bool)
	stop  func()
	key   string // "" at the end; no key is empty
	value []byte
}

// newCursor returns a cursor at the first key after a key.
func newCursor(tx backend.ReadTx, table backend.Table, after string) *cursor {
	next, stop := iter.Pull2(tx.Scan(table, "", after))
	s := &cursor{pull: next, stop: stop}
	s.next()
	return s
}

// next skips keys that cannot be decoded, which are in no order.
func (s *cursor) next() {
	for s.key, s.value, _ = s.pull(); strings.HasPrefix(s.key, packed.Undecodable); {
		s.key, s.value, _ = s.pull()
	}
}

// seek advances to the first key that is not less than key, and reports whether it is key.
func (s *cursor) seek(key string) bool {
	for s.key != "" && s.key < key {
		s.next()
	}
	return s.key == key
}

// nextWith advances to the next key with prefix and returns the rest of that key; "" if there is none.
func (s *cursor) nextWith(prefix string) (rest string) {
	for s.key != "" && s.key < prefix {
		s.next()
	}
	rest, found := strings.CutPrefix(s.key, prefix)
	if !found {
		return ""
	}
	return rest
}
