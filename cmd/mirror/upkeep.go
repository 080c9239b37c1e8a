package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"airmirror/api/admin"
	"airmirror/gc"
	"airmirror/mirror"
	"airmirror/sync/prefetch"
	"airmirror/sync/progress"
)

// upkeep are the jobs that look after what is held.
func (w *works) upkeep() map[string]admin.Job {
	return map[string]admin.Job{
		"collect": job(func(ctx context.Context, req collectRequest, _ io.Reader, tell func(any)) error {
			return w.collect(ctx, req, tell)
		}),
		"remove": job(func(ctx context.Context, req removeRequest, _ io.Reader, tell func(any)) error {
			return w.remove(ctx, req, tell)
		}),
		"usage": job(func(ctx context.Context, req usageRequest, _ io.Reader, tell func(any)) error {
			return w.usage(ctx, req, tell)
		}),
		"verify": job(func(ctx context.Context, req verifyRequest, _ io.Reader, tell func(any)) error {
			return w.verify(ctx, req, tell)
		}),
		"pins": job(func(ctx context.Context, _ struct{}, _ io.Reader, tell func(any)) error {
			pins, err := w.mirror.Pins(ctx)
			for _, pin := range pins {
				tell(pin)
			}
			return err
		}),
		"pin": job(func(ctx context.Context, names []string, _ io.Reader, tell func(any)) error {
			return w.pin(ctx, names, w.mirror.Pin, tell)
		}),
		"unpin": job(func(ctx context.Context, names []string, _ io.Reader, tell func(any)) error {
			return w.pin(ctx, names, w.mirror.Unpin, tell)
		}),
	}
}

// ref reads the name of something that is stored, as people write it: see [prefetch.Find]. With a tag and a digest, the tag
// must point at that if it is stored, and the digest is what is meant.
func (w *works) ref(ctx context.Context, name string) (mirror.Ref, error) {
	ref, _, err := prefetch.Find(ctx, w.store, w.mirror.Names(), name)
	if err != nil || ref.Tag == "" || ref.Digest == "" {
		return ref, err
	}
	tag, err := w.store.Tag(mirror.WithoutUsage(ctx), ref.Repo, ref.Tag)
	if err == nil {
		err = ref.Check(tag.Digest)
	}
	if err != nil && mirror.CodeOf(err) != mirror.CodeManifestUnknown {
		return ref, err
	}
	ref.Tag = ""
	return ref, nil
}

// pin has references pinned, or unpinned, by their names.
func (w *works) pin(ctx context.Context, names []string, do func(context.Context, ...mirror.Ref) error, tell func(any)) error {
	refs := make([]mirror.Ref, len(names))
	for i, name := range names {
		var err error
		if refs[i], err = w.ref(ctx, name); err != nil {
			return err
		}
	}
	if err := do(ctx, refs...); err != nil {
		return err
	}
	for _, ref := range refs {
		tell(mirror.Pin{Ref: ref.String()})
	}
	return nil
}

// usageRequest asks what repositories hold: those that match, or all.
type usageRequest struct {
	Match []string `json:"match,omitempty"`
}

// usageLine is what one repository holds, or all together.
type usageLine struct {
	Name string `json:"name,omitempty"` // as the mirror serves it; "" for the total
	gc.RepoUsage
}

func (w *works) usage(ctx context.Context, req usageRequest, tell func(any)) error {
	match, err := admin.MatchRepos(w.mirror.Names(), req.Match)
	if err != nil {
		return err
	}
	repos, total, err := gc.Usage(ctx, w.store)
	if err != nil {
		return err
	}
	slices.SortStableFunc(repos, func(a, b gc.RepoUsage) int { return cmp.Compare(b.Bytes, a.Bytes) })
	for _, usage := range repos {
		repo, err := mirror.ParseRepo(usage.Repo)
		if err != nil {
			return err
		}
		if match(repo) {
			tell(usageLine{w.mirror.Names().Served(repo), usage})
		}
	}
	if len(req.Match) == 0 {
		tell(usageLine{"", total})
	}
	return nil
}

// verifyRequest says how thoroughly is verified; see [mirror.VerifyOptions].
type verifyRequest struct {
	Fast   bool  `json:"fast,omitempty"`
	Repair bool  `json:"repair,omitempty"`
	Rate   int64 `json:"rate,omitempty"` // bytes in a second
}

// verifyLine is a part of the answer of a verification: one of these is set.
type verifyLine struct {
	Progress *progressLine         `json:"progress,omitempty"`
	Flaw     *mirror.VerifyEvent   `json:"flaw,omitempty"`
	Done     *mirror.VerifySummary `json:"done,omitempty"`
}

// progressLine is how far work is.
type progressLine struct {
	Time  time.Time `json:"time"`
	Done  int64     `json:"done"`  // bytes
	Total int64     `json:"total"` // bytes
	Doing string    `json:"doing,omitempty"`
}

func (w *works) verify(ctx context.Context, req verifyRequest, tell func(any)) error {
	var reporter *progress.Reporter
	say := func(now progress.Now) {
		tell(verifyLine{Progress: &progressLine{now.Time, now.Done, now.Total, now.Doing}})
	}
	reporter = progress.New(func() { reporter.Tell(say) })
	opts := mirror.VerifyOptions{Fast: req.Fast, Repair: req.Repair, Rate: req.Rate, Progress: reporter}
	summary, err := w.mirror.Verify(ctx, opts, func(event mirror.VerifyEvent) { tell(verifyLine{Flaw: &event}) })
	reporter.Close()
	if err != nil {
		return fmt.Errorf("verify what is held: %w", err)
	}
	tell(verifyLine{Done: &summary})
	return nil
}
