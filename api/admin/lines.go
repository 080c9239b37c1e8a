package admin

import (
	"encoding/json"
	"net/http"
	"sync"
)

// lines is an answer of one line of JSON after the other, by any number of goroutines.
type lines struct {
	handler *Handler
	r       *http.Request

	mu    sync.Mutex
	w     http.ResponseWriter
	enc   *json.Encoder
	begun bool
	err   error // the first that sending failed with: the client is gone, or a line is no JSON
}

func (h *Handler) newLines(w http.ResponseWriter, r *http.Request) *lines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &lines{handler: h, r: r, w: w, enc: enc}
}

// send sends a line when there is enough of an answer to send.
func (l *lines) send(v any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	if l.err == nil {
		l.err = l.enc.Encode(v)
	}
}

// tell sends a line at once.
func (l *lines) tell(v any) {
	l.send(v)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = http.NewResponseController(l.w).Flush()
	}
}

func (l *lines) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
	}
}

// end ends the answer, with err in its last line if the answer has begun; otherwise err is for the caller to answer
// with.
func (l *lines) end(err error) error {
	l.mu.Lock()
	begun := l.begun
	l.begin()
	l.mu.Unlock()
	switch {
	case err == nil:
		return nil
	case !begun:
		return err
	}
	l.send(errorLine{Errors: []errorBody{l.handler.errorBody(l.r, err)}})
	return nil
}
