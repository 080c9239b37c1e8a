package gc

import (
	"context"
	"fmt"

	"airmirror/mirror"
)

// RepoUsage is what a repository holds. Sizes are of files, in bytes, those of manifests included, each counted once.
type RepoUsage struct {
	Repo      string `json:"repository"` // as [mirror.Repo.String] writes it; "" in a total
	Tags      int    `json:"tags"`
	Manifests int    `json:"manifests"`
	Blobs     int    `json:"blobs"` // files
	Bytes     int64  `json:"bytes"` // Exclusive and Shared
	Exclusive int64  `json:"exclusive"`
	Shared    int64  `json:"shared"` // with other repositories
	// Unlinked is of files that no repository may read, and that are not among Bytes of any; it is in the total alone.
	Unlinked int64 `json:"unused,omitempty"`
}

// Usage adds up what each repository holds, in the order of their names, and what there is in all. What repositories
// share is in the total once, so that its Bytes are what the disk holds. Memory is for the repositories alone.
func Usage(ctx context.Context, store mirror.CollectStore) (repos []RepoUsage, total RepoUsage, err error) {
	err = store.Survey(ctx, func(s mirror.Survey) error {
		surveyed := s.Repos()
		repos, total = make([]RepoUsage, len(surveyed)), RepoUsage{}
		for i, r := range surveyed {
			repos[i].Repo = r.Repo.String()
		}
		return addUsage(s, repos, &total)
	})
	if err != nil {
		return nil, RepoUsage{}, fmt.Errorf("add up what repositories hold: %w", err)
	}
	return repos, total, ctx.Err()
}

func addUsage(s mirror.Survey, repos []RepoUsage, total *RepoUsage) error {
	for m, err := range s.Manifests() {
		if err != nil {
			return err
		}
		repos[m.Repo].Manifests++
		total.Manifests++
	}
	for t, err := range s.Tags() {
		if err != nil {
			return err
		}
		repos[t.Repo].Tags++
		total.Tags++
	}
	for b, err := range s.Blobs() {
		if err != nil {
			return err
		}
		total.add(b.Size, len(b.Repos) > 1)
		if len(b.Repos) == 0 {
			total.Unlinked += b.Size
		}
		for _, r := range b.Repos {
			repos[r].add(b.Size, len(b.Repos) > 1)
		}
	}
	return nil
}

func (u *RepoUsage) add(size int64, shared bool) {
	u.Blobs++
	u.Bytes += size
	if shared {
		u.Shared += size
	} else {
		u.Exclusive += size
	}
}
