package admin

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// lines is an answer of one line of JSON after the other, by any number of goroutines.
type lineWriter struct {
	handler *Handler
	r       *http.Request

	mu      sync.Mutex
	w       http.ResponseWriter
	enc     *json.Encoder
	started bool
	written bool  // something was sent since the last beat
	err     error // the first that sending failed with: the client is gone, or a line is no JSON
}

func (h *Handler) newLineWriter(w http.ResponseWriter, r *http.Request) *lineWriter {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lineWriter{handler: h, r: r, w: w, enc: enc}
}

// send sends a line when there is enough of an answer to send.
func (l *lineWriter) send(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.start()
	l.written = true
	if l.err == nil {
		l.err = l.enc.Encode(v)
	}
}

// tell sends a line at once.
func (l *lineWriter) sendNow(v any) {
	l.send(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = http.NewResponseController(l.w).Flush()
	}
}

// beat sends an empty line whenever there was no other for an interval, so that it is noticed when the client has gone:
// net/http ends the request's context when it cannot write. It goes on until stop is called.
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

// end ends the answer, with err in its last line if the answer has begun; otherwise err is for the caller to answer
// with.
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
