package proxy

import (
	"cmp"
	"slices"

	"airmirror/mirror"
)

// maxListedBackfill is the most images of the backfill that are listed.
const maxListedBackfill = 500

// Transfers returns what is fetched now, and what is still to be fetched, of the repositories that repo selects; nil
// selects all.
func (p *Proxy) Transfers(repo func(mirror.Repo) bool) mirror.Transfers {
	t := mirror.Transfers{Downloads: p.puller.downloads.list(repo)}
	t.Backfill, t.Waiting = p.backfill.list(repo)
	return t
}

// list returns the downloads that run.
func (ds *downloads) list(selected func(mirror.Repo) bool) []mirror.Download {
	ds.mu.Lock()
	defer ds.mu.Unlock()
	list := make([]mirror.Download, 0, len(ds.all))
	for _, d := range ds.all {
		if selected == nil || selected(d.repo) {
			list = append(list, d.describe())
		}
	}
	slices.SortFunc(list, func(a, b mirror.Download) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Digest, b.Digest))
	})
	return list
}

// describe returns the state of the download. The caller holds the lock of downloads.
func (d *download) describe() mirror.Download {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := d.size
	if d.state == downloadWaiting {
		size = -1
	}
	return mirror.Download{
		Repo: d.repo.String(), Digest: d.key.digest, Upstream: d.repo.Host, Received: d.received, Size: size, Subscribers: d.present, Since: d.since,
	}
}

// list returns the first images to complete, and the number of all.
func (b *backfill) list(selected func(mirror.Repo) bool) (list []mirror.BackfillImage, total int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list = []mirror.BackfillImage{}
	for ref, image := range b.images {
		if selected == nil || selected(ref.Repo) {
			list = append(list, mirror.BackfillImage{Ref: ref.String(), Running: image.running, Tries: image.tries, Next: image.next})
		}
	}
	slices.SortFunc(list, func(a, b mirror.BackfillImage) int {
		return cmp.Or(compareBool(b.Running, a.Running), a.Next.Compare(b.Next), cmp.Compare(a.Ref, b.Ref))
	})
	return list[:min(len(list), maxListedBackfill)], len(list)
}
