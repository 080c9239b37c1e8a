package admin

import (
	"context"
	"crypto/rand"
	"slices"
	"strings"
	"sync"
	"time"

	"airmirror/mirror"
)

// Limits of the jobs of a mirror.
const (
	maxRunningJobs = 64
	maxEndedJobs   = 200                 // ended jobs that are kept
	maxEndedBytes  = 8 << 20             // of their events
	keepEndedJobs  = 30 * 24 * time.Hour // how long
)

// jobSet are the jobs of a mirror. It is safe for concurrent use.
type jobSet struct {
	work    sync.WaitGroup // running jobs
	records jobRecords

	mu     sync.Mutex
	list   []*job // in the order of their start
	closed error  // why no job can be started; nil if it can
}

// add adds a job, and returns an error if there are too many or the mirror is shutting down. The caller calls s.work.Done
// when the job has ended.
func (s *jobSet) add(j *job) error {
	forgotten, err := s.insert(j)
	if err == nil {
		s.records.save(j.status(), forgotten...)
	}
	return err
}

// insert does what add does in memory, and returns the jobs that it forgets.
func (s *jobSet) insert(j *job) (forgotten []*job, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed != nil {
		return nil, mirror.Errorf(mirror.CodeUnavailable, "%w", s.closed)
	}
	running := 0
	for _, other := range s.list {
		if other.endedAt().IsZero() {
			running++
		}
	}
	if running >= maxRunningJobs {
		return nil, mirror.Errorf(mirror.CodeTooManyRequests, "%d jobs are running: cancel one, or wait for one", running)
	}
	forgotten = s.forget()
	s.list = append(s.list, j)
	s.work.Add(1)
	return forgotten, nil
}

// forget removes ended jobs that are over the limits, the oldest first, and returns them. Of the others it drops the events that
// are too many. The caller holds s.mu.
func (s *jobSet) forget() (forgotten []*job) {
	ended, size := 0, 0
	kept := make([]*job, 0, len(s.list))
	for _, j := range slices.Backward(s.list) {
		if at := j.endedAt(); !at.IsZero() {
			used, _ := j.log.usage()
			ended, size = ended+1, size+used
			if ended > maxEndedJobs || time.Since(at) > keepEndedJobs {
				forgotten = append(forgotten, j)
				continue
			}
			if size > maxEndedBytes {
				size -= used
				j.log.drop()
			}
		}
		kept = append(kept, j)
	}
	slices.Reverse(kept)
	s.list = kept
	return forgotten
}

// find returns a job.
func (s *jobSet) find(id string) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, j := range s.list {
		if j.id == id {
			return j, nil
		}
	}
	return nil, mirror.Errorf(mirror.CodeNameUnknown, "there is no job %s: 'mirror jobs' lists the jobs, and those that ended long ago are forgotten", mirror.Printable(id))
}

// statuses describes all jobs, the latest first.
func (s *jobSet) statuses() []JobStatus {
	s.mu.Lock()
	forgotten := s.forget()
	list := slices.Clone(s.list)
	s.mu.Unlock()
	s.records.remove(forgotten)
	all := make([]JobStatus, 0, len(list))
	for _, j := range slices.Backward(list) {
		all = append(all, j.status())
	}
	return all
}

// close cancels all jobs with a cause, and waits for them until ctx ends. No job can be started any more.
func (s *jobSet) close(ctx context.Context, cause error) error {
	s.mu.Lock()
	s.closed = cause
	for _, j := range s.list {
		j.cancel(cause)
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.work.Wait()
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newJobID returns an ID that cannot be guessed: 60 bits in lower-case letters and digits.
func newJobID() string { return strings.ToLower(rand.Text()[:12]) }
