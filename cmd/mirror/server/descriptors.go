package server

import (
	"go.uber.org/zap"

	"airmirror/api/middleware"
	"airmirror/cmd/mirror/config"
)

// descriptors is how the limit of open files of this process (RLIMIT_NOFILE) is divided. A request needs a connection and
// up to two files: a blob, or an upload and a connection to an upstream. If there were as many requests as descriptors,
// nothing could be opened any more: no blob, no socket for commands, and no connection of a health check.
type descriptors struct {
	limit    int // of open files
	requests int // requests in flight
	idle     int // connections without a request
	conns    int // connections of clients
}

const (
	// maxReserved is the most that is reserved for the index, the logs, queues of events, commands and health checks.
	maxReserved = 128
	// perRequest is the number of descriptors for a request in flight.
	perRequest = 3
	// maxIdleConns limits the idle connections of all clients.
	maxIdleConns = 8192
)

// otherConns are the limits of servers that are not for pulls and pushes, which use reserved descriptors.
var otherConns = middleware.ConnLimits{Idle: 16}

// divideDescriptors divides a limit of open files.
func divideDescriptors(limit int) descriptors {
	reserved := min(maxReserved, limit/4)
	share := max(1, (limit-reserved)/(perRequest+1))
	idle := min(maxIdleConns, share)
	return descriptors{limit: limit, requests: share, idle: idle, conns: share + idle + reserved/2}
}

// limitRequests returns the limit of requests in flight for a configured one, where 0 is no limit.
func (d descriptors) limitRequests(configured int) int {
	if configured == 0 {
		return d.requests
	}
	return min(configured, d.requests)
}

// connLimits returns the limits of connections of clients.
func (d descriptors) connLimits() middleware.ConnLimits {
	return middleware.ConnLimits{Idle: d.idle, Total: d.conns}
}

// middlewareSettings returns the limits of requests in c, lowered to what the descriptors allow.
func (s *server) middlewareSettings(c config.Config) middleware.Settings {
	limits := c.Middleware()
	limits.Requests = s.descriptors.limitRequests(limits.Requests)
	return limits
}

// warn logs that the descriptors allow fewer requests than configured.
func (d descriptors) warn(configured int, log *zap.Logger) {
	if n := d.limitRequests(configured); n != configured && n < maxIdleConns {
		log.Warn("the limit of open files (ulimit -n) allows fewer requests at a time than limits.requests",
			zap.Int("openFiles", d.limit), zap.Int("requests", n), zap.Int("configured", configured))
	}
}
