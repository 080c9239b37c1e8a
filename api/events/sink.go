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

// The reasons for dropped events in [Status].
const (
	Full       = "full"       // the queue was full; the oldest are dropped
	Overflow   = "overflow"   // more events arrived than could be written
	Disk       = "disk"       // the disk could not be written
	Unreadable = "unreadable" // the queue contains damaged data
	Refused    = "refused"    // the endpoint refused the event repeatedly
	Share      = "share"      // the client has used up its share of the queue
)

var reasons = []string{Full, Overflow, Disk, Unreadable, Refused, Share}

// logInterval is the least time between two log lines about the same problem.
const logInterval = 10 * time.Minute

// sink is an endpoint with its queues.
type sink struct {
	Endpoint
	pem    []byte // certificates to trust
	agent  string // User-Agent
	client *http.Client
	*persistent
	log *zap.Logger
}

// persistent is the state of an endpoint that survives changes of its settings.
type persistent struct {
	queues [lanes]*queue
	*counters
}

// counters count what became of the events for an endpoint. They are safe for concurrent use.
type counters struct {
	queued, delivered, failed atomic.Uint64
	dropped                   map[string]*atomic.Uint64 // by reason; the map is never modified
	dropLogs                  map[string]*rate.Sometimes

	mu      sync.Mutex
	failure string    // the last error; "" after a success
	since   time.Time // when the failures began
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

// same reports whether two sinks have the same settings.
func (s *sink) same(o *sink) bool {
	return reflect.DeepEqual(s.Endpoint, o.Endpoint) && string(s.pem) == string(o.pem)
}

// host returns the host of the endpoint, the part of its URL that contains no secret.
func (e *Endpoint) host() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Host
}

// drop counts events that will not be delivered.
func (s *sink) drop(n int, reason string, err error) {
	if n == 0 {
		return
	}
	total := s.dropped[reason].Add(uint64(n))
	s.dropLogs[reason].Do(func() {
		s.log.Error("events for an endpoint are dropped", zap.String("endpoint", s.Name), zap.String("reason", reason),
			zap.Int("events", n), zap.Uint64("total", total), zap.Error(err))
	})
}

// deliveryFailed records a failed attempt.
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
		s.log.Warn("cannot deliver events, will retry", zap.String("endpoint", s.Name), zap.Time("since", s.since), zap.Error(err))
	}
}

// deliverySucceeded records the delivery of n events.
func (s *sink) deliverySucceeded(n int) {
	s.delivered.Add(uint64(n))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure != "" {
		s.failure = ""
		s.log.Info("events are delivered again", zap.String("endpoint", s.Name), zap.Duration("after", time.Since(s.since)))
	}
}

// put appends events to the queue of a lane.
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

// peek returns the oldest changes, or the oldest other events if there are no changes.
func (s *sink) peek(events int, size int64) (b batch, err error) {
	for _, l := range []lane{changes, reads} {
		if b, err = s.queues[l].peek(events, size); err != nil || len(b.events) > 0 || b.unreadable > 0 {
			return b, err
		}
	}
	return b, nil
}

// Status is the status of an endpoint.
type Status struct {
	Name      string            `json:"name"`
	Host      string            `json:"host"`              // of the URL
	Offline   bool              `json:"offline,omitempty"` // used in every mode
	Waiting   int               `json:"waiting"`           // events in the queues
	Bytes     int64             `json:"bytes"`             // size of these events
	Queued    uint64            `json:"queued"`            // events queued since the start
	Delivered uint64            `json:"delivered"`
	Failed    uint64            `json:"failed"`  // failed attempts
	Dropped   map[string]uint64 `json:"dropped"` // events, by reason
	Error     string            `json:"error,omitempty"`
	Since     time.Time         `json:"since,omitzero"` // start of the failures
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
