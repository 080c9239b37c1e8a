package metrics

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// upstreams are the metrics of requests to upstreams.
type upstreams struct {
	count    *prometheus.CounterVec
	errors   *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newUpstreams() upstreams {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: "upstream", Name: name, Help: help}, labels)
	}
	return upstreams{
		count:  vec("requests_total", "Requests to upstreams by status of the response, including tokens and redirect targets.", "host", "status"),
		errors: vec("errors_total", "Requests to upstreams without a response.", "host"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "upstream", Name: "request_duration_seconds", Buckets: []float64{.01, .05, .1, .25, .5, 1, 2.5, 5, 10},
			Help: "Time until a response began or the request failed.",
		}, []string{"host"}),
	}
}

func (u *upstreams) collectors() []prometheus.Collector {
	return []prometheus.Collector{u.count, u.errors, u.duration}
}

// Upstream counts a request to the upstream of a host. The status is 0 if there was no response.
func (m *Metrics) Upstream(host string, status int, took time.Duration) {
	m.upstreams.duration.WithLabelValues(host).Observe(took.Seconds())
	if status == 0 {
		m.upstreams.errors.WithLabelValues(host).Inc()
		return
	}
	m.upstreams.count.WithLabelValues(host, strconv.Itoa(status)).Inc()
}
