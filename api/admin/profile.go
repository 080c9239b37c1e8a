package admin

import (
	"net/http"
	"net/http/pprof"
)

// profiles adds what shows where a running server spends time and memory: only those see it who may do everything.
func (h *Handler) profiles() {
	h.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	for name, serve := range map[string]http.HandlerFunc{
		"cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		h.mux.HandleFunc("GET /debug/pprof/"+name, serve)
	}
}
