package gc

import (
	"context"
	"fmt"

	"airmirror/mirror"
)

// RepoUsage is the disk usage of a repository. Sizes are in bytes; they include the files of manifests and count each
// file once.
type RepoUsage struct {
	Repo      string `json:"repository"` // as [mirror.Repo.String] writes it; "" in a total
	Tags      int    `json:"tags"`
	Manifests int    `json:"manifests"`
	Blobs     int    `json:"blobs"` // files
	Bytes     int64  `json:"bytes"` // Exclusive + Shared
	Exclusive int64  `json:"exclusive"`
	Shared    int64  `json:"shared"` // also in other repositories
	// Unlinked is the size of files that no repository may read. Only a total has it, within Bytes.
	Unlinked int64 `json:"unlinked,omitempty"`
}

// Usage returns the usage of each repository, ordered by name, and the total. The total counts shared files once: its
// Bytes are the disk usage of all files. It needs memory for the repositories, not for the blobs.
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
		return nil, RepoUsage{}, fmt.Errorf("compute the usage of repositories: %w", err)
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
