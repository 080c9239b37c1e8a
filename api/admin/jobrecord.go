package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.uber.org/zap"

	"airmirror/mirror"
)

const (
	// jobState is the kind of the records of jobs in the state of the mirror, by ID.
	jobState = "job"
	// maxJobRecord is the maximum size of a record in bytes. A larger one has neither the request nor the summary.
	maxJobRecord = 64 << 10
)

// errStopped is why a job that was running when its process ended did not succeed.
var errStopped = errorBody{
	Code: mirror.CodeUnavailable, Message: "the mirror stopped before the job had ended: what it has stored so far stays, so start it again",
}

// jobRecords keep what is known of jobs over a restart: who started them and from where, and how they ended. A record is the
// JSON of a [JobStatus]. Without a store nothing is kept. One process has a data folder open, so no other one runs its jobs.
type jobRecords struct {
	store mirror.StateStore
	log   *zap.Logger
}

// load returns the jobs of earlier processes in the order of their start. Those that were running have been canceled.
func (r jobRecords) load() (list []*job) {
	if r.store == nil {
		return nil
	}
	records, err := r.store.State(context.Background(), jobState)
	if err != nil {
		r.log.Error("cannot read the jobs that ran before the start", zap.Error(err))
		return nil
	}
	for id, record := range records {
		var s JobStatus
		if err := json.Unmarshal(record, &s); err != nil || s.ID != id {
			r.log.Warn("cannot read what is known of a job", zap.String("job", id), zap.Error(err))
			continue
		}
		if s.State == JobRunning {
			s.State, s.Ended, s.Error, s.Summary = JobCanceled, time.Now().UTC(), &errStopped, nil
			r.save(s)
		}
		list = append(list, endedJob(s))
	}
	slices.SortFunc(list, func(a, b *job) int { return cmp.Or(a.started.Compare(b.started), cmp.Compare(a.id, b.id)) })
	return list
}

// endedJob returns a job of an earlier process. Its events are not kept.
func endedJob(s JobStatus) *job {
	j := &job{
		id: s.ID, name: s.Name, attached: s.Attached, user: s.User, address: s.Address, detail: s.Request, started: s.Started, ended: s.Ended,
		canceled: s.State == JobCanceled, failure: s.Error, summary: s.Summary, restored: s.Input,
	}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	j.cancel(nil)
	j.log.read, j.log.progress, j.log.ended = -1, s.Progress, true
	return j
}

// save keeps what is known of a job, and forgets others.
func (r jobRecords) save(s JobStatus, forgotten ...*job) {
	record, err := json.Marshal(s)
	if err == nil && len(record) > maxJobRecord {
		s.Request, s.Summary = nil, nil
		record, err = json.Marshal(s)
	}
	if err != nil {
		r.log.Error("cannot keep what is known of a job", zap.String("job", s.ID), zap.Error(err))
		return
	}
	r.write(map[string][]byte{s.ID: record}, forgotten)
}

// remove forgets jobs.
func (r jobRecords) remove(jobs []*job) {
	if len(jobs) > 0 {
		r.write(map[string][]byte{}, jobs)
	}
}

// write writes records, and removes those of jobs. The work of a job does not depend on it.
func (r jobRecords) write(records map[string][]byte, removed []*job) {
	if r.store == nil {
		return
	}
	for _, j := range removed {
		records[j.id] = nil
	}
	if err := r.store.SetState(context.Background(), jobState, records); err != nil {
		r.log.Warn("cannot keep the list of jobs: a restart of the mirror forgets them", zap.Error(err))
	}
}
