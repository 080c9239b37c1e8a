package proxy

import (
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// defaultScrubRate leaves the disk to the clients.
	defaultScrubRate = 10 << 20
	// lapInterval is how often it is noted how far a lap has come: what is read twice after a crash.
	lapInterval = time.Minute
	// scrubPause is how long scrubbing rests after it failed.
	scrubPause = 10 * time.Minute
)

// lap is one scrub of everything, over restarts: it may take longer than the process lives.
type lap struct {
	After   digest.Digest        `json:"after,omitempty"` // what was verified so far, in the order of digests
	Done    bool                 `json:"done,omitempty"`
	Summary mirror.VerifySummary `json:"summary"`
}

// scrub verifies everything slowly, again and again, and repairs it, until Close.
func (m *Proxy) scrub(l lap) {
	defer m.work.Done()
	for {
		wait := time.Duration(0)
		if l.Done && mirror.Within(l.Summary.Started, time.Now(), m.opts.ScrubEvery) {
			wait = time.Until(l.Summary.Started.Add(m.opts.ScrubEvery))
		}
		if !m.rest(wait) {
			return
		}
		if l.Done || l.Summary.Started.IsZero() {
			l = lap{Summary: mirror.VerifySummary{Started: time.Now().UTC(), Repair: true}}
		}
		if err := m.scrubLap(&l); err != nil {
			if !m.rest(0) {
				return
			}
			m.log.Error("scrubbing failed; it goes on later", zap.Error(err), zap.Duration("pause", scrubPause))
			if !m.rest(scrubPause) {
				return
			}
		}
	}
}

// scrubLap goes on with a lap to its end, or to where the mirror closes or something fails.
func (m *Proxy) scrubLap(l *lap) error {
	v := &verification{m: m, opts: mirror.VerifyOptions{Repair: true, Rate: m.opts.ScrubRate}, summary: l.Summary, after: l.After}
	noted := time.Now()
	v.checked = func() {
		if l.After, l.Summary = v.after, v.summary; time.Since(noted) >= lapInterval {
			noted = time.Now()
			m.noteVerified(lapNote, l)
		}
	}
	err := v.run(m.ctx)
	l.After, l.Summary, l.Done = v.after, v.summary, err == nil
	m.noteVerified(lapNote, l)
	return err
}

// rest waits, and reports whether the mirror is still open then.
func (m *Proxy) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-m.closeBegan():
		return false
	case <-timer.C:
	}
	select {
	case <-m.closeBegan():
		return false
	default:
		return true
	}
}
