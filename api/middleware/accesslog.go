package middleware

import (
	"go.uber.org/zap"
)

// AccessLog returns an observer that logs one line for each request, while on says so. Queries are left out: they may
// hold what signs a request.
func AccessLog(log *zap.Logger, on func() bool) func(*Exchange) {
	return func(e *Exchange) {
		if !on() {
			return
		}
		fields := []zap.Field{
			zap.String("request", e.ID), zap.String("address", e.Address), zap.String("method", e.Request.Method),
			zap.String("path", e.Request.URL.Path), zap.Int("status", e.Status), zap.Int64("in", e.In), zap.Int64("out", e.Out),
			zap.Duration("took", e.Duration), zap.String("agent", e.Request.UserAgent()),
		}
		if e.User != "" {
			fields = append(fields, zap.String("user", e.User))
		}
		if ns := namespace(e); ns != "" {
			fields = append(fields, zap.String("ns", ns))
		}
		if e.Aborted {
			fields = append(fields, zap.Bool("broken", true))
		}
		log.Info("request", fields...)
	}
}

// namespace is the registry that the client meant, if it said so.
func namespace(e *Exchange) string {
	if e.Call == nil {
		return ""
	}
	return e.Call.Namespace
}
