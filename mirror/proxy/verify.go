package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

// Verify finds out whether what is held is what it is called, and tells of each flaw; tell may be nil. It returns why it
// could not look at everything, with what it came to so far. It ends when the mirror closes.
func (m *Proxy) Verify(ctx context.Context, opts mirror.VerifyOptions, tell func(mirror.VerifyEvent)) (mirror.VerifySummary, error) {
	if err := m.begin(); err != nil {
		return mirror.VerifySummary{}, err
	}
	defer m.work.Done()
	v := &verification{m: m, opts: opts, tell: tell, summary: mirror.VerifySummary{Started: time.Now().UTC(), Fast: opts.Fast, Repair: opts.Repair}}
	err := v.run(ctx)
	return v.summary, err
}

// verification is one under way.
type verification struct {
	m       *Proxy
	opts    mirror.VerifyOptions
	tell    func(mirror.VerifyEvent)
	summary mirror.VerifySummary
	after   digest.Digest // it goes on from there
	checked func()        // called after each file; may be nil
}

func (v *verification) run(ctx context.Context) error {
	ctx, cancel := v.m.untilClose(ctx)
	defer cancel()
	v.m.verified.begin()
	defer v.m.verified.end()
	began, before := time.Now(), v.summary.Seconds
	clock := func() { v.summary.Seconds = before + time.Since(began).Seconds() }
	defer clock()
	var failures []error
	for flaw, err := range v.m.store.Defects(ctx, v.check(clock)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && flaw.Digest == "" {
			if failures = append(failures, err); len(failures) == maxFailures {
				break
			}
			continue
		}
		v.event(ctx, flaw, err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	if v.summary.Incomplete, err = v.m.incomplete.now(ctx, v.m); err != nil {
		failures = append(failures, err)
	}
	clock()
	if len(failures) == 0 {
		v.m.verified.note(v.m, v.summary)
	}
	return errors.Join(failures...)
}

// maxFailures is how many folders, say, may not be readable before there is no point in going on.
const maxFailures = 16

// check returns the options of the store's check.
func (v *verification) check(clock func()) mirror.CheckOptions {
	opts := mirror.CheckOptions{Fast: v.opts.Fast, After: v.after, Progress: v.opts.Progress}
	opts.Checked = func(d digest.Digest, size int64) {
		v.after, v.summary.Files, v.summary.Bytes = d, v.summary.Files+1, v.summary.Bytes+size
		clock()
		if v.checked != nil {
			v.checked()
		}
	}
	if v.opts.Rate > 0 {
		opts.Read = rate.NewLimiter(rate.Limit(v.opts.Rate), mirror.MaxCheckRead).WaitN
	}
	return opts
}

// event does something about a flaw, if that is wished, and tells of it. err is why it is not known whether there is one.
func (v *verification) event(ctx context.Context, flaw mirror.Defect, err error) {
	event := mirror.VerifyEvent{Defect: flaw}
	if err != nil {
		event.Kind, event.Reason, event.Error = mirror.Unread, "it cannot be read", err.Error()
	} else if v.opts.Repair {
		v.repair(ctx, &event)
	}
	v.summary.Add(event)
	v.m.log.Warn("flaw", zap.String("kind", string(event.Kind)), zap.Stringer("digest", event.Digest), zap.String("entry", event.Entry),
		zap.Strings("repositories", event.Repos[:min(len(event.Repos), 3)]), zap.String("reason", event.Reason), zap.Bool("mended", event.Repaired),
		zap.Bool("fetched", event.Fetched), zap.Bool("wanted", event.Wanted), zap.String("error", event.Error))
	if v.tell != nil {
		v.tell(event)
	}
}

// repair mends a flaw, and sees to it that what was lost comes again.
func (v *verification) repair(ctx context.Context, event *mirror.VerifyEvent) {
	m, flaw := v.m, event.Defect
	mended, err := m.store.Repair(ctx, flaw)
	if err != nil {
		event.Error = err.Error()
	}
	event.Repaired = mended
	if flaw.Kind == mirror.Dangling || flaw.Kind == mirror.Broken || len(flaw.Repos) == 0 || ctx.Err() != nil {
		return
	}
	event.Fetched, event.Wanted = m.regain(ctx, flaw)
}

// regain sees to it that what was lost comes again: it is fetched, or else wanted. It is neither if it is stored after all.
func (m *Proxy) regain(ctx context.Context, flaw mirror.Defect) (fetched, wanted bool) {
	if m.regained(ctx, flaw) {
		m.regainedFor(flaw)
		return false, false
	}
	ref, why := m.fetchAgain(ctx, flaw)
	switch {
	case why == nil && ref.Digest != "":
		m.regainedFor(flaw)
		return true, false
	case ctx.Err() == nil && ref.Digest != "":
		m.wanted(m.wants.lost(ref, !flaw.Manifest, m.lost(ref, &flaw, why)))
		return false, true
	}
	return false, false
}

// regainedFor strikes off the wants that were for what was lost.
func (m *Proxy) regainedFor(flaw mirror.Defect) {
	for _, repo := range m.wants.of(flaw.Digest) {
		m.wants.fulfilled(repo, flaw.Digest)
	}
}
