package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"airmirror/mirror"
)

const (
	// verifyState is the kind of the records about verification, with lastKey for the summary of the last run and scrubKey
	// for the progress of the scrub.
	verifyState = "verify"
	lastKey     = "last"
	scrubKey    = "lap"
)

// maxReadErrors is the number of files or folders that cannot be read after which a verification gives up.
const maxReadErrors = 16

// verifier verifies what is stored.
type verifier struct {
	store    mirror.Store
	recovery *recovery
	images   *images
	tasks    *tasks
	log      *zap.Logger
	// scrubEvery and scrubRate are [Options.ScrubEvery] and [Options.ScrubRate].
	scrubEvery time.Duration
	scrubRate  int64
	leases     mirror.Leases
	shared     bool             // other nodes scrub the same store
	now        func() time.Time // of scrubs; all nodes have the same

	mu      sync.Mutex
	running int
	last    *mirror.VerifySummary
}

// load reads the records of earlier runs and returns the progress of the scrub. It ignores records that it cannot read.
func (v *verifier) load(ctx context.Context) (run scrubRun, err error) {
	state, err := v.store.State(ctx, verifyState)
	var last verifyRecord
	if json.Unmarshal(state[lastKey], &last) == nil {
		summary := mirror.VerifySummary(last)
		v.mu.Lock()
		v.last = &summary
		v.mu.Unlock()
	}
	_ = json.Unmarshal(state[scrubKey], &run)
	return run, err
}

// save writes a record. It does so while the proxy closes as well, since the store is still open.
func (v *verifier) save(ctx context.Context, key string, value any) {
	record, err := json.Marshal(value)
	if err == nil {
		err = v.store.SetState(context.WithoutCancel(ctx), verifyState, map[string][]byte{key: record})
	}
	if err != nil {
		v.log.Error("cannot save the state of the verification", zap.Error(err))
	}
}

func (v *verifier) addRunning(n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.running += n
}

// finished records the summary of a complete verification.
func (v *verifier) finished(ctx context.Context, summary mirror.VerifySummary) {
	v.mu.Lock()
	v.last = &summary
	v.mu.Unlock()
	v.save(ctx, lastKey, verifyRecord(summary))
}

func (v *verifier) status() mirror.VerifyStatus {
	v.mu.Lock()
	defer v.mu.Unlock()
	return mirror.VerifyStatus{Running: v.running > 0, Last: v.last}
}

// Verify compares what is stored with its digests and its records, and reports each defect; report may be nil. If something
// cannot be checked, it returns why, with the summary of the rest. It ends when the proxy closes.
func (v *verifier) Verify(ctx context.Context, opts mirror.VerifyOptions, report func(mirror.VerifyEvent)) (mirror.VerifySummary, error) {
	if err := v.tasks.begin(); err != nil {
		return mirror.VerifySummary{}, err
	}
	defer v.tasks.done()
	run := &verifyRun{verifier: v, opts: opts, report: report, summary: mirror.VerifySummary{Started: time.Now().UTC(), Fast: opts.Fast, Repair: opts.Repair}}
	err := run.run(ctx)
	return run.summary, err
}

// verifyRun is one verification.
type verifyRun struct {
	*verifier
	opts    mirror.VerifyOptions
	report  func(mirror.VerifyEvent)
	summary mirror.VerifySummary
	after   digest.Digest // where it continues
	checked func()        // called after each file; may be nil
	// handled are the digests of the defects so far.
	handled map[digest.Digest]bool
}

func (r *verifyRun) run(ctx context.Context) error {
	ctx, cancel := r.tasks.untilClose(ctx)
	defer cancel()
	r.addRunning(1)
	defer r.addRunning(-1)
	began, before := time.Now(), r.summary.Seconds
	clock := func() { r.summary.Seconds = before + time.Since(began).Seconds() }
	defer clock()
	var failures []error
	for defect, err := range r.store.Defects(ctx, r.checkOptions(clock)) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil && defect.Digest == "" {
			if failures = append(failures, err); len(failures) == maxReadErrors {
				break
			}
			continue
		}
		r.handle(ctx, defect, err)
	}
	r.handleLost(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var err error
	if r.summary.Incomplete, err = r.images.recountIncomplete(ctx); err != nil {
		failures = append(failures, err)
	}
	clock()
	if len(failures) == 0 {
		r.finished(ctx, r.summary)
	}
	return errors.Join(failures...)
}

// handleLost handles content that an earlier repair could not fetch again. The index does not name its files any more, so the
// store finds no defect in a mirrored image, which may be incomplete.
func (r *verifyRun) handleLost(ctx context.Context) {
	for _, defect := range r.recovery.lostBefore(ctx) {
		if ctx.Err() == nil && !r.handled[defect.Digest] {
			r.handle(ctx, defect, nil)
		}
	}
}

func (r *verifyRun) checkOptions(clock func()) mirror.CheckOptions {
	opts := mirror.CheckOptions{Fast: r.opts.Fast, After: r.after, Progress: r.opts.Progress}
	opts.Checked = func(d digest.Digest, size int64) {
		r.after, r.summary.Files, r.summary.Bytes = d, r.summary.Files+1, r.summary.Bytes+size
		clock()
		if r.checked != nil {
			r.checked()
		}
	}
	if r.opts.Rate > 0 {
		opts.Read = rate.NewLimiter(rate.Limit(r.opts.Rate), mirror.MaxCheckRead).WaitN
	}
	return opts
}

// handle repairs a defect if the options say so, and reports it. err is why content could not be read; nil otherwise.
func (r *verifyRun) handle(ctx context.Context, defect mirror.Defect, err error) {
	event := mirror.VerifyEvent{Defect: defect}
	if r.handled == nil {
		r.handled = make(map[digest.Digest]bool)
	}
	r.handled[defect.Digest] = true
	if err != nil {
		event.Kind, event.Reason, event.Error = mirror.Unread, "it cannot be read", err.Error()
	} else if r.opts.Repair {
		r.repair(ctx, &event)
	}
	r.summary.Add(event)
	r.log.Warn("defect", zap.String("kind", string(event.Kind)), zap.Stringer("digest", event.Digest), zap.String("entry", event.Entry),
		zap.Strings("repositories", event.Repos[:min(len(event.Repos), 3)]), zap.String("reason", event.Reason), zap.Bool("repaired", event.Repaired),
		zap.Bool("fetched", event.Fetched), zap.Bool("wanted", event.Wanted), zap.String("error", event.Error))
	if r.report != nil {
		r.report(event)
	}
}

// repair repairs a defect, and recovers content that was lost.
func (r *verifyRun) repair(ctx context.Context, event *mirror.VerifyEvent) {
	defect := event.Defect
	repaired, err := r.store.Repair(ctx, defect)
	if err != nil {
		event.Error = err.Error()
	}
	event.Repaired = repaired
	if defect.Kind == mirror.Dangling || defect.Kind == mirror.Broken || len(defect.Repos) == 0 || ctx.Err() != nil {
		return
	}
	event.Fetched, event.Wanted = r.recovery.recover(ctx, defect)
}
