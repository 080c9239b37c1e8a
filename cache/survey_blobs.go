package cache

import (
	"iter"
	"slices"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// Blobs reads blobs, links and uses in parallel: the keys of all three tables begin with the digest.
func (v *survey) Blobs() iter.Seq2[*mirror.SurveyedBlob, error] {
	return func(yield func(*mirror.SurveyedBlob, error) bool) {
		links, uses := newCursor(v.tx, tableLinks, ""), newCursor(v.tx, tableUses, "")
		defer links.stop()
		defer uses.stop()
		var b mirror.SurveyedBlob
		for k, value := range v.tx.Scan(tableBlobs, "", "") {
			err := v.canceled()
			if err != nil {
				yield(nil, err)
				return
			}
			if err = v.blob(&b, links, uses, k, value); err != nil {
				if !yield(nil, explain(err, "survey blobs")) {
					return
				}
				continue
			}
			if !yield(&b, nil) {
				return
			}
		}
	}
}

// blob reads one blob. Its freshness follows the same rule as in a sweep: the uses in repositories that link the blob
// count, and the uses of a manifest that was deleted do not.
func (v *survey) blob(b *mirror.SurveyedBlob, links, uses *cursor, k string, value []byte) error {
	record, err := scanBlob(k, value)
	if err != nil {
		return err
	}
	*b = mirror.SurveyedBlob{
		Digest: digest.Digest(k),
		Size:   record.Size,
		Added:  record.Added,
		Used:   record.Added,
		Repos:  b.Repos[:0],
	}
	prefix := prefix(k)
	for repo := links.nextWith(prefix); repo != ""; repo = links.nextWith(prefix) {
		link, err := scanLink(links.key, links.value)
		links.next()
		if err != nil {
			return err
		}
		b.Used = latest(link.Added, b.Used, link.Used)
		if v.usedLately[b.Digest] {
			name, err := mirror.ParseRepo(repo)
			if err != nil {
				return err
			}
			b.Used = latest(b.Used, v.pending[content{name, b.Digest}])
		}
		if !link.Announced {
			v.addRepo(b, repo)
		}
	}
	for rest := uses.nextWith(prefix); rest != ""; rest = uses.nextWith(prefix) {
		repo, _, _ := cutKey(rest)
		needed := !isOwnedUse(uses.value)
		uses.next()
		b.Users++
		if needed {
			v.addRepo(b, repo)
		}
	}
	if len(b.Repos) > 1 { // the repositories of a digest are in no order
		slices.Sort(b.Repos)
		b.Repos = slices.Compact(b.Repos)
	}
	return nil
}

// addRepo adds a repository, unless it was the last one added. A repository without a record is skipped.
func (v *survey) addRepo(b *mirror.SurveyedBlob, repo string) {
	place, found := v.repoIndexes[repo]
	if found && (len(b.Repos) == 0 || b.Repos[len(b.Repos)-1] != place) {
		b.Repos = append(b.Repos, place)
	}
}
