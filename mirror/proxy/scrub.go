package proxy

import (
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
	// scrubPause is the pause after a scrub failed.
	scrubPause = 10 * time.Minute
)

// scrubRun is the progress of one scrub. A scrub may take longer than the process lives, so it is saved.
type scrubRun struct {
	After   digest.Digest `json:"after,omitempty"` // the last digest that was verified; content is verified in their order
	Done    bool          `json:"done,omitempty"`
	Summary verifyRecord  `json:"summary"`
}

// scrub verifies and repairs everything slowly, again and again, until the proxy closes.
func (v *verifier) scrub(run scrubRun) {
	defer v.tasks.done()
	for {
		wait := time.Duration(0)
		if run.Done && mirror.Within(run.Summary.Started, time.Now(), v.scrubEvery) {
			wait = time.Until(run.Summary.Started.Add(v.scrubEvery))
		}
		if !v.tasks.sleep(wait) {
			return
		}
		if run.Done || run.Summary.Started.IsZero() {
			run = scrubRun{Summary: verifyRecord{Started: time.Now().UTC(), Repair: true}}
		}
		if err := v.continueScrub(&run); err != nil {
			if !v.tasks.sleep(0) {
				return
			}
			v.log.Error("scrub failed, continuing later", zap.Error(err), zap.Duration("pause", scrubPause))
			if !v.tasks.sleep(scrubPause) {
				return
			}
		}
	}
}

// continueScrub continues a scrub until it is done, fails or the proxy closes.
func (v *verifier) continueScrub(run *scrubRun) error {
	r := &verifyRun{verifier: v, opts: mirror.VerifyOptions{Repair: true, Rate: v.scrubRate}, summary: mirror.VerifySummary(run.Summary), after: run.After}
	saved := time.Now()
	r.checked = func() {
		if run.After, run.Summary = r.after, verifyRecord(r.summary); time.Since(saved) >= scrubSaveInterval {
			saved = time.Now()
			v.save(scrubKey, run)
		}
	}
	err := r.run(v.tasks.ctx)
	run.After, run.Summary, run.Done = r.after, verifyRecord(r.summary), err == nil
	v.save(scrubKey, run)
	return err
}
