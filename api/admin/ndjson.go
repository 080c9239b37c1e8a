package admin

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// lineWriter sends an answer as lines of JSON. It is safe for concurrent use.
type lineWriter struct {
	handler *Handler
	r       *http.Request

	mu      sync.Mutex
	w       http.ResponseWriter
	enc     *json.Encoder
	started bool
	written bool  // something was sent since the last keep-alive
	err     error // the first error of a write; nothing is sent after it
}

func (h *Handler) newLineWriter(w http.ResponseWriter, r *http.Request) *lineWriter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lineWriter{handler: h, r: r, w: w, enc: enc}
}

// send writes a line. net/http may buffer it.
func (l *lineWriter) send(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
	l.written = true
	if l.err == nil {
		l.err = l.enc.Encode(v)
	}
}

// sendNow writes a line and flushes it.
func (l *lineWriter) sendNow(v any) {
	l.send(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = http.NewResponseController(l.w).Flush()
	}
}

// keepAlive sends an empty line whenever nothing was sent for an interval, until stop is called. A write that fails makes
// net/http cancel the context of the request.
func (l *lineWriter) keepAlive(interval time.Duration) (stop func()) {
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ending:
				return
			case <-ticker.C:
				l.writeKeepAlive()
			}
		}
	}()
	return func() {
		close(ending)
		<-ended
	}
}

func (l *lineWriter) writeKeepAlive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.written && l.err == nil {
		l.start()
		if _, l.err = l.w.Write([]byte("\n")); l.err == nil {
			l.err = http.NewResponseController(l.w).Flush()
		}
	}
	l.written = false
}

func (l *lineWriter) start() {
	if !l.started {
		l.started = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
}

// end ends the answer. If err is set and a line was sent, err is the last line and end returns nil. If nothing was sent, end
// returns err for the caller to answer with.
func (l *lineWriter) end(err error) error {
	l.mu.Lock()
	begun := l.started
	l.start()
	l.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case !begun:
		return err
	}
	l.send(errorResponse{Errors: []errorBody{l.handler.errorBody(l.r, err)}})
	return nil
}
