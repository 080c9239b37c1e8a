// Package metrics tells Prometheus how a mirror is doing. What happens often is counted as it happens, without a lock; the
// rest is read when it is asked for. No label has values that a client chooses: repositories are none.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"go.uber.org/zap"
)

const namespace = "mirror"

// Metrics are those of one mirror. All of it may be used concurrently.
type Metrics struct {
	registry  *prometheus.Registry
	requests  requests
	upstreams upstreams
	log       *zap.Logger
}

// New returns metrics of a mirror that is not known yet: see [Metrics.Watch]. version is that of the program.
func New(version string, log *zap.Logger) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), requests: newRequests(), upstreams: newUpstreams(), log: log}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "What runs: always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.registry.MustRegister(m.requests.collectors()...)
	m.registry.MustRegister(m.upstreams.collectors()...)
	return m
}

// Handler answers with all metrics, in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorLog: zap.NewStdLog(m.log), ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: 4})
}
