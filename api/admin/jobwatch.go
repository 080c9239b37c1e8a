package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"airmirror/mirror"
)

// heartbeat is how often a watcher receives something when nothing happens. It shows that the connection works.
const heartbeat = 15 * time.Second

const (
	linesType = "application/x-ndjson"
	sseType   = "text/event-stream"
)

// Dropped is the item of a [KindDropped] event.
type Dropped struct {
	Count int64 `json:"count"`
}

// watchJob sends the events of a job until it ends: as server-sent events to a browser, else as lines of JSON.
func (h *Handler) watchJob(w http.ResponseWriter, r *http.Request) error {
	j, err := h.jobs.find(r.PathValue("id"))
	if err != nil {
		return err
	}
	at, err := positionOf(r)
	if err != nil {
		return err
	}
	out := newEventWriter(w, r)
	if out.sse && at.last > 0 && j.watched(at) {
		w.WriteHeader(http.StatusNoContent) // the browser must not connect again
		return nil
	}
	owner := r.URL.Query().Get("attach") == "1" && j.attached
	if owner {
		defer j.own()()
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		batch := j.log.after(at)
		out.batch(batch)
		if at = batch.next; owner && out.err == nil {
			j.log.received(at.last)
		}
		if batch.ended {
			out.end(j.status())
		}
		if out.flush(); batch.ended || out.err != nil {
			return nil
		}
		if len(batch.lines) > 0 { // there may be more
			continue
		}
		select {
		case <-batch.changed:
		case <-beat.C:
			out.beat()
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // the answer is not complete
		}
	}
}

// watched reports whether the job has ended, and a watcher at a position has received all events.
func (j *job) watched(at logPosition) bool {
	batch := j.log.after(at)
	return batch.ended && batch.whole
}

// positionOf returns the position in the log that a request continues at.
func positionOf(r *http.Request) (at logPosition, err error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return at, nil
	}
	if at.last, err = strconv.ParseInt(text, 10, 64); err != nil || at.last < 0 {
		return at, mirror.Errorf(mirror.CodeRangeInvalid, "%q is not the ID of an event", text)
	}
	return at, nil
}

// eventWriter sends the events of a job.
type eventWriter struct {
	w   http.ResponseWriter
	sse bool
	err error // the first error of a write; nothing is sent after it
}

func newEventWriter(w http.ResponseWriter, r *http.Request) *eventWriter {
	out := &eventWriter{w: w, sse: strings.Contains(r.Header.Get("Accept"), sseType)}
	header, kind := w.Header(), linesType
	if out.sse {
		kind = sseType
	}
	header.Set("Content-Type", kind)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // nginx would collect events
	return out
}

func (o *eventWriter) printf(format string, args ...any) {
	if o.err == nil {
		_, o.err = fmt.Fprintf(o.w, format, args...)
	}
}

func (o *eventWriter) batch(b logBatch) {
	if b.dropped > 0 {
		Report(func(e Event) { o.event(numberedLine{text: encode(e)}) }).Item(KindDropped, Dropped{Count: b.dropped})
	}
	for _, line := range b.lines {
		o.event(line)
	}
}

// event sends an event. Its text is one line that begins with a brace.
func (o *eventWriter) event(line numberedLine) {
	switch {
	case o.sse && line.number > 0:
		o.printf("id: %d\ndata: %s\n\n", line.number, line.text)
	case o.sse:
		o.printf("data: %s\n\n", line.text)
	case line.number > 0:
		o.printf("{\"id\":%d,%s\n", line.number, line.text[1:])
	default:
		o.printf("%s\n", line.text)
	}
}

// end sends the end of a job: its state as a server-sent event named end, or as lines its error or an event.
func (o *eventWriter) end(status JobStatus) {
	switch {
	case o.sse:
		o.printf("event: end\ndata: %s\n\n", encode(status))
	case status.Error != nil:
		o.printf("%s\n", encode(errorResponse{Errors: []errorBody{*status.Error}}))
	default:
		Report(func(e Event) { o.event(numberedLine{text: encode(e)}) }).Item(KindEnd, status)
	}
}

// beat sends something without a meaning.
func (o *eventWriter) beat() {
	if o.sse {
		o.printf(": \n\n")
	} else {
		o.printf("\n")
	}
}

func (o *eventWriter) flush() {
	if o.err == nil {
		o.err = http.NewResponseController(o.w).Flush()
	}
}
