package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// defaultScrubRate is slow enough to leave the disk to the clients.
	defaultScrubRate = 10 << 20
	// scrubSaveInterval is how often the progress of a scrub is saved. A crash repeats what was verified since.
	scrubSaveInterval = time.Minute
	// scrubLease is the lease of the node that scrubs.
	scrubLease = "scrub"
	// scrubPause is the pause after a scrub failed, or was left to another node.
	scrubPause = 10 * time.Minute
)

// scrubRun is the progress of one scrub. A scrub may take longer than the process lives, so it is saved.
type scrubRun struct {
	After   digest.Digest `json:"after,omitempty"` // the last digest that was verified; content is verified in their order
	Done    bool          `json:"done,omitempty"`
	Summary verifyRecord  `json:"summary"`
}

// scrub verifies and repairs everything slowly, again and again, until the proxy closes. One node at a time does.
func (v *verifier) scrub(run scrubRun) {
	defer v.tasks.done()
	holder := ""
	for v.tasks.sleep(v.untilScrub(run)) {
		err := v.leases.Run(v.tasks.ctx, scrubLease, func(ctx context.Context) error { return v.scrubOnce(ctx, &run) })
		if err == nil {
			continue
		}
		if !v.tasks.sleep(0) {
			return
		}
		var taken *mirror.LeaseTakenError
		switch {
		case !errors.As(err, &taken):
			v.log.Error("scrub failed, continuing later", zap.Error(err), zap.Duration("pause", scrubPause))
		case taken.Node != holder:
			v.log.Info("another node scrubs", zap.String("node", taken.Node))
			holder = taken.Node
		}
		if !v.tasks.sleep(scrubPause) {
			return
		}
	}
}

// untilScrub returns how long to wait before a scrub is continued, or begun after the last one.
func (v *verifier) untilScrub(run scrubRun) time.Duration {
	if now := v.now(); run.Done && mirror.Within(run.Summary.Started, now, v.scrubEvery) {
		return run.Summary.Started.Add(v.scrubEvery).Sub(now)
	}
	return 0
}

// scrubOnce continues a scrub, which another node may have begun, or begins one. It does nothing if another node was first.
func (v *verifier) scrubOnce(ctx context.Context, run *scrubRun) (err error) {
	if v.shared {
		if *run, err = v.load(ctx); err != nil || v.untilScrub(*run) > 0 {
			return err
		}
	}
	if run.Done || run.Summary.Started.IsZero() {
		*run = scrubRun{Summary: verifyRecord{Started: v.now().UTC(), Repair: true}}
	}
	return v.continueScrub(ctx, run)
}

// continueScrub continues a scrub until it is done, fails or the proxy closes.
func (v *verifier) continueScrub(ctx context.Context, run *scrubRun) error {
	r := &verifyRun{verifier: v, opts: mirror.VerifyOptions{Repair: true, Rate: v.scrubRate}, summary: mirror.VerifySummary(run.Summary), after: run.After}
	saved := time.Now()
	r.checked = func() {
		if run.After, run.Summary = r.after, verifyRecord(r.summary); time.Since(saved) >= scrubSaveInterval {
			saved = time.Now()
			v.save(ctx, scrubKey, run)
		}
	}
	err := r.run(ctx)
	run.After, run.Summary, run.Done = r.after, verifyRecord(r.summary), err == nil
	v.save(ctx, scrubKey, run)
	return err
}
