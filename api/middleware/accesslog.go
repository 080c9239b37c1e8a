package middleware

import (
	"go.uber.org/zap"
)

// AccessLog returns an observer that logs one line per request while on returns true. It leaves out the query, which
// may contain signatures.
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

// namespace returns the registry that the client asked for with ns, or "".
func namespace(e *Exchange) string {
	if e.Call == nil {
		return ""
	}
	return e.Call.Namespace
}
