package metrics

import (
	"maps"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"airmirror/api/middleware"
)

// requests are the metrics of client requests. The counters of each route are looked up once and stored in a map that
// is replaced and never modified, so that counting takes no lock.
type requests struct {
	count    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	in, out  *prometheus.CounterVec
	broken   *prometheus.CounterVec

	mu    *sync.Mutex // for replacing known
	known *atomic.Pointer[map[route]*series]
}

// route is a set of labels.
type route struct {
	endpoint, method string
	status           int
}

type series struct {
	count    prometheus.Counter
	duration prometheus.Observer
	in, out  prometheus.Counter
	broken   prometheus.Counter
}

// durationBuckets range from a response from memory to a large blob over a slow link.
var durationBuckets = []float64{.001, .005, .025, .1, .5, 1, 5, 30, 120, 600}

func newRequests() requests {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: "http", Name: name, Help: help}, labels)
	}
	r := requests{
		count: vec("requests_total", "Requests by endpoint, method and status. Status 0 means that there was no response.", "endpoint", "method", "status"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "http", Name: "request_duration_seconds", Buckets: durationBuckets,
			Help: "Time from the headers of a request to the last byte of its response.",
		}, []string{"endpoint", "method"}),
		in:     vec("received_bytes_total", "Bytes received in request bodies.", "endpoint", "method"),
		out:    vec("sent_bytes_total", "Bytes sent in response bodies.", "endpoint", "method"),
		broken: vec("aborted_responses_total", "Responses that were aborted before their end.", "endpoint", "method"),
		mu:     new(sync.Mutex), known: new(atomic.Pointer[map[route]*series]),
	}
	r.known.Store(&map[route]*series{})
	return r
}

func (r *requests) collectors() []prometheus.Collector {
	return []prometheus.Collector{r.count, r.duration, r.in, r.out, r.broken}
}

// methods have their own label value. All others are counted as "other".
var methods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodPut: true, http.MethodPost: true, http.MethodPatch: true, http.MethodDelete: true,
}

// Request counts a finished request. It is an observer for [middleware.Options].
func (m *Metrics) Request(e *middleware.Exchange) {
	key := route{"other", e.Request.Method, e.Status}
	if e.Call != nil && e.Call.Parsed {
		key.endpoint = e.Call.Endpoint.String()
	}
	s := (*m.requests.known.Load())[key]
	if s == nil {
		if !methods[key.method] {
			key.method = "other"
		}
		s = m.requests.add(key)
	}
	s.count.Inc()
	s.duration.Observe(e.Duration.Seconds())
	if e.In > 0 {
		s.in.Add(float64(e.In))
	}
	if e.Out > 0 {
		s.out.Add(float64(e.Out))
	}
	if e.Aborted {
		s.broken.Inc()
	}
}

// add creates the counters of a route.
func (r *requests) add(key route) *series {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.known.Load()
	if s := known[key]; s != nil {
		return s
	}
	s := &series{
		count:    r.count.WithLabelValues(key.endpoint, key.method, strconv.Itoa(key.status)),
		duration: r.duration.WithLabelValues(key.endpoint, key.method),
		in:       r.in.WithLabelValues(key.endpoint, key.method),
		out:      r.out.WithLabelValues(key.endpoint, key.method),
		broken:   r.broken.WithLabelValues(key.endpoint, key.method),
	}
	more := maps.Clone(known)
	more[key] = s
	r.known.Store(&more)
	return s
}
