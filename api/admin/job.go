package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"airmirror/mirror"
)

// JobStatus describes a job.
type JobStatus struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	// Request is the request of the job, unless it is long or may contain secrets; see [Options.Detail].
	Request json.RawMessage `json:"request,omitempty"`
	State   JobState        `json:"state"`
	// Attached means that the job ends when the client that started it disconnects.
	Attached bool      `json:"attached,omitempty"`
	User     string    `json:"user,omitempty"`    // who started the job
	Address  string    `json:"address,omitempty"` // from where; "local" for a command on this machine
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
	Progress *Progress `json:"progress,omitempty"`
	Input    *JobInput `json:"input,omitempty"` // nil for a job without input
	// Summary is the result of a job that ended without an error. Its type depends on the job; see the package comment.
	Summary json.RawMessage `json:"summary,omitempty"`
	Error   *JobError       `json:"error,omitempty"` // of a job that failed or was canceled
}

// JobError is why a job failed.
type JobError = errorBody

// JobState is the state of a job.
type JobState string

// The states of jobs.
const (
	JobRunning   JobState = "running"
	JobSucceeded JobState = "succeeded" // the work is done; its events name what could not be done
	JobFailed    JobState = "failed"
	JobCanceled  JobState = "canceled" // on request, with its client, for lack of input, or with the mirror
)

// attachTimeout is how long an attached job goes on without its client, which may have lost the connection. On the machine
// of the mirror, a lost connection means that the client has ended.
const attachTimeout = 30 * time.Second

var (
	errCanceled  = mirror.Errorf(mirror.CodeUnavailable, "the job was canceled")
	errAbandoned = mirror.Errorf(mirror.CodeUnavailable, "the client that started the job has disconnected")
)

// job is one job. It is safe for concurrent use.
type job struct {
	id, name  string
	attached  bool
	patience  time.Duration // how long an attached job goes on without its client
	request   *http.Request // that started the job
	user      string
	address   string
	detail    json.RawMessage
	started   time.Time
	ctx       context.Context
	cancel    context.CancelCauseFunc
	log       jobLog
	input     *jobInput // nil for a job without input
	restored  *JobInput // of a job of an earlier process
	abandoned *time.Timer

	mu       sync.Mutex
	owners   int       // connections of the client of an attached job
	ended    time.Time // zero while the job runs
	canceled bool
	failure  *errorBody
	summary  json.RawMessage
}

// newJob returns a job that was started by a request. It is canceled with ctx.
func newJob(ctx context.Context, name string, r *http.Request) *job {
	access := AccessOf(r.Context())
	j := &job{id: newJobID(), name: name, request: r, user: access.User, address: access.Address, started: time.Now().UTC()}
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	j.log.read = -1
	return j
}

// attach ties the job to the connections of its client.
func (j *job) attach() {
	j.attached, j.log.read, j.patience = true, 0, attachTimeout
	j.abandoned = time.AfterFunc(attachTimeout, func() { j.cancel(errAbandoned) })
	if AccessOf(j.request.Context()).Local {
		j.patience = 0
	}
}

// own counts a connection of the client of an attached job, until release is called.
func (j *job) own() (release func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.owners++
	j.abandoned.Stop()
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.owners--; j.owners == 0 && j.ended.IsZero() {
			j.abandoned.Reset(j.patience)
		}
	}
}

// report adds an event to the log of the job.
func (j *job) report(e Event) {
	if e.Kind == KindSummary {
		j.mu.Lock()
		j.summary = e.Summary
		j.mu.Unlock()
	}
	j.log.add(j.ctx, e)
}

// run does the work of the job, and returns its error. After a cancellation, that is the cause.
func (j *job) run(work Job, request json.RawMessage) error {
	body := io.Reader(http.NoBody)
	if j.input != nil {
		body = j.input.reader()
	}
	err := work(j.ctx, request, body, j.report)
	if j.ctx.Err() != nil {
		return context.Cause(j.ctx)
	}
	return err
}

// end records the end of the job, has save keep it, and tells its watchers. failure is nil if it succeeded.
func (j *job) end(failure *errorBody, save func(JobStatus)) {
	j.mu.Lock()
	j.ended, j.failure, j.canceled = time.Now().UTC(), failure, j.ctx.Err() != nil
	j.mu.Unlock()
	save(j.status())
	if j.input != nil {
		j.input.timeout.Stop()
	}
	if j.attached {
		j.abandoned.Stop()
	}
	j.cancel(nil)
	j.log.end()
}

// endedAt returns when the job ended; zero if it is running.
func (j *job) endedAt() time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended
}

// status describes the job.
func (j *job) status() JobStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := JobStatus{
		ID: j.id, Name: j.name, Request: j.detail, State: JobRunning, Attached: j.attached, User: j.user, Address: j.address,
		Started: j.started, Ended: j.ended, Error: j.failure,
	}
	_, s.Progress = j.log.usage()
	if s.Input = j.restored; j.input != nil {
		input := j.input.now()
		s.Input = &input
	}
	switch {
	case j.ended.IsZero():
	case j.failure == nil:
		s.State, s.Summary = JobSucceeded, j.summary
	case j.canceled:
		s.State = JobCanceled
	default:
		s.State = JobFailed
	}
	return s
}
