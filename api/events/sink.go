package events

import (
	"net/http"
	"net/url"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

// Why events were dropped, in [Status].
const (
	Full       = "full"       // the queue was, and they were the oldest
	Overflow   = "overflow"   // more happened at a time than could be queued
	Disk       = "disk"       // they could not be written
	Unreadable = "unreadable" // in the queue
	Refused    = "refused"    // by the endpoint, again and again
	Share      = "share"      // their client has more waiting than it leaves for others
)

var reasons = []string{Full, Overflow, Disk, Unreadable, Refused, Share}

// logInterval is how often the same thing is logged.
const logInterval = 10 * time.Minute

// sink is an endpoint with its queue.
type sink struct {
	Endpoint
	pem    []byte // the authorities to trust
	agent  string // what its requests say that they come from
	client *http.Client
	queues [lanes]*queue
	*counters
	log *zap.Logger
}

// tally is what happened to the events for an endpoint, whatever its settings were. It is safe for concurrent use.
type counters struct {
	queued, delivered, failed atomic.Uint64
	dropped                   map[string]*atomic.Uint64 // by reason; not changed
	dropLogs                  map[string]*rate.Sometimes

	mu      sync.Mutex
	failure string    // why it could not be reached the last time; "" if it was
	since   time.Time // when that began
	logged  time.Time
}

func newCounters() *counters {
	t := &counters{dropped: map[string]*atomic.Uint64{}, dropLogs: map[string]*rate.Sometimes{}}
	for _, reason := range reasons {
		t.dropped[reason] = new(atomic.Uint64)
		t.dropLogs[reason] = &rate.Sometimes{Interval: logInterval}
	}
	return t
}

// same reports whether a sink does what another one did.
func (s *sink) same(o *sink) bool {
	return reflect.DeepEqual(s.Endpoint, o.Endpoint) && string(s.pem) == string(o.pem)
}

// host is where an endpoint is, without what may be secret.
func (e *Endpoint) host() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// drop counts events that the endpoint will not get.
func (s *sink) drop(n int, reason string, err error) {
	if n == 0 {
		return
	}
	total := s.dropped[reason].Add(uint64(n))
	s.dropLogs[reason].Do(func() {
		s.log.Error("events are lost to an endpoint", zap.String("endpoint", s.Name), zap.String("reason", reason),
			zap.Int("events", n), zap.Uint64("total", total), zap.Error(err))
	})
}

// fails notes that events could not be delivered.
func (s *sink) deliveryFailed(err error) {
	s.failed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.failure == "" {
		s.since, s.logged = now, time.Time{}
	}
	s.failure = err.Error()
	if now.Sub(s.logged) >= logInterval {
		s.logged = now
		s.log.Warn("events cannot be delivered, trying again", zap.String("endpoint", s.Name), zap.Time("since", s.since), zap.Error(err))
	}
}

// delivers notes that they could.
func (s *sink) deliverySucceeded(n int) {
	s.delivered.Add(uint64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != "" {
		s.failure = ""
		s.log.Info("events are delivered again", zap.String("endpoint", s.Name), zap.Duration("after", time.Since(s.since)))
	}
}

// put queues events.
func (s *sink) put(l lane, entries []entry) {
	refused, dropped, err := s.queues[l].put(entries)
	s.drop(refused, Share, nil)
	s.drop(dropped, Full, nil)
	put := len(entries) - refused
	if err != nil {
		s.drop(put, Disk, err)
		return
	}
	s.queued.Add(uint64(put))
}

// peek returns the oldest changes, or else the oldest of the others.
func (s *sink) peek(events int, size int64) (b batch, err error) {
	for _, l := range []lane{changes, others} {
		if b, err = s.queues[l].peek(events, size); err != nil || len(b.events) > 0 || b.unreadable > 0 {
			return b, err
		}
	}
	return b, nil
}

// Status is how an endpoint is doing.
type Status struct {
	Name      string            `json:"name"`
	Host      string            `json:"host"`              // that its URL names
	Offline   bool              `json:"offline,omitempty"` // it is reached whatever the mode
	Waiting   int               `json:"waiting"`           // events in its queue,
	Bytes     int64             `json:"bytes"`             // and how large they are
	Queued    uint64            `json:"queued"`            // events, since the start
	Delivered uint64            `json:"delivered"`
	Failed    uint64            `json:"failed"`  // attempts to deliver
	Dropped   map[string]uint64 `json:"dropped"` // events, by reason
	Error     string            `json:"error,omitempty"`
	Since     time.Time         `json:"since,omitzero"` // when Error began
}

func (s *sink) status() Status {
	st := Status{
		Name: s.Name, Host: s.host(), Offline: s.Offline, Queued: s.queued.Load(), Delivered: s.delivered.Load(), Failed: s.failed.Load(),
		Dropped: map[string]uint64{},
	}
	for reason, n := range s.dropped {
		st.Dropped[reason] = n.Load()
	}
	for _, q := range s.queues {
		events, bytes := q.waiting()
		st.Waiting, st.Bytes = st.Waiting+events, st.Bytes+bytes
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.Error = s.failure; st.Error != "" {
		st.Since = s.since
	}
	return st
}
